"""Reads JSON-like data out of a text, forgiving what models get wrong; linear, no recursion."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

Value = str | float | None | bool | list["Value"] | dict[str, "Value"]

_START = re.compile(r"[\[{]\s*(?=[\[{\"'“\]}(]|-?\d)")
_TOKEN = re.compile(
    r"\s*(?:(?P<open>[\[{(])|(?P<close>[\]})])|(?P<sep>[:,])"
    r"|\"(?P<double>(?:[^\"\\]|\\.)*)\"|'(?P<single>(?:[^'\\]|\\.|'(?=\w))*)'"
    r"|(?P<word>[^\s\[\]{}(),:\"'][^\[\]{}(),:\n\"]*))",
    re.DOTALL,
)
_PLAIN = re.compile(r"-?\d+(?:\.\d+)?\s*|null|None|[Tt]rue|[Ff]alse")
_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")
_NUMBER = re.compile(r"-?(?:0|[1-9]\d{0,14})(?:\.\d{1,15})?", re.ASCII)
_ESCAPE = re.compile(r"\\(u[0-9a-fA-F]{4}|.)", re.DOTALL)
_ESCAPES = {"n": "\n", "t": "\t", "r": "\r", "b": "\b", "f": "\f"}
_WORDS: dict[str, Value] = {
    "null": None, "None": None, "true": True, "True": True, "false": False, "False": False,
}  # fmt: skip
_MOST_STARTS = 20
_DEEPEST = 50


def read(text: str) -> Value:
    """The JSON values of a text: the only one, or a list of all where there are several.

    Text around the values is ignored. Accepted beside JSON: single quotes, tuples, trailing
    commas, bare words in objects, an end that was cut off. None where there is no such value.
    """
    values: list[Value] = []
    position = 0
    # JSON's own reader makes lone surrogates of broken escapes, which no file can hold.
    exact = _SURROGATE.search(text) is None
    for _ in range(_MOST_STARTS):
        start = _START.search(text, position)
        if start is None:
            break
        decoded = _decode(text, start.start()) if exact else None
        value, position = decoded or _lenient(text, start.start())
        if isinstance(value, (list, dict)):
            values.append(value)
    if not values:
        return None
    return values[0] if len(values) == 1 else values


_DECODER = json.JSONDecoder(strict=False)


def _decode(text: str, start: int) -> tuple[Value, int] | None:
    try:
        return _DECODER.raw_decode(text, start)
    except (ValueError, RecursionError):
        return None


def records(value: Value) -> Iterator[dict[str, Value]]:
    """Innermost objects of a value, and lists of plain values as objects "0", "1", …, in order."""
    stack: list[Value] = [value]
    while stack:
        item = stack.pop()
        if isinstance(item, dict):
            nested = [child for child in item.values() if isinstance(child, (dict, list)) and child]
            if nested and not _is_record(item):
                stack += reversed(nested)
            else:
                yield item
        elif isinstance(item, list):
            if item and all(not isinstance(child, (dict, list)) for child in item):
                yield {str(number): child for number, child in enumerate(item)}
            else:
                stack += reversed([child for child in item if isinstance(child, (dict, list))])


def hollow(value: Value) -> bool:
    """Whether a value is an empty list, or an object whose lists are all empty and exist."""
    if isinstance(value, list):
        return not any(isinstance(child, (str, float, int)) for child in value) and all(
            child is None or hollow(child) for child in value
        )
    if isinstance(value, dict):
        parts = [child for child in value.values() if isinstance(child, (list, dict))]
        return not value or (bool(parts) and all(not part for part in parts))
    return False


def _is_record(item: dict[str, Value]) -> bool:
    """An object with texts of its own beside its nested parts (offsets, attributes)."""
    return sum(isinstance(child, str) and bool(child.strip()) for child in item.values()) >= 2


def _lenient(text: str, start: int) -> tuple[Value, int]:
    """Read one value with an explicit stack; stops at the first thing that fits nowhere."""
    stack: list[list[Value] | dict[str, Value]] = []
    keys: list[str | None] = []
    position = start
    while True:
        token = _TOKEN.match(text, position)
        if token is None:
            break
        kind = token.lastgroup
        if kind == "open":
            if len(stack) >= _DEEPEST:
                break
            stack.append({} if token["open"] == "{" else [])
            keys.append(None)
        elif kind == "close":
            done = stack.pop()
            keys.pop()
            if not stack:
                return done, token.end()
            _put(stack[-1], keys, done)
        elif kind == "sep":
            pass
        elif token["word"] and isinstance(stack[-1], list) and not _PLAIN.fullmatch(token["word"]):
            # Bare words in a list: the benchmark's own form, or prose in brackets.
            return None, start + 1
        else:
            _scalar(stack[-1], keys, token, text)
        position = token.end()
    while len(stack) > 1:
        done = stack.pop()
        keys.pop()
        _put(stack[-1], keys, done)
    return (stack[0] if stack else None), max(position, start + 1)


def _scalar(
    box: list[Value] | dict[str, Value], keys: list[str | None], token: re.Match[str], text: str
) -> None:
    raw = token["double"] if token["double"] is not None else token["single"]
    value: Value = _ESCAPE.sub(_unescape, raw) if raw is not None else token["word"].strip()
    if raw is None and isinstance(value, str):
        number = _NUMBER.fullmatch(value)
        value = json.loads(value) if number else _WORDS.get(value, value)
    if isinstance(box, dict) and keys[-1] is None:
        follows = text[token.end() : token.end() + 20].lstrip()
        keys[-1] = str(value) if follows.startswith(":") else None
        return
    _put(box, keys, value)


def _put(box: list[Value] | dict[str, Value], keys: list[str | None], value: Value) -> None:
    if isinstance(box, list):
        box.append(value)
    elif keys[-1] is not None:
        box[keys[-1]] = value
        keys[-1] = None


def _unescape(match: re.Match[str]) -> str:
    code = match[1]
    if code[0] == "u" and len(code) == 5:
        number = int(code[1:], 16)
        return "\ufffd" if 0xD800 <= number <= 0xDFFF else chr(number)
    return _ESCAPES.get(code, code)
