"""From the text of an output to an answer: one parser per answer form.

`parse` is tolerant and serves the standard metrics; `parse_gold` reads the benchmark's exact form.
A package may add a form of its own through the entry point group `medinst_eval.parsers`: the
entry names the form and points to an object with the functions `parse` and `parse_gold`, both
taking `(text, context)`.
"""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from functools import cache, partial
from importlib.metadata import EntryPoint, entry_points

from medinst_eval.errors import InputError
from medinst_eval.parsers import brackets, choice, label, number, reasoning, text, word_labels
from medinst_eval.parsers.base import Parser
from medinst_eval.parsers.choice import options_from_input
from medinst_eval.types import ParseContext, ParsedAnswer

__all__ = ["FormParser", "forms", "get", "options_from_input", "parse", "parse_gold", "reasoning"]

GROUP = "medinst_eval.parsers"


@dataclass(frozen=True, kw_only=True, slots=True)
class FormParser:
    """The two parsers of one form."""

    parse: Parser
    parse_gold: Parser


_BUILT_IN: dict[str, FormParser] = {
    "word_labels": FormParser(parse=word_labels.parse, parse_gold=word_labels.parse_gold),
    "entities": FormParser(
        parse=partial(brackets.parse, "entities"),
        parse_gold=partial(brackets.parse_gold, "entities"),
    ),
    "links": FormParser(
        parse=partial(brackets.parse, "links"), parse_gold=partial(brackets.parse_gold, "links")
    ),
    "relations": FormParser(
        parse=partial(brackets.parse, "relations"),
        parse_gold=partial(brackets.parse_gold, "relations"),
    ),
    "events": FormParser(
        parse=partial(brackets.parse, "events"), parse_gold=partial(brackets.parse_gold, "events")
    ),
    "mentions": FormParser(
        parse=partial(brackets.parse, "mentions"),
        parse_gold=partial(brackets.parse_gold, "mentions"),
    ),
    "label": FormParser(parse=label.parse, parse_gold=label.parse_gold),
    "labels": FormParser(parse=label.parse_labels, parse_gold=label.parse_labels_gold),
    "choice": FormParser(parse=choice.parse, parse_gold=choice.parse_gold),
    "number": FormParser(parse=number.parse, parse_gold=number.parse_gold),
    "text": FormParser(parse=text.parse, parse_gold=text.parse_gold),
}


def parse(form: str, text: str, context: ParseContext) -> ParsedAnswer:
    """Read an answer as a person would who does not guess.

    Args:
        form: One of `forms()`.
        text: The answer part of an output, reasoning split off.
        context: What is known of the row.

    Returns:
        status `ok` with the value (see `medinst_eval.types.Answer`), `empty` for blank text, or
        `unparsed` with the reason.

    Raises:
        InputError: The form is not known.
    """
    return get(form).parse(text, context)


def parse_gold(form: str, text: str, context: ParseContext) -> ParsedAnswer:
    """Read a gold answer, which is in the benchmark's exact form.

    Arguments, result and error as for `parse`; a blank gold is an empty list in the list forms.
    """
    return get(form).parse_gold(text, context)


def forms() -> tuple[str, ...]:
    """Names of the known forms, the built-in ones first."""
    return (*_BUILT_IN, *(name for name in _plug_ins() if name not in _BUILT_IN))


@cache
def get(form: str) -> FormParser:
    """The parsers of a form.

    Raises:
        InputError: The form is not known, or the package that brings it cannot be loaded.
    """
    built_in = _BUILT_IN.get(form)
    if built_in is not None:
        return built_in
    entry = _plug_ins().get(form)
    if entry is None:
        near = difflib.get_close_matches(form, forms(), n=1)
        hint = f"did you mean '{near[0]}'?" if near else f"known are {', '.join(forms())}"
        raise InputError(f"unknown answer form '{form}': {hint}")
    try:
        loaded = entry.load()
        return FormParser(parse=loaded.parse, parse_gold=loaded.parse_gold)
    except (ImportError, AttributeError) as error:
        raise InputError(
            f"answer form '{form}' cannot be loaded from '{entry.value}' ({error}): "
            "reinstall or remove the package that brings it"
        ) from error


@cache
def _plug_ins() -> dict[str, EntryPoint]:
    return {entry.name: entry for entry in entry_points(group=GROUP)}
