"""Tolerant readers behind the bracket forms: each looks for one way of writing a list."""

from __future__ import annotations

import re
from collections.abc import Callable

from medinst_eval.parsers import markup, structured
from medinst_eval.parsers.clean import fold
from medinst_eval.parsers.shapes import FIELDS, Item, Shaper, bare, is_identifier, spell

Reader = Callable[[Shaper, str], list[Item]]

_CLOSER = re.compile(r"<([^<>\n]{1,400})>[\s\"'*`.,;]{0,4}\]")
_TRIPLE_CLOSER = re.compile(r">[\s\"'*`.,;]{0,4}\]")
_ANGLE = re.compile(r"<([^<>\n]{1,400})>")
_JOINT = re.compile(r">\s{0,4}(?:,|\||;|-+>|→|:)?\s{0,4}<")
_BULLET = re.compile(r"\s{0,20}(?:[-*+•·–>]{1,2}\s{1,4}|\(?\d{1,4}[.):]\s{1,4}|\[[ xX]?\]\s){0,2}")
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
_TAIL = re.compile(
    r"^(?P<head>.{1,400}?)\s{0,3}[(\[{](?:type:\s?)?(?P<tail>[^()\[\]{}]{1,300})[)\]}]$"
)
_QUOTED = re.compile(r"[\"“]([^\"“”\n]{1,300})[\"”]")
_LONGEST_LINE = 2000
_LONGEST_MENTION = 300


def read(shaper: Shaper, text: str) -> list[Item]:
    """The items of the first reader that finds any."""
    for reader in _READERS[shaper.size]:
        items = reader(shaper, text)
        if items:
            return items
    return []


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
            if _is_type(shaper, inner[1]) and content[inner.end() :].lstrip()[:1] in (
                ",",
                ";",
                "[",
            ):
                _add(items, shaper, content[position : inner.start()], inner[1])
                position = inner.end()
        _add(items, shaper, content[position:], closer[1])
    return items


def _add(items: list[Item], shaper: Shaper, mention: str, kind: str) -> None:
    mention = mention.strip(" \t\n,;[").rstrip(":") if position_safe(mention) else mention
    if 0 < len(mention) <= _LONGEST_LINE:
        item = shaper.item((mention, kind)) if shaper.size == 2 else shaper.untyped(mention)
        if item:
            items.append(item)


def position_safe(mention: str) -> bool:
    """Whether separators may be cut off: not where they belong to a balanced bracket."""
    return mention.count("[") != mention.count("]") or not mention.lstrip().startswith("[")


def _is_type(shaper: Shaper, text: str) -> bool:
    if shaper.form == "links":
        return is_identifier(text)
    return spell(text, shaper.context.labels) is not None


def marked(shaper: Shaper, text: str) -> list[Item]:
    """Entities in tags: `<span class="Protein">IL-2</span>`, `<Protein>IL-2</Protein>`."""
    items: list[Item] = []
    for body, name in markup.pieces(text):
        if name is None or not body.strip() or len(body) > _LONGEST_MENTION:
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
        if not _is_type(shaper, match[1]):
            continue
        before = text[position : match.start()].rpartition("\n")[2]
        position = match.end()
        mention = re.split(r"[,;]\s", _unbullet(before).strip(" \t,;:-[]"))[-1].strip("[] \t*_`\"'")
        if mention and len(mention.split()) <= 15:
            item = shaper.item((mention, match[1])) if shaper.size == 2 else shaper.untyped(mention)
            if item:
                items.append(item)
    return items


def triples(shaper: Shaper, text: str) -> list[Item]:
    """`[<a> <b> <c>]` with anything between the items, and the same without brackets."""
    items: list[Item] = []
    closers = list(_TRIPLE_CLOSER.finditer(text))
    spans = _openings(text, [(match.start(), match.end()) for match in closers])
    for closer, span in zip(closers, spans, strict=True):
        if span is not None:
            _add_triple(items, shaper, text[span[0] : closer.start() + 1].strip())
    if not items:
        for line in text.split("\n"):
            line = _unbullet(line).strip()
            if len(line) <= _LONGEST_LINE and line.startswith("<"):
                _add_triple(items, shaper, line.rstrip(" .,;"))
    return items


def _add_triple(items: list[Item], shaper: Shaper, content: str) -> None:
    parts: list[str] = []
    if content.startswith("<") and content.endswith(">"):
        parts = _JOINT.split(content[1:-1])
    middle = [match for match in _ANGLE.finditer(content) if _is_type(shaper, match[1])]
    if len(parts) != 3 and len(middle) == 1:
        before, after = content[: middle[0].start()], content[middle[0].end() :]
        parts = [before, middle[0][1], after] if before.strip() else [middle[0][1], after]
    item = _arrange(shaper, parts)
    if item:
        items.append(item)


