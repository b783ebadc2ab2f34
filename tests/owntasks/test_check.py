"""What `tasks check` finds: each problem with its rows and what to do."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from medinst_eval.errors import InputError
from medinst_eval.owntasks import TaskCheck, check

METRICS = {
    "entities": "entity_f1", "relations": "relation_f1", "label": "accuracy",
    "labels": "micro_f1", "number": "pearson", "choice": "accuracy", "text": "chrf",
    "word_labels": "entity_f1",
}  # fmt: skip


def write(folder: Path, kind: str, golds: list[str], inputs: list[str], **card: Any) -> Path:
    fields = {
        "name": "Ward", "category": "QA", "form": kind,
        "metrics": {"standard": [METRICS[kind]]},
        "data": {"path": "rows.jsonl", "instruction": "Do."}, **card,
    }  # fmt: skip
    path = folder / "ward.yaml"
    path.write_text(json.dumps(fields))  # JSON is YAML
    rows = ({"input": text, "output": gold} for text, gold in zip(inputs, golds, strict=True))
    (folder / "rows.jsonl").write_text("\n".join(map(json.dumps, rows)))
    return path


def found(folder: Path, form: str, golds: list[str], **card: Any) -> TaskCheck:
    inputs = card.pop("inputs", [f"aspirin for cough {n}" for n in range(len(golds))])
    (task,) = check(write(folder, form, golds, inputs, **card), shots=0)
    return task


PROBLEMS: list[tuple[str, list[str], dict[str, Any], list[str]]] = [
    (
        "entities",
        ["[a <Drug>]", "a, b"],
        {},
        ["Ward/1 'a, b'", "such as [aspirin <Drug>]"],
    ),
    (
        "entities",
        ["[a <Drug>]", "[b <Drg>] [c <Drg>]"],
        {"labels": ["Drug"]},
        ["Ward/1, Ward/1: 'Drg' is not among", "did you mean 'Drug'?"],
    ),
    (
        "relations",
        ["[<a> <treats> <b>]", "[<a> <cures> <b>]"],
        {"labels": ["treats"]},
        ["Ward/1: 'cures' is not among the card's labels"],
    ),
    ("label", ["yes", ""], {"labels": ["yes", "no"]}, ["Ward/1: the gold answer is empty"]),
    ("label", ["yes", "maybe"], {"labels": ["yes", "no"]}, ["Ward/1", "maybe"]),
    ("labels", ["a, b", "a, x"], {"labels": ["a", "b"]}, ["Ward/1", "x"]),
    ("number", ["1", "2", "7"], {"scale": [0, 5]}, ["Ward/2 '7'", "off the scale"]),
    ("number", ["3", "3"], {"scale": [0, 5]}, ["score 0 in pearson", "differ from one another"]),
    (
        "choice",
        ["heart", "liver"],
        {"inputs": ["Question: x?\nOptions: heart / lung"] * 2},
        ["Ward/1 'liver'"],
    ),
    ("word_labels", ["aspirin [B] for [O] cough [B]", "[aspirin <Drug>]"],
     {"labels": ["B", "I", "O"], "inputs": ["aspirin for cough", "aspirin"]}, ["Ward/1"]),
]  # fmt: skip


@pytest.mark.parametrize(("form", "golds", "card", "says"), PROBLEMS)
def test_a_problem_names_rows_and_remedy(
    tmp_path: Path, form: str, golds: list[str], card: dict[str, Any], says: list[str]
) -> None:
    problems = found(tmp_path, form, golds, **card).problems
    assert len(problems) >= 1
    for text in says:
        assert any(text in problem for problem in problems), problems


@pytest.mark.parametrize(
    ("form", "golds", "card"),
    [
        ("entities", ["[a <Drug>]", ""], {"labels": ["Drug"]}),
        ("label", ["yes", "no"], {"labels": ["yes", "no"]}),
        ("labels", ["a, b", "b"], {"labels": ["a", "b"]}),
        ("number", ["1", "2.5"], {"scale": [0, 5]}),
        ("text", ["one", "two words"], {}),
    ],
)
def test_good_rows_have_none(
    tmp_path: Path, form: str, golds: list[str], card: dict[str, Any]
) -> None:
    task = found(tmp_path, form, golds, **card)
    assert task.problems == ()
    assert [score.value for score in task.scores] == [pytest.approx(1.0)]


def test_equal_rows_are_noted(tmp_path: Path) -> None:
    task = found(tmp_path, "text", ["one", "one", "two"], inputs=["a", "a", "b"])
    assert "1 rows ask what another row asks already" in task.notes


@pytest.mark.parametrize(
    ("card", "message"),
    [
        ({"form": "entity"}, "no answer form 'entity'; did you mean 'entities'?"),
        ({"metrics": {"standard": ["chr"]}}, "unknown metric 'chr': did you mean 'chrf'?"),
        ({"metrics": {"standard": ["entity_f1"]}}, "does not apply to answers of form 'text'"),
        ({"category": "NERD"}, "field 'category'"),
        ({"data": {"path": "rows.jsonl"}}, "rows.jsonl:1: field 'instruction' is missing"),
        ({"data": {"path": "row.jsonl"}}, "no data file"),
        ({"data": {"path": "rows.jsonl", "instruction": "x", "fields": {"input": "text"}}},
         "no column 'text'"),
    ],
)  # fmt: skip
def test_a_card_that_cannot_be_used_is_one_line(
    tmp_path: Path, card: dict[str, Any], message: str
) -> None:
    path = write(tmp_path, "text", ["a"], ["b"], **card)
    with pytest.raises(InputError) as caught:
        check(path)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)
