"""Reads one item of a list (`IL-2 (Protein)`, `a -> CID -> b`, …) into the tuple of its form."""

from __future__ import annotations

import re

from medinst_eval.parsers.clean import fold
from medinst_eval.parsers.shapes import (
    FIELDS,
    LONGEST_MENTION,
    Item,
    Shaper,
    bare,
    is_identifier,
    spell,
    stands_in,
)

LONGEST_ITEM = 2000
"""Characters; what is longer is no item."""

_ANGLE = re.compile(r"<([^<>\n]{1,400})>")
ASIDE = re.compile(r"[(\[<]([^()\[\]<>\n]{1,400})[)\]>]")
"""What stands in brackets behind a mention."""
_JOINT = re.compile(r">\s{0,4}(?:,|\||;|-+>|→|:)?\s{0,4}<")
_KEYED = re.compile(
    r"(?:^|[,;|]\s{0,4})\s{0,4}[\"'*]{0,3}([A-Za-z][\w ]{0,30}?)[\"'*]{0,3}\s{0,2}[:=]\s{0,4}"
)
_ARROW = re.compile(r"\s{0,4}(?:-{1,3}>|→|=>|⟶|<->|↔)\s{0,4}")
_SEPARATORS = (
    _ARROW,
    re.compile(r"\s{0,4}\|\s{0,4}"),
    re.compile(r"\s{0,4};\s{1,4}"),
    re.compile(r"\t+"),
    re.compile(r",\s{1,4}"),
    re.compile(r":\s{1,4}"),
    re.compile(r"\s[-–—]\s"),
    re.compile(r","),
)
_ANY = re.compile(r"\s{0,4}(?:-{1,3}>|→|=>|[|;]|,\s|:\s|\s[-–—]\s|\t)\s{0,4}")
_MIXED = re.compile(r"\s{0,4}(?:-{1,3}>|→|=>|\||;\s|:\s|\s[-–—]\s|\t)\s{0,4}")
_LABELLED_ARROW = re.compile(r"-\s{0,2}\[?[A-Za-z][\w-]{0,40}\]?\s{0,2}-{1,3}>")
_EDGES = " \t-–—>→=|:;,.()[]<>\"'*"
_TWO = re.compile(r"\s*(?:-{1,3}>|→|[|;,]|\s[-–—]\s)\s*")
_CLOSING = {")": "(", "]": "[", "}": "{"}


def is_type(shaper: Shaper, text: str) -> bool:
    """Whether a text is a type of the closed set, or (links) a list of identifiers."""
    if shaper.form == "links":
        return all(is_identifier(part) for part in text.split(", "))
    return spell(text, shaper.context.labels) is not None


def in_input(shaper: Shaper, text: str) -> bool:
    """Whether the input holds the text, not cut out of a longer word."""
    return stands_in(text, shaper.context.input)


def unwrap(text: str) -> str:
    """An item without emphasis and without the bracket around the whole of it."""
    text = text.strip().replace("**", "").strip("`").strip()
    while len(text) >= 2 and _CLOSING.get(text[-1]) == text[0] and _encloses(text):
        text = text[1:-1].strip()
    return text


def _encloses(text: str) -> bool:
    """Whether the first bracket is closed by the last sign and not before."""
    depth = 0
    for place, sign in enumerate(text):
        if sign == text[0]:
            depth += 1
        elif sign == text[-1]:
            depth -= 1
            if depth == 0:
                return place == len(text) - 1
    return False


def pair(shaper: Shaper, text: str) -> Item | None:
    """An entity or link: `mention <type>`, `mention (type)`, `mention: type`, `type: mention` …

    Without angle brackets the type must be of the closed set, or look like an identifier.
    """
    if len(text) > LONGEST_ITEM:
        return None
    item = _pair(shaper, unwrap(text))
    if item and any(is_type(shaper, match[1]) for match in ASIDE.finditer(item[0])):
        # Several items in a row, unless the input has the whole as one mention.
        return item if in_input(shaper, item[0]) else None
    return item


def _pair(shaper: Shaper, text: str) -> Item | None:
    stated = keyed(shaper, text)
    if stated:
        return stated
    if text[:1] == "[" and text[-1:] == "]":
        # The mention's own brackets are unbalanced.
        inner = pair(shaper, text[1:-1])
        if inner and in_input(shaper, inner[0]):
            return inner
    if text.endswith(">"):
        mention, mark, kind = text[:-1].rpartition("<")
        if mark and ">" not in kind and mention.strip() and kind.strip():
            return shaper.item((unwrap(mention), kind))
    if text[-1:] in _CLOSING:
        start = _opening(text)
        mention, kind = text[: max(start, 0)], text[start + 1 : -1]
        kind = re.sub(r"^type:\s?", "", kind.strip(), flags=re.IGNORECASE)
        if mention.strip() and is_type(shaper, kind):
            return shaper.item((unwrap(mention), kind))
    return _links(shaper, text) if shaper.form == "links" else _entity(shaper, text)


def _opening(text: str) -> int:
    """Place of the bracket that the last sign closes; -1 where there is none."""
    depth = 0
    for place in range(len(text) - 1, -1, -1):
        if text[place] == text[-1]:
            depth += 1
        elif text[place] == _CLOSING[text[-1]]:
            depth -= 1
            if depth == 0:
                return place
    return -1


def _links(shaper: Shaper, text: str) -> Item | None:
    """The first separator behind which nothing but identifiers follow."""
    for place in _ANY.finditer(text):
        left, right = text[: place.start()], text[place.end() :]
        if left.strip() and is_type(shaper, bare(right)):
            return shaper.item((unwrap(left), right))
    return None