def _arrange(shaper: Shaper, parts: list[str]) -> Item | None:
    """Three fields from parts that may be more: the type tells where an entity ends."""
    parts = [bare(part) for part in parts]
    if len(parts) < 3 or any(len(part) > _LONGEST_LINE for part in parts):
        return None
    if len(parts) == 3:
        return shaper.item(parts) if all(parts) else None
    named = [n for n, part in enumerate(parts) if spell(part, shaper.context.labels)]
    if len(named) != 1:
        return None
    place = named[0]
    if shaper.form == "relations" and 0 < place < len(parts) - 1:
        parts = [", ".join(parts[:place]), parts[place], ", ".join(parts[place + 1 :])]
        return shaper.item(parts)
    if shaper.form == "events" and place == 0:
        return shaper.item([parts[0], parts[1], ", ".join(parts[2:])])
    return None


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
        elif isinstance(value, str) and value.strip() and len(value) <= _LONGEST_LINE:
            item = _from_string(shaper, value, kind)
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
        elif isinstance(field, str) and shaper.size == 2 and _is_type(shaper, field):
            children.append(([name, field], ""))
        elif isinstance(field, (list, dict)):
            children.append((field, kind))
    return children


def _from_fields(shaper: Shaper, value: list[structured.Value]) -> Item | None:
    """A list that is one item: as many texts as fields, one of them a type or identifier."""
    if shaper.size == 1 or len(value) != shaper.size:
        return None
    fields = [part for part in value if isinstance(part, str)]
    if len(fields) != len(value) or not any(_is_type(shaper, field) for field in fields):
        return None
    return shaper.item(fields)


def _from_string(shaper: Shaper, text: str, kind: str) -> Item | None:
    if kind:
        return shaper.item((text, kind))
    if shaper.size == 3:
        return _separated(shaper, text.strip(" []()"))
    inner = text.strip()
    if inner.startswith("[") and inner.endswith("]"):
        inner = inner[1:-1]
    return _pair(shaper, inner) or shaper.untyped(text)


def _pair(shaper: Shaper, text: str) -> Item | None:
    """`mention <type>`, `mention (type)`, `mention: type`, `mention, type` and the other way."""
    if shaper.size != 2 or len(text) > _LONGEST_LINE:
        return None
    angle = re.fullmatch(r"(.{1,1000}?)\s{0,3}<([^<>]{1,400})>", text, re.DOTALL)
    if angle:
        return shaper.item((angle[1], angle[2]))
    tail = _TAIL.match(text)
    if tail and _is_type(shaper, tail["tail"]):
        return shaper.item((tail["head"], tail["tail"]))
    for separator in _SEPARATORS:
        places = list(separator.finditer(text))
        for place in [*places[-1:], *places[:1]]:
            left, right = text[: place.start()], text[place.end() :]
            if left.strip() and _is_type(shaper, bare(right)):
                return shaper.item((left, right))
            if right.strip() and _is_type(shaper, bare(left)) and shaper.form == "entities":
                return shaper.item((right, left))
    return None


def _separated(shaper: Shaper, text: str) -> Item | None:
    """Three fields parted by arrows, bars, semicolons, commas …; an arrow alone parts two."""
    if len(text) > _LONGEST_LINE:
        return None
    keyed = _keyed(shaper, text)
    if keyed:
        return keyed
    for separator in _SEPARATORS:
        parts = [part for part in separator.split(text) if part.strip()]
        if len(parts) >= 3 and any(_is_type(shaper, bare(part)) for part in parts):
            item = _arrange(shaper, parts)
            if item:
                return item
    parts = _ARROW.split(text)
    if shaper.form == "relations" and len(parts) == 2 and all(part.strip() for part in parts):
        return shaper.item((parts[0], "", parts[1]))
    return None


def _keyed(shaper: Shaper, text: str) -> Item | None:
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


def table(shaper: Shaper, text: str) -> list[Item]:
    """A table with bars: columns by their heads, else by place."""
    items: list[Item] = []
    head: list[str] | None = None
    first = True
    for line in text.split("\n"):
        if line.count("|") < max(1, shaper.size - 1) or len(line) > 4 * _LONGEST_LINE:
            continue
        cells = [bare(cell) for cell in line.strip().strip("|").split("|")]
        if all(set(cell) <= set("-: =") for cell in cells):
            continue
        if first:
            first = False
            known = [fold(cell) in names for cell in cells for names in FIELDS[shaper.form]]
            if sum(known) >= 1 and not any(_is_type(shaper, cell) for cell in cells):
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
    if not any(_is_type(shaper, cell) for cell in cells[: shaper.size]):
        return None
    return shaper.item(cells[: shaper.size])


