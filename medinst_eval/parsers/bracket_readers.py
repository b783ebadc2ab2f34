"""Tolerant readers of lists in brackets, angles, tags and quotes, and the choice among readers."""

from __future__ import annotations

import re
from collections.abc import Callable

from medinst_eval.parsers import list_readers, markup
from medinst_eval.parsers.items import (
    ASIDE,
    LONGEST_ITEM,
    comma_list,
    in_input,
    is_comma_list,
    is_type,
    pair,
    single,
    triple,
    unwrap,
)
from medinst_eval.parsers.shapes import LONGEST_MENTION, Item, Shaper, is_identifier, spell

Reader = Callable[[Shaper, str], list[Item]]

_CLOSER = re.compile(r"<([^<>\n]{1,400})>[\s\"'*`.,;]{0,4}\]")
_TRIPLE_CLOSER = re.compile(r">[\s\"'*`.,;]{0,4}\]")
_ANGLE = re.compile(r"<([^<>\n]{1,400})>")
_JOINTS = frozenset({"and", "or", ",", ";", "-", "*"})
_MOST_WORDS = 12
_QUOTED = re.compile(r"[\"“]([^\"“”\n]{1,300})[\"”]")
_NUMBERS = re.compile(r"[\d,;\s-]{1,20}")
_MOST_WEIGHED = 2000


def read(shaper: Shaper, text: str) -> list[Item]:
    """The items of the reader that makes most sense of the text.

    An item counts for its type being of the closed set and for its mention standing in the input;
    among equals the reader that is first in line is believed.
    """
    best: list[Item] = []
    best_weight = 0.0
    for reader in _READERS[shaper.size]:
        items = reader(shaper, text)
        if items and reader in (typed_brackets, typed_triples) and _all_used(items, text):
            return items
        weight = _weight(shaper, items)
        if items and (not best or weight > best_weight):
            best, best_weight = items, weight
    if shaper.size == 2 and not any(in_input(shaper, item[0]) for item in best):
        return in_prose(shaper, text) or best
    return best


def _all_used(items: list[Item], text: str) -> bool:
    """Whether every bracket of a text belongs to an item: nothing is left for other readers."""
    inside = "".join("".join(item) for item in items)
    angles = len(items) * (1 if len(items[0]) == 2 else 3)
    brackets = len(items) + inside.count("[")
    return text.count("[") == brackets and text.count("<") == angles and "<" not in inside


def _weight(shaper: Shaper, items: list[Item]) -> float:
    """Sum of what the items count for, less where a part of them makes no sense."""
    weight = 0.0
    sound = 0
    known = bool(shaper.context.input)
    for item in items[:_MOST_WEIGHED]:
        typed = any(is_type(shaper, field) for field in item if field)
        mentions = [field for field in item if field and not is_type(shaper, field)]
        found = known and bool(mentions) and all(in_input(shaper, field) for field in mentions)
        weight += 2 * typed + found
        sound += typed or found
        if known and not typed and not found:
            weight -= 1
    return weight * sound / max(1, len(items[:_MOST_WEIGHED])) if weight > 0 else weight


def _openings(text: str, ends: list[tuple[int, int]]) -> list[tuple[int, int] | None]:
    """Span of each item from its `[`: the nearest unmatched one, else the first since the last."""
    spans: list[tuple[int, int] | None] = []
    position = 0
    for start, end in ends:
        depth = 0
        found = None
        for place in range(start - 1, position - 1, -1):
            if text[place] == "]":
                depth += 1
            elif text[place] == "[":
                if depth == 0:
                    found = place
                    break
                depth -= 1
        if found is None:
            first = text.find("[", position, start)
            found = first if first >= 0 else None
        spans.append(None if found is None else (found + 1, start))
        position = end
    return spans


def typed_brackets(shaper: Shaper, text: str) -> list[Item]:
    """`[mention <type>]` with anything between the items, several pairs in one bracket too."""
    closers = list(_CLOSER.finditer(text))
    spans = _openings(text, [(match.start(), match.end()) for match in closers])
    items: list[Item] = []
    for closer, span in zip(closers, spans, strict=True):
        if span is None:
            continue
        content = text[span[0] : span[1]]
        position = 0
        for inner in _ANGLE.finditer(content):
            if is_type(shaper, inner[1]) and content[inner.end() :].lstrip()[:1] in (",", ";"):
                _add(items, shaper, content[position : inner.start()], inner[1])
                position = inner.end()
        _add(items, shaper, content[position:].lstrip(",; "), closer[1])
    return items


def _add(items: list[Item], shaper: Shaper, mention: str, kind: str) -> None:
    mention = unwrap(mention.lstrip(",; "))
    if 0 < len(mention) <= LONGEST_ITEM:
        item = shaper.item((mention, kind))
        if item:
            items.append(item)


