"""Scores: one number on the scale, or none."""

from __future__ import annotations

import pytest

from medinst_eval.parsers import parse, parse_gold
from medinst_eval.types import ParseContext

SCALE = ParseContext(scale=(0.0, 5.0))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("3", 3.0),
        ("3.5", 3.5),
        ("+3", 3.0),
        ("0", 0.0),
        ("４", 4.0),
        ("**4**", 4.0),
        ("Score: 3", 3.0),
        ("Similarity score: 4", 4.0),
        ("3 out of 5", 3.0),
        ("four out of five", 4.0),
        ("Rating: 4/5", 4.0),
        ("three", 3.0),
        ("The score is 4 because 2 proteins differ.", 4.0),
        ("4\n\nThe texts share 2 facts.", 4.0),
        ("4 - very similar", 4.0),
        ("4 (highly similar)", 4.0),
        ("On a scale of 0 to 5, I rate it 2.", 2.0),
        ("I rate it 2 on a scale from 0 to 5.", 2.0),
        ("Text 1 and Text 2 are similar: 4", 4.0),
        ("1. The first text says x\n2. The second says y\nScore: 2", 2.0),
        ("Final score: 3. Initially I thought 4.", 3.0),
        ('{"similarity": 4, "reason": "2 facts"}', 4.0),
        ("\\boxed{4}", 4.0),
        ("3 3 3", 3.0),
        ("2-3", None),
        ("2 to 3", None),
        ("Between 2 and 3", None),
        ("Score: 3\nScore: 4", None),
        ("3,5", None),
        ("4/4", None),
        ("8/10", None),
        ("50%", None),
        ("7", None),
        ("-1", None),
        ("nine", None),
        ("1e3", None),
        ("The two texts are similar", None),
        ("5 indicates high similarity", None),
    ],
)
def test_number(text: str, expected: float | None) -> None:
    answer = parse("number", text, SCALE)
    assert answer.value == expected
    assert answer.status == ("unparsed" if expected is None else "ok")


def test_without_a_scale_any_number_will_do() -> None:
    assert parse("number", "Score: 812", ParseContext()).value == 812.0


def test_gold_number_is_digits_alone() -> None:
    assert parse_gold("number", "3", SCALE).value == 3.0
    assert parse_gold("number", "Score: 3", SCALE).status == "unparsed"
    assert parse_gold("number", " ", SCALE).status == "empty"
