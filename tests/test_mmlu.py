"""Suite mmlu-medicine: prompts as in the original evaluation, both scorings, the pooled average."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

import medinst_eval
from medinst_eval.data import load
from medinst_eval.errors import InputError
from medinst_eval.prompts import PromptOptions, build
from medinst_eval.suites import MMLU_MEDICINE, suite_cards

ROWS = {
    "anatomy": 135, "clinical_knowledge": 265, "college_biology": 144, "college_medicine": 173,
    "medical_genetics": 100, "professional_medicine": 272,
}  # fmt: skip


def test_the_cards_are_the_six_subjects_and_no_part_of_the_32():
    assert {card.name: card.rows for card in suite_cards(MMLU_MEDICINE)} == ROWS
    assert sum(ROWS.values()) == 1089
    assert not ROWS.keys() & {card.name for card in suite_cards("medinst32")}


def write_subject(folder: Path, *questions: list[str]) -> None:
    for split in ("test", "dev"):
        with (folder / f"anatomy_{split}.csv").open("w", newline="") as file:
            csv.writer(file).writerows(questions)


ONE = ["Which bone?", "Femur, left", "Rib", "Skull", "None", "B"]
TWO = ["Which organ?", "Heart", "Lung", "Liver", "Heart", "D"]


def prompt(folder: Path, shots: int) -> str:
    cards = suite_cards(MMLU_MEDICINE)[:1]
    sample = load(cards, source=str(folder), shots=shots).tasks[0].samples[0]
    options = PromptOptions(shots=shots, layout="plain")
    return (
        build([sample], options=options, tokenizer=None, max_prompt_tokens=[None])[0]
        .messages[0]
        .content
    )


def test_prompts_are_those_of_the_original_evaluation(tmp_path: Path):
    write_subject(tmp_path, ONE, TWO)
    header = "The following are multiple choice questions (with answers) about anatomy.\n\n"
    shown = "Which bone?\nA. Femur, left\nB. Rib\nC. Skull\nD. None\nAnswer:"
    assert prompt(tmp_path, 0) == header + shown
    second = "Which organ?\nA. Heart\nB. Lung\nC. Liver\nD. Heart\nAnswer:"
    assert prompt(tmp_path, 2) == f"{header}{shown} B\n\n{second} D\n\n{shown}"


@pytest.mark.parametrize("scoring", ["logprob", "generate"])
@pytest.mark.parametrize("shots", [0, 5])
def test_gold_is_perfect_on_the_real_questions(
    tmp_path: Path, shared: Path, scoring: str, shots: int
):
    results = medinst_eval.evaluate(
        "gold", backend="baseline", suite=MMLU_MEDICINE, shots=shots, choice_scoring=scoring,
        data=str(shared / "data" / "mmlu_medical"), output=tmp_path, resamples=20,
    ).results  # fmt: skip
    assert {name: task["n"] for name, task in results["tasks"].items()} == ROWS
    assert all(t["metrics"]["accuracy"]["value"] == 1.0 for t in results["tasks"].values())
    assert results["overall"]["pooled"]["value"] == 1.0


def test_the_pooled_average_counts_questions_and_the_overall_counts_subjects(
    tmp_path: Path, shared: Path
):
    results = medinst_eval.evaluate(
        "majority", backend="baseline", suite=MMLU_MEDICINE, output=tmp_path, resamples=200,
        data=str(shared / "data" / "mmlu_medical"),
    ).results  # fmt: skip
    accuracy = {n: t["metrics"]["accuracy"]["value"] for n, t in results["tasks"].items()}
    right = sum(accuracy[name] * ROWS[name] for name in ROWS)
    pooled = results["overall"]["pooled"]
    assert pooled["value"] == pytest.approx(right / 1089, abs=1e-12)
    assert results["overall"]["standard"]["value"] == pytest.approx(
        sum(accuracy.values()) / 6, abs=1e-12
    )
    assert pooled["ci95"][0] < pooled["value"] < pooled["ci95"][1]


def test_an_option_given_by_text_counts_and_equal_options_keep_their_letter(tmp_path: Path):
    from medinst_eval.scoring import score_row
    from medinst_eval.types import Prediction

    write_subject(tmp_path, ONE, TWO)
    card = suite_cards(MMLU_MEDICINE)[0]
    samples = load([card], source=str(tmp_path), shots=0).tasks[0].samples
    expected = [
        (0, "Rib", "B"), (0, "The answer is (B).", "B"), (0, "A", "A"), (0, "Skull or rib", None),
        (1, "D", "D"), (1, "Answer: C", "C"),
    ]  # fmt: skip
    for row, output, answer in expected:
        prediction = Prediction(
            task=card.name, id=samples[row].id, key=samples[row].key, prompt_sha="",
            output=output, reasoning=None, finish_reason="stop", prompt_tokens=0, output_tokens=0,
        )  # fmt: skip
        assert score_row(card, samples[row], prediction).answer == answer, output


@pytest.mark.parametrize(
    ("row", "says"),
    [
        (["Which?", "a", "b", "c", "B"], "5 columns"),
        (["Which?", "a", "b", "c", "d", "E"], "'E'"),
    ],
)
def test_a_malformed_line_is_named(tmp_path: Path, row: list[str], says: str):
    write_subject(tmp_path, ONE, row)
    with pytest.raises(InputError, match=r"anatomy_test\.csv:2") as caught:
        load(suite_cards(MMLU_MEDICINE)[:1], source=str(tmp_path), shots=0)
    assert says in str(caught.value)


def test_a_folder_without_questions_is_named(tmp_path: Path):
    with pytest.raises(InputError, match=r"_test\.csv"):
        load(suite_cards(MMLU_MEDICINE), source=str(tmp_path), shots=0)
