"""Parser for a score on a scale."""

from __future__ import annotations

import re

from medinst_eval.parsers import clean
from medinst_eval.types import ParseContext, ParsedAnswer

_WORDS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")
_DIGITS = r"(?<![\w.])[-+]?\d{1,15}(?:\.\d{1,15})?(?![\w%]|\.\d)"
_VALUE = re.compile(rf"{_DIGITS}|\b(?:{'|'.join(_WORDS)})\b", re.IGNORECASE)
_OUT_OF = re.compile(
    rf"({_DIGITS}|\b(?:{'|'.join(_WORDS)})\b)[*_]{{0,3}}\s{{0,3}}(?:/|out of|of)\s{{0,3}}"
    rf"[*_]{{0,3}}({_DIGITS}|\b(?:{'|'.join(_WORDS)})\b)",
    re.IGNORECASE,
)
_NAMED = re.compile(
    rf"\b(?:texts?|sentences?|passages?|statements?|documents?|abstracts?)\s\d{{1,2}}\b"
    rf"(?:\s(?:and|vs\.?|&)\s\d{{1,2}}\b)?|{_DIGITS}\s(?:indicat|means?\b|represent|denot|being)",
    re.IGNORECASE,
)
"""Numbers that are no score: "Text 1 and 2", "5 indicates …"."""
_SCALE = re.compile(
    rf"\b(?:on|in|using) (?:a|the|this) (?:\w{{1,20}} ){{0,2}}?(?:scale|range)\b"
    rf"(?:[,:]? (?:of|from|ranging from|between)? ?{_DIGITS}\s{{0,3}}(?:-|to|and)\s{{0,3}}"
    rf"{_DIGITS})?|[(\[]?{_DIGITS}\s{{0,3}}(?:-|to)\s{{0,3}}{_DIGITS}[)\]]?[- ]scale\b",
    re.IGNORECASE,
)
_RANGE = re.compile(rf"({_VALUE.pattern})\s{{0,3}}(?:-|to|or|and)\s{{0,3}}({_VALUE.pattern})", re.I)
_MARK = re.compile(
    r"\b(?:scores?|rating|similarity|answer|value|rate|grade|number)\b"
    r"(?:[ _](?:score|value|rating))?"
    r"(?: (?:of|for|between) (?:the |these |this |both )?(?:two )?(?:texts?|sentences?|pair|"
    r"similarity))?[\"'*_)]{0,5}\s{0,3}(?:(?:is|of|as|would be|should be|at|would receive)\b|:|=)"
    r"[\s\"'*_(\[{]{0,8}(?:an? |the |about |around |approximately |text |\\text\{){0,3}",
    re.IGNORECASE,
)
_FINAL = re.compile(
    r"\\boxed\s?\{\s{0,3}|\bfinal (?:answer|score|rating|similarity score)[\"'*_]{0,4}\s{0,3}"
    r"(?:is\b|:|=)?[\s\"'*_(]{0,6}",
    re.IGNORECASE,
)
_LEAD_END = re.compile(r"[*_\"')\]]{0,4}\s{0,3}(?:[.:;(\n)]|,(?!\d)|-\s|$)")
_WORD_END = re.compile(r"[*_\"')\]]{0,4}\s{0,3}(?:[.:;,(\n)]|$|out of|/)")


def parse(text: str, context: ParseContext) -> ParsedAnswer:
    """Read the one number that an answer gives, in digits or as a word from zero to ten.

    A fraction of the scale's highest number counts as its numerator ("4/5", "4 out of 5"). Two
    different numbers, a range or a number off the scale are unparsed.
    """
    if not text.strip():
        return ParsedAnswer(status="empty")
    strict = _strict(text, context)
    if strict is not None:
        return ParsedAnswer(status="ok", value=strict)
    if len(text) > clean.LONGEST:
        return ParsedAnswer(status="unparsed", note=clean.TOO_LONG)
    bare = clean.straighten_quotes(clean.prepare(text, context))
    bare = _NAMED.sub(" ", _SCALE.sub(" ", bare))
    for reading in (_finals, _marked, _everywhere):
        values = reading(bare, context.scale)
        if len(values) > 1:
            return ParsedAnswer(status="unparsed", note="gives more than one number")
        if values:
            return _settle(values.pop(), context.scale)
    return ParsedAnswer(status="unparsed", note="gives no number")


