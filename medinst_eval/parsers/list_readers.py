"""Tolerant readers of lists as JSON, tables and lines."""

from __future__ import annotations

import re

from medinst_eval.parsers import structured
from medinst_eval.parsers.clean import fold
from medinst_eval.parsers.items import (
    LONGEST_ITEM,
    comma_list,
    in_input,
    is_type,
    keyed,
    pair,
    single,
    triple,
    unwrap,
)
from medinst_eval.parsers.shapes import FIELDS, Item, Shaper, bare, spell

_BULLET = re.compile(
    r"\s{0,20}(?:[-*+•·–>]{1,2}\s{1,4}|\(?\d{1,4}[.)]\s{1,4}){0,2}(?:\[[ x]?\]\s)?"
)
_FIELD = re.compile(r"[\"']([A-Za-z][\w ]{0,30})[\"']\s{0,3}:")


def unbullet(line: str) -> str:
    """A line without its bullet or number."""
    match = _BULLET.match(line)
    return line[match.end() :] if match else line


def from_json(shaper: Shaper, text: str) -> list[Item]:
    """JSON: objects with named fields, lists of fields, type -> mentions, mention -> type."""
    items: list[Item] = []
    stack: list[tuple[structured.Value, str]] = [(structured.read(text), "")]
    while stack:
        value, kind = stack.pop()
        if isinstance(value, list):
            item = _from_fields(shaper, value)
            if item:
                items.append(item)
                continue
            stack += [(child, kind) for child in reversed(value)]
        elif isinstance(value, dict):
            item = shaper.record(_texts(value))
            if item:
                items.append(item)
            else:
                stack += reversed(_children(shaper, value, kind))
        elif isinstance(value, str) and value.strip() and len(value) <= LONGEST_ITEM:
            item = shaper.item((value, kind)) if kind else single(shaper, value)
            if item:
                items.append(item)
    return items


def _texts(value: dict[str, structured.Value]) -> dict[str, str]:
    """Plain fields of an object; a list of texts counts as its texts, joined."""
    texts: dict[str, str] = {}
    for name, field in value.items():
        if isinstance(field, list) and field and all(isinstance(part, str) for part in field):
            if fold(name) in FIELDS["links"][1] or len(field) == 1:
                texts[name] = ", ".join(str(part) for part in field)
        elif isinstance(field, str) and field.strip():
            texts[name] = field
        elif isinstance(field, (int, float)) and not isinstance(field, bool):
            texts[name] = str(field)
    return texts


def _children(
    shaper: Shaper, value: dict[str, structured.Value], kind: str
) -> list[tuple[structured.Value, str]]:
    """Fields of an object that is no record: its names may be types, or mentions."""
    children: list[tuple[structured.Value, str]] = []
    for name, field in value.items():
        as_type = spell(name, shaper.context.labels) if shaper.size == 2 else None
        if as_type is not None:
            children.append((field, as_type))
        elif isinstance(field, str) and shaper.size == 2 and is_type(shaper, field):
            children.append(([name, field], ""))
        elif isinstance(field, (list, dict)):
            children.append((field, kind))
    return children


def _from_fields(shaper: Shaper, value: list[structured.Value]) -> Item | None:
    """A list that is one item: as many texts as fields, one of them a type or identifier."""
    if shaper.size == 1 or len(value) != shaper.size:
        return None
    fields = [part for part in value if isinstance(part, str)]
    if len(fields) != len(value) or not any(is_type(shaper, field) for field in fields):
        return None
    return shaper.item(fields)


def table(shaper: Shaper, text: str) -> list[Item]:
    """A table with bars: columns by their heads, else by place."""
    items: list[Item] = []
    head: list[str] | None = None
    first = True
    for line in text.split("\n"):
        if line.count("|") < max(1, shaper.size - 1) or len(line) > 4 * LONGEST_ITEM:
            continue
        cells = [bare(cell) for cell in unbullet(line).strip().strip("|").split("|")]
        if all(set(cell) <= set("-: =") for cell in cells):
            continue
        if first:
            first = False
            known = [fold(cell) in names for cell in cells for names in FIELDS[shaper.form]]
            if any(known) and not any(is_type(shaper, cell) for cell in cells):
                head = cells
                continue
        item = _row(shaper, cells, head)
        if item:
            items.append(item)
    return items


