"""Gold and predicted tuples side by side, and where they stand in the text."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from medinst_eval.metrics.normalise import normalise
from medinst_eval.metrics.tagging import Span, spans
from medinst_eval.types import Form

Kind = Literal["found", "missed", "spurious", "wrong"]
KINDS: tuple[Kind, ...] = ("found", "missed", "spurious", "wrong")
Parts = tuple[str, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Item:
    """One tuple of the gold, of the answer, or of both."""

    kind: Kind
    """`found`: in both. `missed`: gold only. `spurious`: answer only. `wrong`: the same text
    with another type (identifier, relation, event type) than the gold's."""
    parts: Parts
    """The gold tuple; for `spurious` the predicted one."""
    predicted: Parts = ()
    """For `wrong`: what the model said instead."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Mark:
    """A piece of the text that belongs to an item, as code point offsets."""

    start: int
    end: int
    item: int


# Which parts of a tuple are text of the document; the others name its type.
_TEXT_PARTS: dict[Form, tuple[int, ...]] = {
    "entities": (0,), "links": (0,), "mentions": (0,), "relations": (0, 2), "events": (1, 2),
}  # fmt: skip
_TYPE_PART: dict[Form, int] = {"entities": 1, "links": 1, "relations": 1, "events": 0}


def text_parts(form: Form, parts: Parts) -> tuple[str, ...]:
    """The parts of a tuple that are stretches of the document."""
    return tuple(parts[i] for i in _TEXT_PARTS.get(form, ()) if i < len(parts))


def type_of(form: Form, parts: Parts) -> str:
    """The type, identifier or relation that a tuple carries; empty for plain mentions."""
    index = _TYPE_PART.get(form)
    return parts[index] if index is not None and index < len(parts) else ""


def classify(form: Form, gold: Sequence[Parts], answer: Sequence[Parts]) -> list[Item]:
    """Pair gold and predicted tuples, repeats counted: exact first, then same text, other type.

    Texts are compared as the standard metrics do (`metrics.normalise`). Gold items come in the
    gold's order, spurious ones after them in the answer's order.
    """

    def full(parts: Parts) -> Parts:
        return tuple(normalise(p) for p in parts)

    def texts(parts: Parts) -> Parts:
        return tuple(normalise(p) for p in text_parts(form, parts))

    exact = _pair(gold, answer, full)
    paired = set(exact.values())
    rest_gold = [i for i in range(len(gold)) if i not in exact]
    rest_answer = [j for j in range(len(answer)) if j not in paired]
    same = _pair([gold[i] for i in rest_gold], [answer[j] for j in rest_answer], texts)
    wrong = {rest_gold[i]: rest_answer[j] for i, j in same.items()}
    items: list[Item] = []
    for i, parts in enumerate(gold):
        if i in exact:
            items.append(Item(kind="found", parts=parts))
        elif i in wrong:
            items.append(Item(kind="wrong", parts=parts, predicted=answer[wrong[i]]))
        else:
            items.append(Item(kind="missed", parts=parts))
    taken = paired | set(wrong.values())
    items += [Item(kind="spurious", parts=p) for j, p in enumerate(answer) if j not in taken]
    return items


def _pair(
    gold: Sequence[Parts], answer: Sequence[Parts], key: Callable[[Parts], Parts]
) -> dict[int, int]:
    """Index in gold -> index in answer of tuples with equal keys, each used once."""
    waiting: dict[Parts, list[int]] = {}
    for j in range(len(answer) - 1, -1, -1):
        waiting.setdefault(key(answer[j]), []).append(j)
    pairs: dict[int, int] = {}
    for i, parts in enumerate(gold):
        if candidates := waiting.get(key(parts)):
            pairs[i] = candidates.pop()
    return pairs


# -- places in the text -------------------------------------------------------------------------


def locate(form: Form, items: Sequence[Item], text: str) -> list[Mark]:
    """Find the text parts of every item in the document.

    Entities are listed in order of appearance, so each repeat of a mention takes its next
    occurrence. Participants of relations and events carry no place: their first occurrence is
    marked. What does not occur in the text gets no mark (the page lists it all the same).
    """
    repeats = form in ("entities", "links", "mentions")
    # Folding must not change the length, or offsets would be off.
    fold = next((f for f in (str.casefold, str.lower) if len(f(text)) == len(text)), str)
    folded = fold(text)
    next_from: dict[str, int] = {}
    marks: list[Mark] = []
    for index, item in enumerate(items):
        for part in text_parts(form, item.parts):
            needle = fold(part)
            start = _find(folded, needle, next_from.get(needle, 0) if repeats else 0)
            if start < 0:
                continue
            next_from[needle] = start + len(needle)
            marks.append(Mark(start=start, end=start + len(needle), item=index))
    return marks


def _find(text: str, needle: str, begin: int) -> int:
    """First occurrence from `begin` on, whole words preferred; else from the start; else -1."""
    if not needle:
        return -1
    for origin in (begin, 0) if begin else (0,):
        first = start = text.find(needle, origin)
        while start >= 0:
            if _whole(text, start, start + len(needle)):
                return start
            start = text.find(needle, start + 1)
        if first >= 0:
            return first
    return -1


def _whole(text: str, start: int, end: int) -> bool:
    before = start == 0 or not (text[start - 1].isalnum() and text[start].isalnum())
    after = end == len(text) or not (text[end - 1].isalnum() and text[end].isalnum())
    return before and after


# -- word labels --------------------------------------------------------------------------------


def word_spans(text: str) -> list[tuple[int, int]]:
    """Offsets of the white-space separated words of a text."""
    spans, end = [], 0
    for word in text.split():
        start = text.index(word, end)
        end = start + len(word)
        spans.append((start, end))
    return spans


def compare_word_labels(
    text: str, gold: Sequence[str], answer: Sequence[str]
) -> tuple[list[Item], list[Mark]]:
    """Entities of two label sequences over the words of a text: found, missed, spurious.

    An entity is what `entity_f1` takes for one (strict IOB2: an I that continues nothing is
    none). Labels beyond the last word of the text are left out.
    """
    words = word_spans(text)
    ours, theirs = spans(gold[: len(words)]), spans(answer[: len(words)])
    items: list[Item] = []
    marks: list[Mark] = []
    kinds: list[tuple[Span, Kind]] = [(s, "found" if s in theirs else "missed") for s in ours]
    kinds += [(span, "spurious") for span in theirs if span not in ours]
    for (_, first, after), kind in kinds:
        start, end = words[first][0], words[after - 1][1]
        marks.append(Mark(start=start, end=end, item=len(items)))
        items.append(Item(kind=kind, parts=(text[start:end],)))
    return items, marks