def parse_gold(text: str, context: ParseContext) -> ParsedAnswer:
    """Read a gold number: digits and nothing else."""
    if not text.strip():
        return ParsedAnswer(status="empty")
    value = _strict(text, context)
    if value is None:
        return ParsedAnswer(status="unparsed", note="not a number on the scale")
    return ParsedAnswer(status="ok", value=value)


def _strict(text: str, context: ParseContext) -> float | None:
    if re.fullmatch(r"\s*[-+]?\d{1,15}(?:\.\d{1,15})?\s*", text, re.ASCII) is None:
        return None
    value = float(text)
    return value if _on_scale(value, context.scale) else None


def _on_scale(value: float, scale: tuple[float, float] | None) -> bool:
    return scale is None or scale[0] <= value <= scale[1]


def _settle(value: float | None, scale: tuple[float, float] | None) -> ParsedAnswer:
    if value is None:
        return ParsedAnswer(status="unparsed", note="gives a range or another scale")
    if not _on_scale(value, scale):
        return ParsedAnswer(status="unparsed", note="the number is off the scale")
    return ParsedAnswer(status="ok", value=value)


def _read(text: str) -> float:
    word = text.casefold()
    return float(_WORDS.index(word)) if word in _WORDS else float(text)


def _at(text: str, position: int, scale: tuple[float, float] | None) -> float | None:
    """The number at a place; None for a range or a fraction of another scale.

    Raises:
        LookupError: No number there.
    """
    value = _VALUE.match(text, position)
    if value is None:
        raise LookupError
    fraction = _OUT_OF.match(text, position)
    if fraction:
        whole = _read(fraction[2])
        return _read(fraction[1]) if scale is None or whole == scale[1] else None
    span = _RANGE.match(text, position)
    if span and _read(span[1]) != _read(span[2]):
        return None
    return _read(value[0])


def _collect(
    text: str, pattern: re.Pattern[str], scale: tuple[float, float] | None
) -> set[float | None]:
    found: set[float | None] = set()
    for match in pattern.finditer(text):
        try:
            found.add(_at(text, match.end(), scale))
        except LookupError:
            continue
    return found


def _finals(text: str, scale: tuple[float, float] | None) -> set[float | None]:
    return _collect(text, _FINAL, scale)


def _marked(text: str, scale: tuple[float, float] | None) -> set[float | None]:
    """Numbers after "score:" and the like, at the start, and alone on the last line."""
    found = _collect(text, _MARK, scale)
    head = clean.strip_prefix(text).lstrip("*_\"'([ \n")
    first = _VALUE.match(head)
    if first and _leads(head, first):
        found.add(_at(head, 0, scale))
    last = text.rstrip().rpartition("\n")[2].strip("*_\"'().[] ")
    if len(last) <= 20 and _VALUE.fullmatch(last):
        found.add(_read(last))
    return found


def _leads(text: str, first: re.Match[str]) -> bool:
    """Whether the number at the start is the answer and not the first of a numbered list."""
    if _OUT_OF.match(text) or _RANGE.match(text):
        return True
    if _LEAD_END.match(text, first.end()) is None:
        return False
    listed = text.startswith((".", ")"), first.end()) and re.search(r"(?:^|\n)\s{0,4}2[.)]\s", text)
    return not (first[0] == "1" and listed)


def _everywhere(text: str, scale: tuple[float, float] | None) -> set[float | None]:
    found: set[float | None] = set()
    position = 0
    while match := _VALUE.search(text, position):
        span = _OUT_OF.match(text, match.start()) or _RANGE.match(text, match.start())
        position = span.end() if span else match.end()
        prose = match[0].isalpha() and not _WORD_END.match(text, match.end())
        if not prose or span:
            found.add(_at(text, match.start(), scale))
    return found
