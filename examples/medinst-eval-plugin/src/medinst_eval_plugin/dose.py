"""The answer form `dose`: an amount of a drug, read in milligrams.

The entry point names this module; `parse` reads what models write and `parse_gold` what cards'
rows hold. Both are linear in the text and never raise, whatever the text.
"""

from __future__ import annotations

import re

from medinst_eval.types import ParseContext, ParsedAnswer

_MILLIGRAMS = {"g": 1000.0, "mg": 1.0, "µg": 0.001, "ug": 0.001, "mcg": 0.001}
_DOSE = re.compile(r"(?<![\w.])(\d{1,9}(?:\.\d{1,9})?) ?(mg|mcg|µg|ug|g)\b", re.IGNORECASE)


def parse(text: str, context: ParseContext) -> ParsedAnswer:  # noqa: ARG001
    """The one dose in an answer; two different ones are no answer."""
    if not text.strip():
        return ParsedAnswer(status="empty")
    found = {float(amount) * _MILLIGRAMS[unit.lower()] for amount, unit in _DOSE.findall(text)}
    if not found:
        return ParsedAnswer(status="unparsed", note="names no dose")
    if len(found) > 1:
        return ParsedAnswer(status="unparsed", note="names more than one dose")
    return ParsedAnswer(status="ok", value=found.pop())


def parse_gold(text: str, context: ParseContext) -> ParsedAnswer:
    """A gold is a dose and nothing else."""
    if text.strip() and not _DOSE.fullmatch(text.strip()):
        return ParsedAnswer(status="unparsed", note="is more than a dose such as 20 mg")
    return parse(text, context)