def typed_triples(shaper: Shaper, text: str) -> list[Item]:
    """`[<a> <b> <c>]` with anything between the items."""
    closers = list(_TRIPLE_CLOSER.finditer(text))
    spans = _openings(text, [(match.start(), match.end()) for match in closers])
    items = [
        triple(shaper, text[span[0] : closer.start() + 1])
        for closer, span in zip(closers, spans, strict=True)
        if span is not None
    ]
    return [item for item in items if item]


def marked(shaper: Shaper, text: str) -> list[Item]:
    """Entities in tags: `<span class="Protein">IL-2</span>`, `<Protein>IL-2</Protein>`."""
    items: list[Item] = []
    for body, name in markup.pieces(text):
        if name is None or not body.strip() or len(body) > LONGEST_MENTION:
            continue
        known = spell(name, shaper.context.labels) or (name if is_identifier(name) else "")
        item = shaper.item((body, known)) if shaper.size == 2 else shaper.untyped(body)
        if item:
            items.append(item)
    return items


def open_angles(shaper: Shaper, text: str) -> list[Item]:
    """`mention <type>` and `[mention] <type>` without a bracket around both."""
    items: list[Item] = []
    position = 0
    for match in _ANGLE.finditer(text):
        if not is_type(shaper, match[1]):
            continue
        before = text[position : match.start()].rpartition("\n")[2]
        position = match.end()
        mention = list_readers.unbullet(before.lstrip("] ,;")).strip()
        if in_input(shaper, unwrap(mention)) or not in_input(shaper, mention):
            mention = unwrap(mention.strip(",; "))
        if len(mention) > LONGEST_MENTION or not in_input(shaper, mention):
            mention = re.split(r"[,;:]\s", mention)[-1]
        if mention and len(mention) <= LONGEST_MENTION:
            item = shaper.item((mention, match[1]))
            if item:
                items.append(item)
    return items


def in_prose(shaper: Shaper, text: str) -> list[Item]:
    """`IL-2 (Protein) acts on T cells (Cell)`: the words before a type that the input has."""
    items: list[Item] = []
    position = 0
    for match in ASIDE.finditer(text):
        if not is_type(shaper, match[1]):
            continue
        words = text[position : match.start()].rpartition("\n")[2].split()[-_MOST_WORDS:]
        position = match.end()
        while words and words[0].casefold() in _JOINTS:
            words = words[1:]
        ends = (" ".join(words[place:]).strip(",;:") for place in range(len(words)))
        mention = next((end for end in ends if in_input(shaper, end)), "")
        item = shaper.item((mention, match[1])) if mention else None
        if item:
            items.append(item)
    return items


def bare_brackets(shaper: Shaper, text: str) -> list[Item]:
    """`[mention]`, `[mention, type]`, `[a, b]` (a comma list in one bracket), `(a, CID, b)`."""
    contents = _contents(text, "[", "]") or (_contents(text, "(", ")") if shaper.size == 3 else [])
    items: list[Item] = []
    for content in contents:
        if _NUMBERS.fullmatch(content) and not in_input(shaper, f"[{content}]"):
            # The marks of a bibliography.
            continue
        typed = pair(shaper, content) if shaper.size == 2 else None
        if typed:
            items.append(typed)
            continue
        if shaper.size < 3 and is_comma_list(shaper, content):
            found = [single(shaper, part) for part in comma_list(shaper, content)]
            items += [one for one in found if one]
            continue
        item = single(shaper, content)
        if item:
            items.append(item)
    return items


def _contents(text: str, opening: str, closing: str) -> list[str]:
    """Contents of the outermost brackets; what is never closed is left out."""
    contents: list[str] = []
    depth = start = 0
    for match in re.finditer(rf"[{re.escape(opening + closing)}]", text):
        if match[0] == opening:
            if depth == 0:
                start = match.end()
            depth += 1
        elif depth:
            depth -= 1
            if depth == 0 and text[start : match.start()].strip():
                contents.append(text[start : match.start()].strip())
    return contents


def quoted(shaper: Shaper, text: str) -> list[Item]:
    """A comma list of quoted mentions: `"VEGF", "VEGF-A"`."""
    rest = _QUOTED.sub("", text)
    if rest.strip(" \t\n,;.[]") not in ("", "and", "or"):
        return []
    found = [shaper.untyped(match[1]) for match in _QUOTED.finditer(text)]
    return [item for item in found if item]


_READERS: dict[int, tuple[Reader, ...]] = {
    1: (
        list_readers.from_json,
        marked,
        quoted,
        bare_brackets,
        list_readers.table,
        list_readers.records,
        list_readers.lines,
    ),
    2: (
        typed_brackets,
        list_readers.from_json,
        marked,
        bare_brackets,
        list_readers.table,
        open_angles,
        list_readers.records,
        list_readers.lines,
        quoted,
    ),
    3: (
        typed_triples,
        list_readers.from_json,
        bare_brackets,
        list_readers.table,
        list_readers.records,
        list_readers.lines,
    ),
}
