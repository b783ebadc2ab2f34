"""Parser for multiple choice: an option named by text, letter or number."""

from __future__ import annotations

import re
from functools import lru_cache

from medinst_eval.parsers import clean, closed, deciding
from medinst_eval.types import ParseContext, ParsedAnswer

_LETTERED = (
    re.compile(r"^[ \t]*\(?([A-J])[.):]\s+", re.MULTILINE),
    re.compile(r"(?:^|(?<=\s))\(?([A-J])[.):]\s+"),
)
"""Letters of options: at the start of lines, and anywhere."""
_SIGN = re.compile(r"[\s(\[\"'*_]{0,6}([A-Za-z]|\d{1,2})[\s)\]\"'*_.:;,]{0,6}")
_OPENINGS = re.compile(
    r"(?:it is|this is|these are|they are|there is|perform|start|give)\s+(?:the\s+|an?\s+)?"
    r"|(?:the|an?)\s+",
    re.IGNORECASE,
)


def options_from_input(text: str) -> tuple[str, ...]:
    """The options of a multiple-choice question, read from its input; empty where it has none.

    Known are the benchmark's `Options: a / b / c`, options with letters on one line
    (`A. yes B. no`) and options one a line, with or without letters or bullets. Letters are
    taken off.
    """
    _, mark, listed = text.rpartition("Options:")
    if not mark:
        _, mark, listed = text.rpartition("Choices:")
    if not mark:
        return _lettered(text)
    listed = listed.strip()
    lettered = _lettered(listed)
    if lettered:
        return lettered
    first = listed.partition("\n")[0]
    if " / " in first:
        # Published rows end in a stray quote on a line of its own.
        return tuple(part.strip() for part in first.split(" / ") if part.strip())
    lines = [line.strip(" \t-*•") for line in listed.split("\n") if line.strip()]
    return tuple(line for line in lines if line)


def parse(text: str, context: ParseContext) -> ParsedAnswer:
    """Read the option that an answer chooses; the value is the option's text.

    Where the row has no options the closed label set stands for them. A letter and a text that
    belong to different options contradict each other: unparsed.
    """
    if not text.strip():
        return ParsedAnswer(status="empty")
    options = context.options or context.labels
    if text.strip() in options:
        return ParsedAnswer(status="ok", value=text.strip())
    if len(text) > clean.LONGEST:
        return ParsedAnswer(status="unparsed", note=clean.TOO_LONG)
    prepared = clean.prepare(text, context)
    if not options:
        bare = clean.bare(prepared).rstrip(".")
        if not bare:
            return ParsedAnswer(status="unparsed", note="nothing but decoration")
        return ParsedAnswer(status="ok", value=bare)
    vocabulary = _vocabulary(options)
    index = _sign(clean.strip_prefix(prepared), vocabulary)
    note = ""
    if index is None:
        index, note = deciding.decide(vocabulary, prepared)
    if index is None and note.startswith("names none"):
        index = _part_of_one(clean.bare(prepared), options)
    if index is None:
        return ParsedAnswer(status="unparsed", note=note)
    return ParsedAnswer(status="ok", value=options[index])


def parse_gold(text: str, context: ParseContext) -> ParsedAnswer:
    """Read a gold option: the text itself, spelled as in the options where it is one of them."""
    if not text.strip():
        return ParsedAnswer(status="empty")
    bare = text.strip()
    spelled = {option.casefold(): option for option in context.options or context.labels}
    return ParsedAnswer(
        status="ok", value=bare if bare in spelled.values() else spelled.get(bare.casefold(), bare)
    )


def _lettered(text: str) -> tuple[str, ...]:
    """Options that go A, B, C … without a gap; empty where there are not at least two."""
    for pattern in _LETTERED:
        starts: list[re.Match[str]] = []
        for match in pattern.finditer(text):
            if ord(match[1]) - ord("A") == len(starts):
                starts.append(match)
        if len(starts) < 2:
            continue
        ends = [match.start() for match in starts[1:]] + [len(text)]
        parts = [text[match.end() : end].strip() for match, end in zip(starts, ends, strict=True)]
        if all(parts):
            return tuple(parts)
    return ()


def _sign(text: str, vocabulary: closed.Vocabulary) -> int | None:
    """The option of an answer that is nothing but a letter or a number."""
    match = _SIGN.fullmatch(text) if len(text) <= 20 else None
    if match is None or clean.fold(text) in vocabulary.exact:
        return None
    if match[1].isalpha():
        index = ord(match[1].upper()) - ord("A")
    elif vocabulary.numbers:
        index = int(match[1]) - 1
    else:
        return None
    return index if 0 <= index < len(vocabulary.names) else None


def _part_of_one(text: str, options: tuple[str, ...]) -> int | None:
    """The only option that holds the whole answer as a part, at word boundaries."""
    part = _spaced(text) if len(text) < 500 else ""
    if len(part.replace(" ", "")) < 4:
        return None
    holding = [index for index, option in enumerate(options) if part in _spaced(option)]
    return holding[0] if len(holding) == 1 else None


def _spaced(text: str) -> str:
    """Words of a text with a space before, between and behind them."""
    words = re.findall(r"\w+", clean.straighten_quotes(text).casefold())
    return f" {' '.join(words)} "


@lru_cache(maxsize=256)
def _vocabulary(options: tuple[str, ...]) -> closed.Vocabulary:
    surfaces: list[tuple[str, int]] = []
    for index, option in enumerate(options):
        surfaces.append((option, index))
        shorter = _OPENINGS.sub("", option, count=1) if _OPENINGS.match(option) else ""
        if len(shorter.split()) >= 2:
            surfaces.append((shorter, index))
    return closed.build(options, surfaces, letters=True, numbers=True)
