"""Parsers for lists in brackets: entities, links, relations, events and mentions."""

from __future__ import annotations

import re
from collections import Counter

from medinst_eval.parsers import bracket_readers, clean, structured
from medinst_eval.parsers.items import in_input, is_comma_list, is_type
from medinst_eval.parsers.shapes import BracketForm, Item, Shaper
from medinst_eval.types import ParseContext, ParsedAnswer

_BETWEEN = re.compile(r"(?<=\])\s+(?=\[)")
_BETWEEN_TYPED = re.compile(r"(?<=>\])\s+(?=\[)")
_ANGLE = re.compile(r"<([^<>]{1,400})>")
_EMPTY = re.compile(r"[\[{(\s]+[\]})\s]+")
_BRACKET = re.compile(r"[\[\]]")
_PARTS = re.compile(r">\s+<")
_NONE = re.compile(
    r"(?:answer|entities|relations|events|mentions|co-?references|output|result)?\s{0,2}:?\s{0,2}"
    r"(?:none|null|nil|n/a|no|not any|empty|nothing|(?:there|i|we|the text|the sentence|it)\s"
    r"(?:are|is|were|was|found|find|see|contains?|do(?:es)? not|could not|can't|cannot|mentions?|"
    r"has|have|don't|doesn't|did not|didn't)\b)"
    r"[^\[\]{}<>]{0,200}",
    re.IGNORECASE,
)
_DENIAL = re.compile(r"\b(?:no|none|not|n't|nothing|null|nil|n/a|empty|without)\b|n't\b", re.I)
_SUBJECT = re.compile(
    r"entit|mention|relation|event|co-?refer|gene|protein|disease|chemical|found|identif|present"
    r"|variant|result|trigger|interact|any|applicable|such|specified|extract",
    re.IGNORECASE,
)


def parse(form: BracketForm, text: str, context: ParseContext) -> ParsedAnswer:
    """Read a list of tuples, in the benchmark's form or in any other that is plain to see.

    A statement that there is nothing ("No entities found", `[]`) is an empty list; text that
    holds no list is unparsed. A list repeated in a loop counts once.
    """
    if not text.strip():
        return ParsedAnswer(status="empty")
    shaper = Shaper(form=form, context=context)
    if len(text) > clean.LONGEST:
        strict = _strict(form, text, context, trusting=False)
        if strict:
            return ParsedAnswer(status="ok", value=_once(form, strict, text, context))
        return ParsedAnswer(status="unparsed", note=clean.TOO_LONG)
    exact = _exact(shaper, text)
    if exact:
        return ParsedAnswer(status="ok", value=exact)
    prepared = clean.straighten_brackets(clean.prepare(text, context))
    exact = _exact(shaper, prepared) or _exact(shaper, clean.strip_prefix(prepared))
    if exact:
        return ParsedAnswer(status="ok", value=exact)
    items = tuple(bracket_readers.read(shaper, prepared))
    if items:
        return ParsedAnswer(status="ok", value=_once(form, items, prepared, context))
    if says_none(prepared):
        return ParsedAnswer(status="ok", value=())
    return ParsedAnswer(status="unparsed", note=f"no {form} in a form that can be read")


def parse_gold(form: BracketForm, text: str, context: ParseContext) -> ParsedAnswer:
    """Read a gold list; an empty gold is an empty list."""
    if not text.strip():
        return ParsedAnswer(status="ok", value=())
    strict = _strict(form, text, context, trusting=True)
    if strict is None:
        return ParsedAnswer(status="unparsed", note=f"not {form} in the benchmark's form")
    return ParsedAnswer(status="ok", value=strict)


def _exact(shaper: Shaper, text: str) -> tuple[Item, ...]:
    """The items of a text in the benchmark's own form; none where it is not."""
    strict = _strict(shaper.form, text, shaper.context, trusting=False)
    if not strict or _disguised(shaper, strict):
        return ()
    kept = tuple(item for item in map(shaper.polish, strict) if item)
    return _once(shaper.form, kept, text, shaper.context)


def _disguised(shaper: Shaper, items: tuple[Item, ...]) -> bool:
    """Whether items in the benchmark's form are rather lists in JSON or with commas."""
    if shaper.form in ("entities", "links"):
        inner = [match[1] for item in items for match in _ANGLE.finditer(item[0])]
        return any(is_type(shaper, kind) for kind in inner)
    if shaper.form != "mentions":
        return False
    return any(
        is_comma_list(shaper, item[0]) or (item[0][:1] in "\"'{[" and not in_input(shaper, item[0]))
        for item in items
    )


def says_none(text: str) -> bool:
    """Whether a short text states that there is nothing to list, in words or as empty JSON."""
    if len(text) > 300:
        return False
    if text[:1] in ("[", "{") and structured.hollow(structured.read(text)):
        return True
    bare = clean.strip_wrapping(clean.strip_prefix(text)).strip("*_\"'` \t\n.[]{}()<>")
    if not bare:
        return _EMPTY.fullmatch(text) is not None
    if _NONE.fullmatch(bare) is None or _DENIAL.search(bare) is None:
        return False
    return len(bare) <= 10 or _SUBJECT.search(bare) is not None


