"""Finds the members of a closed set (labels, options) in a text."""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal, TypeVar

from medinst_eval.parsers.clean import fold, straighten_quotes
from medinst_eval.parsers.words import Words, follow, whole_number, words_of

WEAK = frozenset({"yes", "no", "maybe", "none", "not", "true", "false", "a", "i"})
"""Words of everyday prose: as labels they count only where they stand alone."""

SPACE = re.compile(r"(?:[\s\"'(\[{:=*_]|[->](?!\s?\d)){0,12}")
_FILLER = re.compile(
    r"(?:(?:option|choice|letter|answer|label|number|that|the|most likely|likely|probably|clearly"
    r"|indeed|definitely|therefore|thus|correct|claim|evidence|text|it|is|to be)\b[\s\"'(:\[]{1,4})"
    r"{0,4}",
    re.IGNORECASE,
)
_NEGATION = re.compile(
    r"(?:\b(?:not|no|never|neither|nor|without|cannot|unlikely|hardly|rather than|instead of"
    r"|fails? to|failed to|except|excluding|unable to|opposed to|whether|unclear|impossible"
    r"|uncertain|eliminat\w{1,4}|exclud\w{1,4}|rules? out|ruled out)|n't)\b"
    r"(?:\W{1,3}(?!so\b|therefore\b|thus\b|hence\b)\w{1,30}){0,6}"
    r"\W{0,3}$",
    re.IGNORECASE,
)
_DENIED = re.compile(
    r"\W{0,3}(?:(?:the|this|that|claim|option|answer|text|evidence)\W{1,3}){0,2}"
    r"(?:(?:is|are|was|were|would be|can be|does|did|do|could|can|seems?)(?:\b|(?=n't))\W{0,2}"
    r"(?:not\b|n't\b)|(?:(?:is|are|was|were|would be|can be|seems?)\b)?\W{0,2}(?:also\s)?"
    r"(?:incorrect|wrong|ruled out|excluded|false\b|unlikely|less likely))",
    re.IGNORECASE,
)
ALONE = re.compile(r"[\"'*_)\]]{0,3}\s{0,2}(?:[.,;:!)\]}\"'*]|[\n]|$|-\s)")
_OPENED = re.compile(r"[\"'*(\[{:]\s{0,2}$|(?:^|\n)[\s>*_-]{0,6}$")
_ALSO = re.compile(r"\W{0,3}\s{0,2}(?:or|and|and/or|/|&|,|vs\.?|versus)\s{0,2}", re.IGNORECASE)
_LETTER = re.compile(r"\(?\[?([A-Za-z])(?![\w'])")
_NUMBER = re.compile(r"\(?\[?(\d{1,2})(?![\w%/]|[.,]\d)")
LETTER_END = re.compile(r"[\])}\"'*_]{0,4}\s{0,2}(?:[).:,;\]}\"'*\n]|$|-\s)")
_LETTER_WORDS = re.compile(
    r"[\])}\"'*_]{0,4}\s{1,3}(?:because|since|as|is|for|due|and|or|with|\()\b", re.IGNORECASE
)


_Key = TypeVar("_Key", str, tuple[str, ...])


@dataclass(frozen=True, kw_only=True, slots=True)
class Hit:
    """A member found in a text."""

    index: int
    start: int
    end: int
    kind: Literal["text", "letter", "number"] = "text"
    closed: bool = False
    """The letter or number is followed by a sign that ends it, as in `B)`."""