def _entity(shaper: Shaper, text: str) -> Item | None:
    """The last separator with a type behind it, else the first with a type before it."""
    for separator in _SEPARATORS:
        places = list(separator.finditer(text))
        if not places:
            continue
        left, right = text[: places[-1].start()], text[places[-1].end() :]
        if left.strip() and is_type(shaper, bare(right)):
            return shaper.item((unwrap(left), right))
        left, right = text[: places[0].start()], text[places[0].end() :]
        if right.strip() and is_type(shaper, bare(left)):
            return shaper.item((right, left))
    return None


def triple(shaper: Shaper, text: str) -> Item | None:
    """A relation or event: angle brackets, arrows, bars, commas …; an arrow alone parts a pair."""
    if len(text) > LONGEST_ITEM:
        return None
    text = unwrap(text.strip().rstrip(".,;"))
    stated = keyed(shaper, text) or _angles(shaper, text)
    if stated:
        return stated
    labelled = _around(shaper, text) if _LABELLED_ARROW.search(text) else None
    if labelled:
        return labelled
    for separator in (*_SEPARATORS, _MIXED, _ANY):
        parts = [part for part in separator.split(text) if part.strip()]
        if len(parts) >= 3 and any(is_type(shaper, bare(part)) for part in parts):
            item = arrange(shaper, parts)
            if item:
                return item
    around = _around(shaper, text)
    if around:
        return around
    parts = _ARROW.split(text)
    if shaper.form == "relations" and len(parts) == 2 and all(part.strip() for part in parts):
        return shaper.item((parts[0], "", parts[1]))
    return None


def _around(shaper: Shaper, text: str) -> Item | None:
    """Two fields that stand in the input, and the type: `a CID b`, `a - b (CID)`, `CID(a, b)`."""
    if not shaper.context.input or not shaper.context.labels:
        return None
    places = [
        (match.start(), match.end())
        for label in shaper.context.labels
        for match in re.finditer(rf"(?<!\w){re.escape(label)}(?!\w)", text)
    ]
    if len(places) != 1:
        return None
    start, end = places[0]
    before, after = text[:start].strip(_EDGES), text[end:].strip(_EDGES)
    fields = [before, after] if before and after else _TWO.split(before or after)
    if len(fields) != 2 or not all(in_input(shaper, field) for field in fields):
        return None
    return shaper.item([text[start:end], *fields])


def _angles(shaper: Shaper, text: str) -> Item | None:
    """`<a> <b> <c>`, and `a <relation> b`."""
    parts: list[str] = []
    if text.startswith("<") and text.endswith(">"):
        parts = _JOINT.split(text[1:-1])
    middle = [match for match in _ANGLE.finditer(text) if is_type(shaper, match[1])]
    if len(parts) < 3 and len(middle) == 1:
        before, after = text[: middle[0].start()], text[middle[0].end() :]
        parts = [before, middle[0][1], after] if before.strip() else []
    return arrange(shaper, parts)


def arrange(shaper: Shaper, parts: list[str]) -> Item | None:
    """Three fields from parts that may be more: the type tells where an entity ends."""
    parts = [bare(part) for part in parts]
    if len(parts) < 3 or not all(parts):
        return None
    if len(parts) == 3:
        return shaper.item(parts)
    named = [n for n, part in enumerate(parts) if spell(part, shaper.context.labels)]
    if len(named) != 1:
        return None
    place = named[0]
    if shaper.form == "relations" and 0 < place < len(parts) - 1:
        head, tail = ", ".join(parts[:place]), ", ".join(parts[place + 1 :])
        return shaper.item([head, parts[place], tail])
    if shaper.form == "events" and place == 0:
        return shaper.item([parts[0], parts[1], ", ".join(parts[2:])])
    return None


def keyed(shaper: Shaper, text: str) -> Item | None:
    """`entity: IL-2, type: Protein`."""
    keys = list(_KEYED.finditer(text))
    if not keys:
        return None
    ends = [key.start() for key in keys[1:]] + [len(text)]
    record = {key[1]: text[key.end() : end] for key, end in zip(keys, ends, strict=True)}
    known = [name for names in FIELDS[shaper.form] for name in names]
    if sum(fold(name) in known for name in record) < min(2, shaper.size):
        return None
    return shaper.record(record)


def single(shaper: Shaper, text: str) -> Item | None:
    """One item of any form; in the forms of one or two fields a mention alone will do."""
    if shaper.size == 3:
        return triple(shaper, text)
    if shaper.size == 2:
        item = pair(shaper, text)
        if item:
            return item
    text = unwrap(text)
    return shaper.untyped(text) if len(text) <= LONGEST_MENTION else None


def comma_list(shaper: Shaper, text: str) -> list[str]:
    """Parts of a comma list; neighbours are joined again where the input has them as one."""
    parts = [part.strip() for part in re.split(r"[,;]\s|\n", text.rstrip(" .")) if part.strip()]
    joined: list[str] = []
    for part in parts:
        if joined and not (in_input(shaper, part) and in_input(shaper, joined[-1])):
            both = f"{joined[-1]}, {part}"
            if in_input(shaper, both):
                joined[-1] = both
                continue
        joined.append(part)
    return joined


def is_comma_list(shaper: Shaper, text: str) -> bool:
    """Whether a text is rather a list of mentions than one: the input tells."""
    if "," not in text or len(text) > 20 * LONGEST_ITEM or in_input(shaper, text):
        return False
    parts = comma_list(shaper, text)
    found = sum(in_input(shaper, bare(part)) for part in parts)
    return len(parts) >= 2 and 2 * found >= len(parts)
