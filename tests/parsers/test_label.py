"""One label, several labels: what counts as named, and what is refused."""

from __future__ import annotations

import pytest

from medinst_eval.parsers import parse, parse_gold
from medinst_eval.types import ParseContext

TE = ParseContext(labels=("Supports", "Refutes", "Neutral"))
YES_NO = ParseContext(labels=("yes", "no"))
MAYBE = ParseContext(labels=("yes", "no", "maybe"), input="Question: q?\nOptions: yes / no / maybe")
SPEAKER = ParseContext(labels=("patient", "doctor"))
HALLMARKS = ParseContext(
    labels=(
        "tumor promoting inflammation",
        "cellular energetics",
        "resisting cell death",
        "genomic instability and mutation",
        "none",
        "inducing angiogenesis",
        "sustaining proliferative signaling",
    )
)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Supports", "Supports"),
        ("supports.", "Supports"),
        ("SUPPORT", "Supports"),
        ("SUPPORTED", "Supports"),
        ("'Supports'", "Supports"),
        ("Refuting", "Refutes"),
        ("NEI", "Neutral"),
        ("NOT ENOUGH INFO", "Neutral"),
        ("CONTRADICTS", "Refutes"),
        ("Entailment", "Supports"),
        ("Label: Neutral", "Neutral"),
        ("The evidence supports the claim.", "Supports"),
        ("The evidence neither supports nor refutes the claim.", "Neutral"),
        ("**Refutes**\n\nThe evidence supports the opposite view.", "Refutes"),
        ('{"label": "REFUTES", "explanation": "it supports the opposite"}', "Refutes"),
        ("The answer is: Refutes. It does not support it.", "Refutes"),
        ("The evidence supports the claim. Final answer: Neutral", "Neutral"),
        ("The claim is supported. The answer is Refutes", "Refutes"),
        ("Supports\n\nSupports\n\nSupports", "Supports"),
        ("<answer>Neutral</answer>", "Neutral"),
        ("```\nNeutral\n```", "Neutral"),
    ],
)
def test_label_is_read(text: str, expected: str) -> None:
    assert parse("label", text, TE).value == expected


@pytest.mark.parametrize(
    "text",
    [
        "The evidence does not support the claim.",
        "The evidence doesn't support the claim",
        "The claim is not refuted by the evidence.",
        "The evidence fails to support the claim",
        "It is impossible to say whether it supports it.",
        "The claim is strongly supported by the evidence, not contradicted by it.",
        "Supports or Refutes",
        "Supports, Refutes, or Neutral",
        "Answer: Supports\nAnswer: Refutes",
        "Unsupported",
        "I cannot tell",
        "{}",
    ],
)
def test_label_in_doubt_is_unparsed(text: str) -> None:
    answer = parse("label", text, TE)
    assert answer.status == "unparsed"
    assert answer.value is None
    assert answer.note


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Yes.", "yes"),
        ("no", "no"),
        ("Yes, because there is no evidence against it.", "yes"),
        ("No, it does not.", "no"),
        ("Yes the drug works", "yes"),
        ("The answer is no.", "no"),
        ("I would say no.", "no"),
        ("Based on the text, the answer is 'yes'.", "yes"),
        ("Answer: **No**", "no"),
        ("There is no evidence for this.", None),
        ("No evidence was found that aspirin helps. So yes? It is unclear", None),
        ("The answer is no one knows", None),
        ("It is impossible to say yes or no.", None),
        ("Yes and no.", None),
        ("yes/no", None),
        ("Yes. The trial was small. Therefore, the answer is no.", None),
        ("nothing", None),
        ("noted", None),
    ],
)
def test_words_of_prose_count_only_alone(text: str, expected: str | None) -> None:
    assert parse("label", text, YES_NO).value == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("B", "no"),
        ("(C)", "maybe"),
        ("A. yes", "yes"),
        ("The answer is B.", "no"),
        ("A. no", None),
        ("A significant effect was seen.", None),
    ],
)
def test_letters_count_where_the_input_offers_the_labels(text: str, expected: str | None) -> None:
    assert parse("label", text, MAYBE).value == expected


def test_letters_mean_nothing_where_no_options_are_offered() -> None:
    assert parse("label", "B", YES_NO).status == "unparsed"


def test_plural_of_a_label_and_two_labels() -> None:
    assert parse("label", "Patients", SPEAKER).value == "patient"
    assert parse("label", "The doctor speaks to the patient", SPEAKER).status == "unparsed"


def test_label_of_an_open_set_is_the_bare_text() -> None:
    assert parse("label", "**Answer: oncology**", ParseContext()).value == "oncology"


def test_gold_label_outside_the_set_is_kept() -> None:
    assert parse_gold("label", "Contradictory", TE).value == "Contradictory"
    assert parse_gold("label", " supports ", TE).value == "Supports"
    assert parse_gold("label", "", TE).status == "empty"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("none", ("none",)),
        ("None of the above", ("none",)),
        ("No hallmarks are discussed.", ("none",)),
        ("[]", ("none",)),
        ("resisting cell death", ("resisting cell death",)),
        ("resisting_cell_death", ("resisting cell death",)),
        ("Tumour-promoting inflammation", ("tumor promoting inflammation",)),
        ("sustaining proliferative signalling", ("sustaining proliferative signaling",)),
        (
            "Resisting Cell Death; Inducing Angiogenesis",
            ("resisting cell death", "inducing angiogenesis"),
        ),
        (
            "1. **Resisting cell death**: apoptosis\n2. **Cellular energetics**: glycolysis",
            ("resisting cell death", "cellular energetics"),
        ),
        ('["resisting cell death", "none such"]', ("resisting cell death",)),
        ('{"labels": ["cellular energetics"]}', ("cellular energetics",)),
        (
            "genomic instability and mutation and resisting cell death",
            ("genomic instability and mutation", "resisting cell death"),
        ),
        (
            "The sentence discusses genomic instability and mutation and inducing angiogenesis.",
            ("genomic instability and mutation", "inducing angiogenesis"),
        ),
        ("Hallmarks: resisting cell death, resisting cell death", ("resisting cell death",)),
    ],
)
def test_labels_are_read(text: str, expected: tuple[str, ...]) -> None:
    assert parse("labels", text, HALLMARKS).value == expected


@pytest.mark.parametrize(
    "text",
    [
        "It does not discuss resisting cell death.",
        "It does not discuss inducing angiogenesis, resisting cell death, or cellular energetics.",
        "none, resisting cell death",
        "bogus",
    ],
)
def test_labels_denied_or_contradictory_are_unparsed(text: str) -> None:
    assert parse("labels", text, HALLMARKS).status == "unparsed"


def test_unknown_labels_are_named_in_the_note() -> None:
    answer = parse("labels", "resisting cell death, ageing", HALLMARKS)
    assert answer.value == ("resisting cell death",)
    assert "ageing" in answer.note


def test_gold_labels() -> None:
    assert parse_gold("labels", "none", HALLMARKS).value == ("none",)
    assert parse_gold("labels", "", HALLMARKS).value == ()
    assert parse_gold("labels", "new, other", HALLMARKS).value == ("new", "other")