def lines(shaper: Shaper, text: str) -> list[Item]:
    """One item a line: `- IL-2 (Protein)`, `IL-2: Protein`, `a -> CID -> b`; types as headings."""
    items: list[Item] = []
    heading = ""
    for raw in text.split("\n"):
        line = _unbullet(raw).strip().strip("*_").strip()
        if not line or len(line) > _LONGEST_LINE:
            continue
        listed = _unbullet(raw) != raw.lstrip()
        if shaper.size == 3:
            item = _separated(shaper, line.strip("[]().,; "))
            items += [item] if item else []
            continue
        title = spell(line.strip("#*_: "), shaper.context.labels) if shaper.size == 2 else None
        if title is not None and line.rstrip("*_ ").endswith((":", title)):
            heading = title
            continue
        items += _line(shaper, line.rstrip(",;"), heading, listed)
    return items


def _line(shaper: Shaper, line: str, heading: str, listed: bool) -> list[Item]:
    keyed = _keyed(shaper, line)
    if keyed:
        return [keyed]
    group = _group(shaper, line)
    if group:
        return group
    pair = _pair(shaper, line) or _pair(shaper, line.rstrip("."))
    if pair:
        return [pair]
    if not listed and not heading and not _in_input(shaper, line):
        return []
    mention = line if _in_input(shaper, line) else re.split(r"\s[-–—(]|:\s", line)[0]
    mention = mention.strip().strip("*_`\"'")
    if len(mention.split()) > 12 or not (
        _in_input(shaper, mention) or (listed and len(line) < 120)
    ):
        return []
    item = shaper.item((mention, heading)) if heading else shaper.untyped(mention)
    return [item] if item else []


def _group(shaper: Shaper, line: str) -> list[Item]:
    """`Protein: IL-2, IL-15`."""
    name, mark, rest = line.partition(":")
    kind = spell(name.strip("*_ "), shaper.context.labels) if mark and shaper.size == 2 else None
    if kind is None or shaper.form != "entities" or not rest.strip("*_ "):
        return []
    items = [shaper.item((part, kind)) for part in _parts(shaper, rest.strip("*_ "))]
    return [item for item in items if item]


def _parts(shaper: Shaper, text: str) -> list[str]:
    """A comma list; neighbours are joined again where the input has them as one."""
    parts = [part.strip() for part in re.split(r"[,;]\s", text.rstrip(" .")) if part.strip()]
    joined: list[str] = []
    for part in parts:
        if joined and not (_in_input(shaper, part) and _in_input(shaper, joined[-1])):
            both = f"{joined[-1]}, {part}"
            if len(both) <= _LONGEST_MENTION and _in_input(shaper, both):
                joined[-1] = both
                continue
        joined.append(part)
    return joined


def bare_brackets(shaper: Shaper, text: str) -> list[Item]:
    """`[mention]`, `[mention, type]`, `[a, b]` (a comma list in one bracket), `(a, CID, b)`."""
    contents = _contents(text, "[", "]") or (_contents(text, "(", ")") if shaper.size == 3 else [])
    items: list[Item] = []
    for content in contents:
        if re.fullmatch(r"[\d,;\s-]{1,20}", content) and not _in_input(shaper, f"[{content}]"):
            continue
        item: Item | None
        if shaper.size == 3:
            item = _separated(shaper, content)
        else:
            item = _keyed(shaper, content) or _pair(shaper, content)
            if item is None and (len(contents) == 1 or shaper.size == 1):
                parts = _parts(shaper, content)
                if _is_list(shaper, content, parts):
                    found = [shaper.untyped(part) for part in parts]
                    items += [one for one in found if one]
                    continue
            item = item or (shaper.untyped(content) if len(content) <= _LONGEST_MENTION else None)
        if item:
            items.append(item)
    return items


def _is_list(shaper: Shaper, content: str, parts: list[str]) -> bool:
    if len(parts) < 2 or _in_input(shaper, content):
        return False
    return sum(_in_input(shaper, bare(part)) for part in parts) * 2 >= len(parts)


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
    if re.fullmatch(r"[\s,;.]*(?:and|or)?[\s,;.]*", rest) is None:
        return []
    found = [shaper.untyped(match[1]) for match in _QUOTED.finditer(text)]
    return [item for item in found if item]


def _in_input(shaper: Shaper, text: str) -> bool:
    text = text.strip()
    return bool(text) and len(text) <= _LONGEST_MENTION and text in shaper.context.input


def _unbullet(line: str) -> str:
    match = _BULLET.match(line)
    return line[match.end() :] if match else line


_READERS: dict[int, tuple[Reader, ...]] = {
    1: (from_json, marked, table, bare_brackets, quoted, lines),
    2: (typed_brackets, marked, from_json, table, open_angles, lines, bare_brackets, quoted),
    3: (triples, from_json, table, bare_brackets, lines),
}