class Conflict(Exception):  # noqa: N818 - a signal inside this room, never seen outside
    """Two members where one was asked for."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Vocabulary:
    """A closed set ready to be looked for.

    Text handed to its methods must have passed `plain`.
    """

    names: tuple[str, ...]
    writings: Mapping[str, tuple[tuple[tuple[str, ...], int], ...]]
    """First word -> (words, index of the member), the longest writing first."""
    exact: Mapping[str, int] = field(default_factory=dict)
    """Folded writing -> index of the member."""
    weak: frozenset[int] = frozenset()
    letters: bool = False
    """Members may be called A, B, C …"""
    numbers: bool = False
    """Members may be called 1, 2, 3 …"""

    def scan(self, text: str) -> Iterator[Hit]:
        """All members named by their text, longest first, not overlapping."""
        words = words_of(text)
        place = 0
        while place < len(words.texts):
            hit = self._match(text, words, place)
            if hit is None:
                place += 1
                continue
            place = bisect_left(words.starts, hit.end)
            if (
                hit.index not in self.weak
                or self._stands_alone(text, hit)
                or self._beside(text, hit) is not None
            ):
                yield hit

    def at(self, text: str, position: int, *, filler: bool = True) -> Hit | None:
        """The member that `text` names at `position`, by text, letter or number.

        Raises:
            Conflict: A second member is named beside it.
        """
        position = end_of(SPACE, text, position)
        if filler:
            position = end_of(_FILLER, text, position)
            position = end_of(SPACE, text, position)
        by_text = self._text_at(text, position)
        by_sign = None if by_text else self._sign_at(text, position)
        hit = by_text or by_sign
        if hit is None:
            return None
        if by_sign is not None:
            spelt = self._text_at(text, end_of(_SEPARATOR, text, by_sign.end))
            if spelt is not None:
                if spelt.index != by_sign.index:
                    raise Conflict
                hit = replace(by_sign, end=spelt.end)
        if self._beside(text, hit) is not None:
            raise Conflict
        return hit

    def _beside(self, text: str, hit: Hit) -> Hit | None:
        """Another member joined to a hit by "or", "and", a comma or a slash."""
        also = _ALSO.match(text, hit.end)
        if not also:
            return None
        start = end_of(SPACE, text, also.end())
        second = self._text_at(text, start)
        if second is None and hit.kind != "text":
            second = self._sign_at(text, start)
        return None if second is None or second.index == hit.index else second

    def _text_at(self, text: str, position: int) -> Hit | None:
        words = words_of(text)
        for start in (position, end_of(_ARTICLES, text, position)):
            place = bisect_left(words.starts, start)
            if place < len(words.starts) and words.starts[place] == start:
                hit = self._match(text, words, place)
                if hit is not None:
                    return hit
        return None

    def _match(self, text: str, words: Words, place: int) -> Hit | None:
        """The member whose longest writing starts at a word."""
        for writing, index in self.writings.get(words.texts[place], ()):
            last = follow(writing, words, place)
            if last is None:
                continue
            start, end = words.starts[place], words.ends[last]
            if whole_number(text, start, end):
                return Hit(index=index, start=start, end=end)
        return None

    def _sign_at(self, text: str, position: int) -> Hit | None:
        if self.letters:
            match = _LETTER.match(text, position)
            if match and (index := ord(match[1].upper()) - ord("A")) < len(self.names):
                closed = LETTER_END.match(text, match.end())
                upper = match[1].isupper()
                follows = upper and (match[1] != "A" or _LETTER_WORDS.match(text, match.end()))
                if closed or follows:
                    return Hit(
                        index=index,
                        start=position,
                        end=match.end(),
                        kind="letter",
                        closed=closed is not None,
                    )
        if self.numbers:
            match = _NUMBER.match(text, position)
            if match and 1 <= int(match[1]) <= len(self.names):
                ended = LETTER_END.match(text, match.end()) is not None
                return Hit(
                    index=int(match[1]) - 1,
                    start=position,
                    end=match.end(),
                    kind="number",
                    closed=ended,
                )
        return None

    def _stands_alone(self, text: str, hit: Hit) -> bool:
        if ALONE.match(text, hit.end) is None:
            return self.names[hit.index].casefold() == "yes" and not text[: hit.start].strip()
        opened = _OPENED.search(text, max(0, hit.start - 8), hit.start) is not None
        return opened or re.match(r"[\s.,;:!\"'*)]", text[hit.end : hit.end + 1] or " ") is not None


_SEPARATOR = re.compile(r"(?:[\s).:,;\]}\"'*_=]|-(?!\d)){0,8}")
_ARTICLES = re.compile(r"(?:the|an?|it is (?:an?|the)?|to|with|start)\s{1,3}", re.IGNORECASE)


def plain(text: str) -> str:
    """Text in the form a vocabulary reads: straight quotes, no emphasis marks."""
    return straighten_quotes(text).replace("**", "").replace("__", "").replace("~~", "")


def build(
    names: Sequence[str],
    surfaces: Iterable[tuple[str, int]],
    *,
    letters: bool = False,
    numbers: bool = False,
) -> Vocabulary:
    """A vocabulary from its members and the writings under which they go.

    Args:
        names: The members as they shall be answered.
        surfaces: (writing, index of the member); a writing that two members share is dropped.
        letters: Members may be called by letter.
        numbers: Members may be called by number; off where a member itself is a number.
    """
    texts = [(surface, index) for surface, index in surfaces if surface.strip()]
    exact = _unshared((fold(surface), index) for surface, index in texts)
    spoken = _unshared((words_of(straighten_quotes(text)).texts, index) for text, index in texts)
    first: dict[str, list[tuple[tuple[str, ...], int]]] = {}
    for words, index in sorted(spoken.items(), key=lambda item: -len(item[0])):
        if words:
            first.setdefault(words[0], []).append((words, index))
    weak = frozenset(i for i, name in enumerate(names) if name.casefold() in WEAK)
    numeric = any(any(char.isdigit() for char in name[:2]) for name in names)
    return Vocabulary(
        names=tuple(names),
        writings={word: tuple(group) for word, group in first.items()},
        exact={key: index for key, index in exact.items() if key},
        weak=weak,
        letters=letters,
        numbers=numbers and not numeric,
    )


def _unshared(pairs: Iterable[tuple[_Key, int]]) -> dict[_Key, int]:
    """Keys with the member they stand for, without those that two members share."""
    owners: dict[_Key, set[int]] = {}
    for key, index in pairs:
        owners.setdefault(key, set()).add(index)
    return {key: min(indexes) for key, indexes in owners.items() if len(indexes) == 1}


def negated(text: str, hit: Hit) -> bool:
    """Whether the words around a hit deny it ("does not support", "B is incorrect")."""
    before = re.split(r"[.!?\n]\s", text[max(0, hit.start - 70) : hit.start])[-1]
    if _NEGATION.search(before):
        return True
    return _DENIED.match(text, hit.end) is not None


def end_of(pattern: re.Pattern[str], text: str, position: int) -> int:
    match = pattern.match(text, position)
    return match.end() if match else position
