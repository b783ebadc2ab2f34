"""Words of a text with their places, and the writings of a member among them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

_SYMBOLS = "<>≤≥±%=↑↓+"
_TOKEN = re.compile(rf"[^\W_]+|[{_SYMBOLS}]|(?<!\w)-(?=\d)")
_ARTICLE = frozenset({"the", "a", "an"})
_WIDEST_GAP = 4
"""Signs that may stand between two words of a member."""
_BEFORE_NUMBER = "0123456789.,<>≤≥"
_BEHIND_NUMBER = re.compile(r"\s?%|[.,]\d")


@dataclass(frozen=True, kw_only=True, slots=True)
class Words:
    """Words and signs of a text, in lower case, with their places."""

    texts: tuple[str, ...]
    starts: tuple[int, ...]
    ends: tuple[int, ...]


@lru_cache(maxsize=8)
def words_of(text: str) -> Words:
    found = list(_TOKEN.finditer(text))
    return Words(
        texts=tuple(match[0].casefold() for match in found),
        starts=tuple(match.start() for match in found),
        ends=tuple(match.end() for match in found),
    )


def follow(writing: tuple[str, ...], words: Words, place: int) -> int | None:
    """Place of the last word of a writing that starts at a place; articles between may be more."""
    last = place
    for expected in writing[1:]:
        after = last + 1
        if after < len(words.texts) and words.texts[after] != expected:
            after += words.texts[after] in _ARTICLE
        if after >= len(words.texts) or words.texts[after] != expected:
            return None
        if words.starts[last + 1] - words.ends[last] > _WIDEST_GAP:
            return None
        last = after
    return last


def whole_number(text: str, start: int, end: int) -> bool:
    """Whether a match that starts or ends with a digit is not cut out of another number."""
    if text[start].isdigit() and text[max(0, start - 1) : start] in tuple(_BEFORE_NUMBER):
        return False
    return not (text[end - 1].isdigit() and _BEHIND_NUMBER.match(text, end))
