"""Reads a text whose entities stand in tags: `<span class="Protein">IL-2</span>`."""

from __future__ import annotations

import re

_TAG = re.compile(
    r"<(?P<close>/)?(?P<name>[A-Za-z][\w.-]{0,60})(?P<rest>(?:\s[^<>]{0,300})?)(?P<empty>/)?>"
)
_CLASS = re.compile(
    r"(?:class|type|label|data-type|data-label|title|category)\s?=\s?[\"']?([^\"'>]{1,80})",
    re.IGNORECASE,
)
_PLAIN = frozenset({
    "p", "br", "div", "body", "html", "example", "sentence", "text", "output", "answer", "ul",
    "ol", "li", "hr", "pre", "code",
})  # fmt: skip
_UNTYPED = frozenset(
    {"span", "mark", "b", "strong", "em", "i", "u", "font", "entity", "ent", "mention", "e", "a"}
)


def pieces(text: str) -> list[tuple[str, str | None]]:
    """Take a marked text apart, in order.

    Returns:
        (text, name): name is None outside tags, the type inside them ("" where the tag tells
        none). Tags inside tags belong to the outer one; an opened tag that is never closed is
        plain text.
    """
    tags = [tag for tag in _TAG.finditer(text) if tag["name"].casefold() not in _PLAIN]
    last_close: dict[str, int] = {}
    for number, tag in enumerate(tags):
        if tag["close"]:
            last_close[tag["name"].casefold()] = number
    parts: list[tuple[str, str | None]] = []
    position = 0
    inside: re.Match[str] | None = None
    depth = 0
    for number, tag in enumerate(tags):
        name = tag["name"].casefold()
        if inside is None:
            if tag["close"] or tag["empty"] or last_close.get(name, -1) <= number:
                continue
            parts.append((text[position : tag.start()], None))
            inside, depth, position = tag, 1, tag.end()
        elif name == inside["name"].casefold():
            depth += -1 if tag["close"] else 1
            if depth == 0:
                parts.append((_bare(text[position : tag.start()]), _type(inside)))
                inside, position = None, tag.end()
    parts.append((text[position:], None))
    return [(body, name) for body, name in parts if body]


def _bare(text: str) -> str:
    return _TAG.sub("", text)


def _type(tag: re.Match[str]) -> str:
    stated = _CLASS.search(tag["rest"] or "")
    if stated:
        return stated[1].strip()
    return "" if tag["name"].casefold() in _UNTYPED else tag["name"]
