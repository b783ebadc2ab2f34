"""The contract of a parser: text and context in, an answer or a reason out; it never raises."""

from __future__ import annotations

from typing import Protocol

from medinst_eval.types import ParseContext, ParsedAnswer


class Parser(Protocol):
    """Parses one output. Linear in the length of the text; never raises, whatever the text."""

    def __call__(self, text: str, context: ParseContext) -> ParsedAnswer: ...
