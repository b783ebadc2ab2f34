"""Free text: decoration goes, content stays."""

from __future__ import annotations

import pytest

from medinst_eval.parsers import parse, parse_gold
from medinst_eval.types import ParseContext

SOURCE = ParseContext(input="成人关系", prompt="Translate the text.\n成人关系")
ABBREVIATION = ParseContext(input="Text: rats bearing CS were given ba.\nAbbreviation: CS")


@pytest.mark.parametrize(
    "text",
    [
        "Adults value close ties.",
        "Here is the translation:\n\nAdults value close ties.",
        "Sure! Here's the English translation: Adults value close ties.",
        "Translation: Adults value close ties.",
        "**Translation:** Adults value close ties.",
        "## Translation\n\nAdults value close ties.",
        '"Adults value close ties."',
        "“Adults value close ties.”",
        "```\nAdults value close ties.\n```",
        '{"translation": "Adults value close ties."}',
        "Translate the text.\n成人关系\nAdults value close ties.",
        "<answer>Adults value close ties.</answer>",
        "Adults value close ties.<|im_end|>",
        "Adults value close ties.\nAdults value close ties.\nAdults value close ties.",
        "Adults value close ties.\n\nLet me know if you need anything else!",
        "assistant\nAdults value close ties.",
    ],
)
def test_decoration_goes(text: str) -> None:
    assert parse("text", text, SOURCE).value == "Adults value close ties."


@pytest.mark.parametrize(
    "text",
    [
        'Results were clear (P &lt; 0.05): "better" sleep in 12 of 20.',
        "We studied two things: sleep and food.",
        "Methods: 20 rats.\n\nResults: none died.",
        "Related work [1] shows `x`.",
        "model",
    ],
)
def test_content_stays(text: str) -> None:
    assert parse("text", text, SOURCE).value == text
    assert parse_gold("text", text, SOURCE).value == text


@pytest.mark.parametrize(
    "text",
    [
        "carcinosarcoma",
        "CS stands for carcinosarcoma.",
        'The full form of "CS" is **carcinosarcoma**.',
        "In this text, CS stands for carcinosarcoma",
        "CS: carcinosarcoma",
        "carcinosarcoma (CS)",
        "Full form: carcinosarcoma",
        "The abbreviation CS refers to carcinosarcoma.",
    ],
)
def test_full_form_is_taken_out(text: str) -> None:
    assert parse("text", text, ABBREVIATION).value == "carcinosarcoma"


def test_nothing_but_decoration_is_unparsed() -> None:
    assert parse("text", "Translate the text.\n成人关系", SOURCE).status == "unparsed"
    assert parse("text", '""', SOURCE).status == "unparsed"
    assert parse("text", " \n", SOURCE).status == "empty"
