"""Scoring again without the model: run folders, the authors' file, lm-evaluation-harness."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import medinst_eval
from medinst_eval import importers, store
from medinst_eval.errors import InputError, StoreError
from medinst_eval.rescore import rescore, stored_options
from medinst_eval.verify import verify


def majority(folder: Path, **settings: Any) -> Path:
    """A run folder of the majority baseline on a few built-in rows."""
    defaults: dict[str, Any] = {"backend": "baseline", "data": "demo", "resamples": 50}
    return medinst_eval.evaluate(
        "majority", output=folder, **(defaults | {"tasks": "NER,STS"} | settings)
    ).path


def scores(path: Path) -> Any:
    results = json.loads((path / store.RESULTS).read_text())
    return {key: results[key] for key in ("tasks", "categories", "overall", "complete")}


def test_scoring_again_gives_the_same_and_touches_no_prediction(tmp_path: Path):
    path = majority(tmp_path)
    before, predictions = scores(path), (path / store.PREDICTIONS).read_bytes()
    rescore(path)
    assert scores(path) == before
    assert (path / store.PREDICTIONS).read_bytes() == predictions


def test_warnings_about_the_data_are_kept(tmp_path: Path, shared: Path):
    path = majority(tmp_path, data=str(shared / "data" / "medinst32"), tasks="AnEM")
    before = scores(path)
    assert before["tasks"]["AnEM"]["warnings"] == ["137 rows where the card expects 30"]
    rescore(path)
    assert scores(path) == before


def test_a_run_killed_before_scoring_is_scored_from_its_data_source(tmp_path: Path):
    path = majority(tmp_path)
    before = scores(path)
    for name in (store.RESULTS, store.SAMPLES, store.STATS):
        (path / name).unlink()
    with pytest.raises(StoreError, match="unfinished"):
        store.read_run(path)
    rescore(path)
    assert scores(path) == before


def test_options_of_the_run_are_kept_and_can_be_changed(tmp_path: Path):
    path = majority(tmp_path)
    rescore(path, resamples=70, paper_extras=True)
    task = scores(path)["tasks"]["AnEM"]["metrics"]
    assert "paper_word_f1" in task
    assert "bootstrap:70|" in task["entity_f1"]["signature"]
    rescore(path)  # keeps what the last scoring used
    assert "bootstrap:70|" in scores(path)["tasks"]["AnEM"]["metrics"]["entity_f1"]["signature"]


def test_missing_predictions_make_a_run_incomplete_and_are_no_answers(tmp_path: Path):
    path = majority(tmp_path)
    lines = (path / store.PREDICTIONS).read_bytes().splitlines(keepends=True)
    (path / store.PREDICTIONS).write_bytes(b"".join(lines[1:]))
    results = rescore(path)
    assert results["complete"] is False
    first = results["tasks"]["NCBI-disease"]
    assert (first["n"], first["n_scored"], first["n_errors"]) == (
        first["n_scored"] + 1, first["n"] - 1, 1,
    )  # fmt: skip


def test_the_authors_file_is_scored_as_the_authors_scored_it(tmp_path: Path, shared: Path):
    found = importers.read(shared / "benchmark" / "authors_results.json", {})
    assert len(found.tasks) == 29
    results = importers.make_run(
        found, tmp_path / "authors", stored_options({}, resamples=20), fresh=False
    )
    assert importers.differences(found, results) == []
    stated = sum(len(values) for values in found.reported.values())
    assert importers.agreement(found, results).startswith(f"{stated} of {stated} scores")
    assert store.read_run(tmp_path / "authors").name == "authors"


def test_a_score_that_is_not_met_is_reported(tmp_path: Path):
    path = tmp_path / "result.json"
    rows = [{"prediction": "yes", "target": "yes"}, {"prediction": "no", "target": "yes"}]
    record = {"generated": rows, "metrics": {"label_level_f1": 0.9, "rouge": 0.5}}
    path.write_text(json.dumps({"QA": {"PubMedQA-labeled": record}}))
    found = importers.read(path, {})
    results = importers.make_run(found, tmp_path / "run", stored_options({}), fresh=False)
    (line,) = importers.differences(found, results)
    assert "paper_label_f1 is 0.900000 in the file" in line
    assert importers.agreement(found, results).startswith("1 of 2")


def harness_line(doc_id: int, output: str, target: str) -> str:
    doc = {"instruction": "Label.", "input": "Claim: x\nEvidence: y", "output": target}
    return json.dumps(
        {"doc_id": doc_id, "doc": doc, "target": target, "resps": [[output]],
         "filtered_resps": [output]}
    )  # fmt: skip


def test_harness_samples_become_a_run(tmp_path: Path):
    folder = tmp_path / "lm_eval"
    folder.mkdir()
    (folder / "samples_scifact_2026-01-31T12-00-00.000000.jsonl").write_text(
        harness_line(0, "Supports", "Supports") + "\n" + harness_line(1, "unsure", "Refutes") + "\n"
    )
    (folder / "samples_mine_2026-01-31T12-00-00.000000.jsonl").write_text(
        harness_line(0, "yes", "yes") + "\n"
    )
    with pytest.raises(InputError, match="--task mine=TASK"):
        importers.read(folder, {})
    found = importers.read(folder, {"mine": "BioASQ-Task-B-yesno"})
    results = importers.make_run(found, tmp_path / "run", stored_options({}), fresh=False)
    assert results["tasks"]["SciFact"]["metrics"]["accuracy"]["value"] == 0.5
    assert results["tasks"]["SciFact"]["unparsed"] == 1
    assert results["tasks"]["BioASQ-Task-B-yesno"]["metrics"]["accuracy"]["value"] == 1.0


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("a.json", "{", "not JSON"),
        ("a.json", "[]", "not a result file"),
        ("a.json", '{"QA": {"MedQA": {}}}', "'generated'"),
        ("a.json", '{"QA": {"MedQA": {"generated": [{"target": "x"}]}}}', "'prediction'"),
        ("a.json", '{"QA": {"MedQQ": {"generated": []}}}', "did you mean 'MedQA'"),
        ("samples_medqa.jsonl", "{}\n", ":1: not a sample"),
        ("samples_medqa.jsonl", "", "no samples"),
    ],
)
def test_a_bad_file_is_named(tmp_path: Path, name: str, content: str, says: str):
    (tmp_path / name).write_text(content)
    with pytest.raises(InputError, match=says) as caught:
        importers.read(tmp_path / name, {})
    assert name in str(caught.value)


def test_verify_finds_what_changed_and_nothing_else(tmp_path: Path):
    path = majority(tmp_path)
    same = verify(path, sample=20)
    assert (same.asked, same.differences, same.errors) == (20, (), 0)
    other = verify(path, sample=20, model="gold")
    assert other.differences
    assert all(difference.same_prompt for difference in other.differences)
    assert any("model.fingerprint" in line for line in other.changed_settings)
