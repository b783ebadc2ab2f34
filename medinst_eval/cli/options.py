"""Values of options that need more than a type: `key=value`, `i/n`, JSON."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from medinst_eval.errors import InputError


def key_values(option: str, pairs: Iterable[str]) -> dict[str, Any]:
    """`key=value` pairs; a value that is JSON is read as JSON, anything else is text.

    Example:
        `enable_thinking=false` -> `{"enable_thinking": False}`
    """
    found: dict[str, Any] = {}
    for pair in pairs:
        key, equals, value = pair.partition("=")
        if not equals or not key:
            raise InputError(f"{option} takes key=value, not '{pair}'")
        try:
            found[key] = json.loads(value)
        except ValueError:
            # Python's spelling of the three constants is what many people type.
            found[key] = {"True": True, "False": False, "None": None}.get(value, value)
    return found


def shard(text: str | None) -> tuple[int, int] | None:
    """`2/8` -> (2, 8)."""
    if text is None:
        return None
    part, slash, parts = text.partition("/")
    if not (slash and part.isdecimal() and parts.isdecimal()):
        raise InputError(f"--shard takes i/n, e.g. 2/8, not '{text}'")
    return int(part), int(parts)