def _strict(
    form: BracketForm, text: str, context: ParseContext, *, trusting: bool
) -> tuple[Item, ...] | None:
    """The items of a text that holds nothing but items in the benchmark's form, else None.

    Args:
        form: One of the bracket forms.
        text: An answer.
        context: Its row.
        trusting: Brackets inside a mention may be unbalanced (golds); otherwise they may only
            where the mention stands so in the input.
    """
    text = text.strip()
    if not (text.startswith("[") and text.endswith("]")):
        return None
    between = _BETWEEN if form == "mentions" else _BETWEEN_TYPED
    pieces = _balanced(text) or between.split(text)
    items: list[Item] = []
    for piece in pieces:
        if not (piece.startswith("[") and piece.endswith("]")):
            return None
        item = _ITEMS[form](piece[1:-1], context)
        if item is None:
            return None
        if not trusting and not _one_bracket(piece) and item[0] not in context.input:
            return None
        items.append(item)
    return tuple(items)


def _balanced(text: str) -> list[str] | None:
    """Top-level brackets of a text that has only white space between them, else None."""
    pieces: list[str] = []
    depth = start = end = 0
    for match in _BRACKET.finditer(text):
        if match[0] == "[":
            if depth == 0:
                start = match.start()
                if text[end:start].strip():
                    return None
            depth += 1
        else:
            depth -= 1
            if depth < 0:
                return None
            if depth == 0:
                end = match.end()
                pieces.append(text[start:end])
    return pieces if depth == 0 and not text[end:].strip() else None


def _one_bracket(piece: str) -> bool:
    found = _balanced(piece)
    return found is not None and len(found) == 1


def _typed(content: str, _: ParseContext) -> Item | None:
    """`mention <type>`; the mention may hold any sign, the type no angle bracket."""
    if not content.endswith(">"):
        return None
    mention, mark, kind = content[:-1].rpartition("<")
    if not mark or ">" in kind or not kind.strip() or not mention.strip() or ">]" in mention:
        return None
    if not mention[-1].isspace():
        return None
    return mention.strip(), kind.strip()


def _mention(content: str, _: ParseContext) -> Item | None:
    return (content.strip(),) if content.strip() else None


def _three(content: str) -> list[str] | None:
    content = content.strip()
    if not (content.startswith("<") and content.endswith(">")) or ">]" in content:
        return None
    return [part.strip() for part in _PARTS.split(content[1:-1])]


def _relation(content: str, context: ParseContext) -> Item | None:
    """`<head> <relation> <tail>`; angle brackets inside an entity are told by the relation."""
    parts = _three(content)
    if parts is None or len(parts) < 3:
        return None
    if len(parts) > 3:
        named = [n for n, part in enumerate(parts) if part in context.labels]
        if len(named) != 1 or not 0 < named[0] < len(parts) - 1:
            return None
        place = named[0]
        parts = ["> <".join(parts[:place]), parts[place], "> <".join(parts[place + 1 :])]
    return tuple(parts) if all(parts) else None


def _event(content: str, _: ParseContext) -> Item | None:
    """`<type> <trigger> <theme>`; angle brackets more than needed belong to the theme."""
    parts = _three(content)
    if parts is None or len(parts) < 3:
        return None
    parts = [*parts[:2], "> <".join(parts[2:])]
    return tuple(parts) if all(parts) else None


_ITEMS = {
    "entities": _typed,
    "links": _typed,
    "relations": _relation,
    "events": _event,
    "mentions": _mention,
}


def _once(
    form: BracketForm, items: tuple[Item, ...], text: str, context: ParseContext
) -> tuple[Item, ...]:
    """One turn of a list that a model repeats in a loop (the last turn may be cut off).

    Repeats are legal (each occurrence of a mention counts), so a turn counts as a loop only where
    a mention comes more often than the input has it, or where whole lines are repeated.
    """
    lines = [line.strip() for line in text.strip().split("\n") if line.strip()]
    if len(lines) > 1 and len(set(lines)) == 1 and len(items) > len(lines):
        return items[: len(items) // len(lines)]
    size = _period(items)
    if size is not None and _too_often(form, items, context):
        return items[:size]
    return items


def _too_often(form: BracketForm, items: tuple[Item, ...], context: ParseContext) -> bool:
    source = context.input.casefold()
    if not source:
        return False
    item, count = Counter(items).most_common(1)[0]
    # A relation may be told for each pair of occurrences, an event for each trigger and theme.
    places = {1: (0,), 2: (0,), 3: (0, 2) if form == "relations" else (1, 2)}[len(item)]
    possible = 1
    for place in places:
        possible *= max(1, source.count(item[place].casefold())) if item[place] else 1
    return count > possible


def _period(items: tuple[Item, ...]) -> int | None:
    """Length of the shortest block that makes the list when repeated at least twice, or None."""
    border = [0] * len(items)
    length = 0
    for place in range(1, len(items)):
        while length and items[place] != items[length]:
            length = border[length - 1]
        if items[place] == items[length]:
            length += 1
        border[place] = length
    if not items:
        return None
    period = len(items) - border[-1]
    return period if period < len(items) and 2 * period <= len(items) else None
