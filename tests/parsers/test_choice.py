"""Multiple choice: by text, letter, number; contradictions stay unparsed."""

from __future__ import annotations

import pytest

from medinst_eval.parsers import options_from_input, parse, parse_gold
from medinst_eval.types import ParseContext

DRUGS = ParseContext(
    options=("Ampicillin", "Ceftriaxone", "Doxycycline", "Nitrofurantoin", "Type 1 diabetes")
)
NESTED = ParseContext(options=("Type 1", "Type 1 diabetes", "Type 2", "None of the above"))
NUMBERS = ParseContext(options=("2", "4", "8", "16"))
ARTICLES = ParseContext(options=("A dominant gene", "B cells", "C", "Vitamin A"))
SIGNS = ParseContext(options=("Na+/Cl- cotransporter", "< 5 mg/dL", "> 5 mg/dL", "Calcium channel"))


@pytest.mark.parametrize(
    "text",
    [
        "B",
        "b",
        "(B)",
        "B.",
        "**B**",
        "Answer: B",
        "The correct answer is B.",
        "I think B is right",
        "Option 2",
        "2",
        "B) Ceftriaxone",
        "B: Ceftriaxone is best because ampicillin fails.",
        "**Answer: (B) Ceftriaxone**",
        "ceftriaxone",
        '"Ceftriaxone"',
        "The answer is ceftriaxone.",
        "Ceftriaxone 1 g IV",
        "\\boxed{B}",
        "$\\boxed{\\text{B}}$",
        '{"answer_choice": "B"}',
        '{"answer": "B. Ceftriaxone"}',
        '{"step_by_step_thinking": "as "shown", not A", "answer_choice": "B',
        "We exclude A, C and D. The answer is B.",
        "Answer is B not A",
        "A. Ampicillin: wrong. B. Ceftriaxone: right. C. Doxycycline: no. The best answer is B.",
    ],
)
def test_option_is_read(text: str) -> None:
    assert parse("choice", text, DRUGS).value == "Ceftriaxone"


@pytest.mark.parametrize(
    "text",
    [
        "B. Doxycycline",
        "A or B",
        "A and B",
        "A/B",
        "Answer: A, B",
        "7",
        "G",
        "not ampicillin",
        "Ampicillin is not correct.",
        "Ampicillin, then ceftriaxone",
        "The answer is A.\nWait, the answer is B.",
        '{"answer": "None of the above"}',
        "None of the above options fits; ampicillin was tried before.",
        "A significant infection is present.",
        "Option A: it fails. Option B: it is dear. Option C: it is toxic.",
        "Nitro",
    ],
)
def test_option_in_doubt_is_unparsed(text: str) -> None:
    answer = parse("choice", text, DRUGS)
    assert (answer.status, answer.value) == ("unparsed", None)


@pytest.mark.parametrize(
    ("context", "text", "expected"),
    [
        (NESTED, "Type 1", "Type 1"),
        (NESTED, "It is type 1 diabetes.", "Type 1 diabetes"),
        (NESTED, "None of the above", "None of the above"),
        (NESTED, "A. Type 1", "Type 1"),
        (NESTED, "A. Type 1 diabetes", None),
        (NUMBERS, "2", "2"),
        (NUMBERS, "B", "4"),
        (NUMBERS, "The answer is 8.", "8"),
        (NUMBERS, "3", None),
        (NUMBERS, "160", None),
        (ARTICLES, "A", "A dominant gene"),
        (ARTICLES, "dominant gene", "A dominant gene"),
        (ARTICLES, "The answer is vitamin A", "Vitamin A"),
        (ARTICLES, "B cells", "B cells"),
        (SIGNS, "The answer is the na+/cl- cotransporter.", "Na+/Cl- cotransporter"),
        (SIGNS, "> 5 mg/dL", "> 5 mg/dL"),
        (SIGNS, "It is < 5 mg/dL", "< 5 mg/dL"),
        (DRUGS, "diabetes", "Type 1 diabetes"),
        (ParseContext(options=("-1", "1", "0")), "**1**", "1"),
        (ParseContext(options=("-1", "1", "0")), "The answer is -1.", "-1"),
        (ParseContext(options=("-1", "1", "0")), "The answer is 1.", "1"),
        (ParseContext(options=("-1", "1", "0")), "A. -1", "-1"),
        (ParseContext(options=("<5", ">5", "10")), "(5)", None),
        (ParseContext(options=("<5", ">5", "10")), "The answer is >5.", ">5"),
    ],
)
def test_hard_options(context: ParseContext, text: str, expected: str | None) -> None:
    assert parse("choice", text, context).value == expected


def test_what_is_mentioned_on_the_way_is_no_answer() -> None:
    text = "The patient has a fever. " + "She was well before. " * 10
    text += "Some would give ampicillin here. " + "The course is long. " * 3
    assert parse("choice", text, DRUGS).status == "unparsed"
    assert parse("choice", text + "I would give doxycycline.", DRUGS).status == "unparsed"
    last = "She was well before. " * 12 + "I would give doxycycline."
    assert parse("choice", last, DRUGS).value == "Doxycycline"


def test_labels_stand_in_for_options() -> None:
    assert parse("choice", "The answer is B", ParseContext(labels=("yes", "no"))).value == "no"
    assert parse("choice", "Answer: heparin", ParseContext()).value == "heparin"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Question: q?\nOptions: a / b b / c/d", ("a", "b b", "c/d")),
        ('Question: q?\nOptions: a / b\n"', ("a", "b")),
        ("Question: which? Options: A. yes B. no", ("yes", "no")),
        ("Options: x\nOptions: G/T pair / D cells", ("G/T pair", "D cells")),
        ("Which?\nA. Vitamin B. complex\nB. Iron\nC. Zn", ("Vitamin B. complex", "Iron", "Zn")),
        ("Which one?\n(A) Iron\n(B) Zinc", ("Iron", "Zinc")),
        ("Options:\n- iron\n- zinc", ("iron", "zinc")),
        ("No options here.", ()),
        ("", ()),
    ],
)
def test_options_from_input(text: str, expected: tuple[str, ...]) -> None:
    assert options_from_input(text) == expected


def test_gold_option_is_spelled_as_the_option() -> None:
    assert parse_gold("choice", "ceftriaxone", DRUGS).value == "Ceftriaxone"
    assert parse_gold("choice", "Unknown drug", DRUGS).value == "Unknown drug"