def _row(shaper: Shaper, cells: list[str], head: list[str] | None) -> Item | None:
    if head and len(head) == len(cells):
        item = shaper.record(dict(zip(head, cells, strict=True)))
        if item:
            return item
    if cells and re.fullmatch(r"\d{1,4}\.?", cells[0]) and len(cells) > shaper.size:
        cells = cells[1:]
    if len(cells) < shaper.size:
        return None
    if shaper.size == 1:
        return shaper.untyped(cells[0])
    if not any(is_type(shaper, cell) for cell in cells[: shaper.size]):
        return None
    return shaper.item(cells[: shaper.size])


def lines(shaper: Shaper, text: str) -> list[Item]:
    """One item a line: `- IL-2 (Protein)`, `IL-2: Protein`, `a -> CID -> b`; types as headings."""
    items: list[Item] = []
    heading = ""
    for raw in text.split("\n"):
        line = unbullet(raw).strip()
        if not line or len(line) > LONGEST_ITEM or _is_field(shaper, line):
            continue
        if shaper.size == 3:
            item = triple(shaper, line)
            items += [item] if item else []
            continue
        title = line.strip("#*_: ")
        named = spell(title, shaper.context.labels) if shaper.size == 2 else None
        if named is not None and not in_input(shaper, line):
            heading = named
            continue
        listed = unbullet(raw) != raw.lstrip()
        items += _line(shaper, line.rstrip(",;"), heading, listed=listed)
    return items


def _is_field(shaper: Shaper, line: str) -> bool:
    """A line of JSON: `"type": "Protein"`."""
    field = _FIELD.match(line)
    return field is not None and any(fold(field[1]) in names for names in FIELDS[shaper.form])


def records(shaper: Shaper, text: str) -> list[Item]:
    """One field a line, as in YAML: `entity: IL-2`, `type: Protein`; a name that comes again
    starts the next item."""
    items: list[Item] = []
    record: dict[str, str] = {}
    known = frozenset().union(*FIELDS[shaper.form])
    for line in (*text.split("\n"), ""):
        name, mark, value = unbullet(line).strip().partition(":")
        key = fold(name) if mark and len(name) <= 40 else ""
        if key in known and value.strip():
            if key in record:
                items += _recorded(shaper, record)
                record = {}
            record[key] = value.strip(" ,")
    return items + _recorded(shaper, record)


def _recorded(shaper: Shaper, record: dict[str, str]) -> list[Item]:
    item = shaper.record(record) if len(record) >= min(2, shaper.size) else None
    return [item] if item else []


def _several(shaper: Shaper, line: str) -> list[Item]:
    """Items on one line: `IL-2 (Protein), T cells (Cell)`, or mentions that the input all has."""
    line = unwrap(line)
    for separator in (r";\s", r"[,;]\s"):
        parts = [part for part in re.split(separator, line.rstrip(" .")) if part.strip()]
        if len(parts) < 2:
            continue
        if shaper.size == 2:
            found = [pair(shaper, part) for part in parts]
            items = [item for item in found if item]
            if len(items) == len(parts):
                return items
    parts = comma_list(shaper, line)
    if len(parts) < 2 or not all(in_input(shaper, part) for part in parts):
        return []
    found = [shaper.untyped(part) for part in parts]
    return [item for item in found if item]


def _line(shaper: Shaper, line: str, heading: str, *, listed: bool) -> list[Item]:
    if shaper.size == 2:
        found = keyed(shaper, line)
        items = [found] if found else _group(shaper, line)
        if items:
            return items
        found = pair(shaper, line) or pair(shaper, line.rstrip("."))
        if found and in_input(shaper, found[0]):
            return [found]
        several = _several(shaper, line)
        if several or found:
            return several or [item for item in (found,) if item]
    elif not in_input(shaper, line):
        several = _several(shaper, line)
        if several:
            return several
    if not listed and not heading and not in_input(shaper, line):
        return []
    mention = unwrap(line)
    if not in_input(shaper, mention):
        mention = bare(re.split(r"\s[-–—(]|:\s", mention)[0])
    short = listed and len(line) < 120
    if len(mention.split()) > 12 or not (in_input(shaper, mention) or short):
        return []
    item = shaper.item((mention, heading)) if heading else shaper.untyped(mention)
    return [item] if item else []


def _group(shaper: Shaper, line: str) -> list[Item]:
    """`Protein: IL-2, IL-15`."""
    name, mark, rest = line.partition(":")
    rest = rest.strip("*_ ")
    kind = spell(name.strip("*_ "), shaper.context.labels) if mark else None
    if kind is None or shaper.form != "entities" or not rest or is_type(shaper, rest):
        return []
    items = [shaper.item((part, kind)) for part in comma_list(shaper, rest)]
    return [item for item in items if item]
