"""Forms by name, misspelt names, forms of other packages."""

from __future__ import annotations

from importlib.metadata import EntryPoint

import pytest

from medinst_eval import parsers
from medinst_eval.errors import InputError
from medinst_eval.types import ParseContext, ParsedAnswer


def test_all_forms_of_the_benchmark_are_known() -> None:
    assert parsers.forms()[:11] == (
        "word_labels", "entities", "links", "relations", "events", "mentions",
        "label", "labels", "choice", "number", "text",
    )  # fmt: skip


def test_misspelt_form_is_told() -> None:
    with pytest.raises(InputError, match="did you mean 'entities'"):
        parsers.parse("entitties", "x", ParseContext())
    with pytest.raises(InputError, match="known are word_labels, entities"):
        parsers.parse_gold("zzz", "x", ParseContext())


class _Dosage:
    """A form of another package."""

    @staticmethod
    def parse(text: str, context: ParseContext) -> ParsedAnswer:
        return ParsedAnswer(status="ok", value=text.upper() + context.input)

    @staticmethod
    def parse_gold(text: str, context: ParseContext) -> ParsedAnswer:
        return ParsedAnswer(status="ok", value=text + context.input)


@pytest.fixture
def plug_in(monkeypatch: pytest.MonkeyPatch) -> None:
    entries = (
        EntryPoint(name="dosage", value=f"{__name__}:_Dosage", group=parsers.GROUP),
        EntryPoint(name="broken", value="no_such_package:parser", group=parsers.GROUP),
        EntryPoint(name="label", value=f"{__name__}:_Dosage", group=parsers.GROUP),
    )
    monkeypatch.setattr(parsers, "entry_points", lambda group: entries if group else ())
    parsers._plug_ins.cache_clear()
    parsers.get.cache_clear()
    yield
    parsers._plug_ins.cache_clear()
    parsers.get.cache_clear()


@pytest.mark.usefixtures("plug_in")
def test_form_of_another_package() -> None:
    assert parsers.forms()[-2:] == ("dosage", "broken")
    assert parsers.parse("dosage", "a", ParseContext(input="b")).value == "Ab"
    assert parsers.parse_gold("dosage", "a", ParseContext(input="b")).value == "ab"


@pytest.mark.usefixtures("plug_in")
def test_built_in_form_cannot_be_replaced() -> None:
    assert parsers.parse("label", "yes", ParseContext(labels=("yes",))).value == "yes"


@pytest.mark.usefixtures("plug_in")
def test_form_that_cannot_be_loaded_is_told() -> None:
    with pytest.raises(InputError, match="'broken' cannot be loaded from 'no_such_package:parser'"):
        parsers.get("broken")
