"""Our metrics behind the interface of the `evaluate` library, offline."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

evaluate = pytest.importorskip("evaluate")

from medinst_eval.errors import InputError  # noqa: E402
from medinst_eval.metrics import as_evaluate  # noqa: E402

GOLD = ["[BRCA1 <Gene>] [cancer <Disease>]", "[TP53 <Gene>]"]
OUTPUT = ["[brca1 <gene>]", "I do not know."]


@pytest.fixture(autouse=True)
def _offline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setattr("evaluate.config.HF_METRICS_CACHE", tmp_path)
    monkeypatch.setattr("evaluate.config.HF_EVALUATE_OFFLINE", True)


def test_compute() -> None:
    metric = as_evaluate("entity_f1", form="entities")
    assert isinstance(metric, evaluate.Metric)
    result = metric.compute(predictions=OUTPUT, references=GOLD)
    assert result == {"entity_f1": 0.5, "unparsed": 1}


def test_batches_add_up_to_one_corpus() -> None:
    metric = as_evaluate("entity_f1", form="entities")
    metric.add_batch(predictions=OUTPUT[:1], references=GOLD[:1])
    metric.add(prediction=OUTPUT[1], reference=GOLD[1])
    assert metric.compute() == {"entity_f1": 0.5, "unparsed": 1}
    assert metric.compute(predictions=GOLD, references=GOLD) == {"entity_f1": 1.0, "unparsed": 0}


def test_it_describes_itself() -> None:
    metric = as_evaluate("entity_f1", form="entities")
    assert metric.description.startswith("Entities found with their boundaries and type")
    assert "seqeval" in metric.citation
    assert set(metric.features) == {"predictions", "references"}
    assert "unparsed" in metric.inputs_description


@pytest.mark.parametrize(
    ("name", "task", "golds", "outputs", "expected"),
    [
        ("accuracy", {"form": "label", "labels": ["yes", "no"]}, ["yes", "no"],
         ["The answer is yes.", "hm"], {"accuracy": 0.5, "unparsed": 1}),
        ("paper_label_f1", {"form": "label"}, ["yes", "no"], ["Yes.", "I say no"],
         {"paper_label_f1": 0.5, "unparsed": 0}),
        ("entity_f1", {"form": "word_labels", "labels": ["B", "I", "O"]},
         ["No [O] lung [B] cancer [I]"], ["No [O] lung [B] cancer [I]"],
         {"entity_f1": 1.0, "unparsed": 0}),
        ("mse", {"scale": (0, 5)}, ["3", "1"], ["2.5", "none"], {"mse": 8.125, "unparsed": 1}),
        ("rouge_l", {}, ["a heart valve"], ["a heart valve"], {"rouge_l": 1.0, "unparsed": 0}),
        ("link_f1", {}, ["", "[WRN <a/1>]"], ["None", "[WRN <a/1>]"],
         {"link_f1": 1.0, "unparsed": 0}),
    ],
)  # fmt: skip
def test_texts_of_each_form(
    name: str,
    task: dict[str, object],
    golds: list[str],
    outputs: list[str],
    expected: dict[str, float],
) -> None:
    metric = as_evaluate(name, **task)  # type: ignore[arg-type]
    assert metric.compute(predictions=outputs, references=golds) == expected


def test_a_choice_needs_its_question() -> None:
    metric = as_evaluate("accuracy", form="choice")
    question = "Question: Which one?\nOptions: Insulin / Aspirin"
    result = metric.compute(predictions=["B"], references=["Aspirin"], inputs=[question])
    assert result == {"accuracy": 1.0, "unparsed": 0}
    with pytest.raises(InputError, match="without its question"):
        metric.compute(predictions=["B"], references=["Aspirin"])


def test_wrong_use_is_told_before_training() -> None:
    with pytest.raises(InputError, match="does not apply to answers of form 'number'"):
        as_evaluate("entity_f1", form="number")
    with pytest.raises(InputError, match="did you mean 'entity_f1'"):
        as_evaluate("entity_f2")


def test_a_reference_that_is_no_gold_is_named() -> None:
    metric = as_evaluate("entity_f1", form="entities")
    with pytest.raises(InputError, match="reference 1 is not of form 'entities'"):
        metric.compute(predictions=["", ""], references=["[a <B>]", "[[["])


def test_real_golds_score_one(golds: Callable[[str], list[str]]) -> None:
    rows = golds("NCBI-disease")[:30]
    metric = as_evaluate("entity_f1", form="word_labels", labels=["B", "I", "O"])
    assert metric.compute(predictions=rows, references=rows)["entity_f1"] == 1.0
