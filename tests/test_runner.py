"""The pipeline end to end on real and built-in rows, with the backend that needs no model."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import medinst_eval
from medinst_eval import store
from medinst_eval.errors import InputError, StoreError
from medinst_eval.runner import RunOutcome

# The paper's rules that keep a perfect answer from a perfect score (BENCHMARK.md, consequences):
# a row whose gold has no brackets scores 0 even when the answer is the gold.
PAPER_TRAPS = {("tmVar-v3-NED", "paper_entity_f1"), ("Hallmarks-of-Cancer", "paper_entity_f1")}
# METEOR's penalty of fragmentation is 0.5 (1 / matches)^3 even for a text and itself.
METEOR_OF_ITSELF = {("Multi-XScience", "meteor"), ("ParaMed", "meteor")}


def baseline(kind: str, folder: Path, **settings: Any) -> RunOutcome:
    """A run of the baseline backend, with few resamples since intervals are not the point."""
    defaults: dict[str, Any] = {"backend": "baseline", "data": "demo", "resamples": 50}
    return medinst_eval.evaluate(kind, output=folder, **(defaults | settings))


def metric_values(results: dict[str, Any]) -> dict[tuple[str, str], tuple[float | None, bool]]:
    """(task, metric) -> (value, higher is better)."""
    return {
        (task, name): (score["value"], score["higher_is_better"])
        for task, record in results["tasks"].items()
        for name, score in record["metrics"].items()
    }


@pytest.mark.parametrize("shots", [0, 2])
def test_gold_is_perfect_and_empty_is_nothing_on_real_rows(
    tmp_path: Path, shared: Path, shots: int
):
    data = str(shared / "data" / "medinst32")
    gold = baseline("gold", tmp_path, data=data, shots=shots).results
    assert gold["complete"]
    assert len(gold["tasks"]) == 29
    assert sorted(gold["absent"]) == ["CoVERt", "ManConCorpus", "MedDialog"]
    imperfect = set()
    for (task, name), (value, higher) in metric_values(gold).items():
        if value is not None and value != pytest.approx(1.0 if higher else 0.0, abs=1e-9):
            imperfect.add((task, name))
    assert imperfect <= PAPER_TRAPS | METEOR_OF_ITSELF
    for task, name in METEOR_OF_ITSELF & imperfect:
        assert gold["tasks"][task]["metrics"][name]["value"] > 0.99
    empty = baseline("empty", tmp_path, data=data, shots=shots).results
    for key, (value, higher) in metric_values(empty).items():
        if higher and value is not None:
            assert value == pytest.approx(0.0, abs=1e-9), key
    for record in empty["tasks"].values():
        assert record["empty"] == record["n"] == record["n_scored"]


def test_results_hold_the_contract(tmp_path: Path):
    outcome = baseline("majority", tmp_path, limit=4)
    results = json.loads((outcome.path / store.RESULTS).read_text())
    assert results == outcome.results
    assert len(results["tasks"]) == 32
    assert list(results["categories"]) == [
        "NER", "NED", "RE", "COREF", "EE", "QA", "TE", "TXTCLASS", "STS", "SUM", "TRANSL",
    ]  # fmt: skip
    anem = results["tasks"]["AnEM"]
    assert anem["n"] == anem["n_scored"] == 4
    assert anem["primary"] == {"paper": "paper_entity_f1", "standard": "entity_f1"}
    score = anem["metrics"]["entity_f1"]
    assert score["ci95"][0] <= score["value"] <= score["ci95"][1]
    assert "bootstrap:50|seed:0" in score["signature"]
    # BIOSSES's MSE stands apart from the paper's overall.
    assert results["overall"]["paper"]["of"] == 31
    assert "BIOSSES" in results["overall"]["paper"]["left_out"]
    assert results["overall"]["standard"]["of"] == 32
    assert results["categories"]["STS"]["paper"]["higher_is_better"] is False


def test_overall_is_the_mean_of_the_headlines(tmp_path: Path):
    results = baseline("majority", tmp_path).results
    overall = results["overall"]["paper"]
    values = [
        results["tasks"][name]["metrics"][results["tasks"][name]["primary"]["paper"]]["value"]
        for name in overall["tasks"]
    ]
    assert len(values) == 31
    assert overall["value"] == pytest.approx(sum(values) / 31, abs=1e-12)


def test_the_same_call_generates_nothing_twice(tmp_path: Path):
    first = baseline("gold", tmp_path, tasks="QA", limit=3)
    path = first.path / store.PREDICTIONS
    before = path.read_bytes()
    again = baseline("gold", tmp_path, tasks="QA", limit=3)
    assert path.read_bytes() == before
    first.results.pop("timing")
    again.results.pop("timing")
    assert again.results == first.results


def test_a_cut_file_is_completed_to_the_same_result(tmp_path: Path):
    whole = baseline("majority", tmp_path / "whole", tasks="NER", limit=3)
    cut = baseline("majority", tmp_path / "cut", tasks="NER", limit=3)
    path = cut.path / store.PREDICTIONS
    raw = path.read_bytes()
    for share in (0.2, 0.5, 0.9):
        path.write_bytes(raw[: int(len(raw) * share)])
        results = baseline("majority", tmp_path / "cut", tasks="NER", limit=3).results
        assert results["tasks"] == whole.results["tasks"]
        ids = [json.loads(line)["id"] for line in path.read_text().splitlines()]
        assert len(ids) == len(set(ids)) == 13 * 3


def test_another_question_in_the_same_folder_is_refused(tmp_path: Path):
    baseline("gold", tmp_path, tasks="MedQA", run_name="mine")
    with pytest.raises(StoreError, match=r"prompt\.shots: 2 -> 0"):
        baseline("gold", tmp_path, tasks="MedQA", run_name="mine", shots=0)
    with pytest.raises(StoreError, match=r"model\.fingerprint"):
        baseline("empty", tmp_path, tasks="MedQA", run_name="mine")
    outcome = baseline("empty", tmp_path, tasks="MedQA", run_name="mine", fresh=True)
    assert outcome.results["tasks"]["MedQA"]["metrics"]["accuracy"]["value"] == 0.0


def test_samples_carry_what_a_reader_needs(tmp_path: Path):
    outcome = baseline("gold", tmp_path, tasks="AnEM,MedQA", limit=2)
    samples = list(store.read_run(outcome.path).samples())
    assert [s["id"] for s in samples] == ["AnEM/0", "AnEM/1", "MedQA/0", "MedQA/1"]
    assert {"task", "id", "key", "gold", "answer", "status", "metrics", "input"} <= set(samples[0])
    assert samples[0]["status"] == "ok"
    assert samples[0]["metrics"]["entity_f1"] == 1.0
    stats = store.read_run(outcome.path).stats()
    assert stats["AnEM|entity_f1"].shape[0] == 2
    assert stats["AnEM|#clusters"].tolist() == [0, 1]


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"shots": 3}, "--shots must be 0 to 2"),
        ({"limit": 0}, "--limit must be at least 1"),
        ({"limit": 1, "sample": 1}, "not both"),
        ({"temperature": -1.0}, "--temperature"),
        ({"tasks": "AnEm,MedQAA"}, "did you mean MedQA"),
        ({"data": "/no/such/folder"}, "no/such/folder"),
        ({"run_name": "../elsewhere"}, "--run-name"),
        ({"shard": (3, 2)}, "--shard"),
        ({"max_errors": "many"}, "--max-errors"),
        ({"suite": "mmlu"}, "no suite 'mmlu'"),
    ],
)
def test_wrong_settings_are_named(tmp_path: Path, settings: dict[str, Any], says: str):
    with pytest.raises(InputError, match=says):
        baseline("gold", tmp_path, **settings)
    assert not list(tmp_path.iterdir())


def test_an_unknown_setting_is_named_with_the_nearest():
    with pytest.raises(InputError, match="did you mean 'shots'"):
        medinst_eval.evaluate("gold", shot=0)


def test_paper_extras_add_two_metrics_everywhere(tmp_path: Path):
    results = baseline("gold", tmp_path, limit=1, paper_extras=True).results
    for record in results["tasks"].values():
        assert {"paper_rouge_l", "paper_word_f1"} <= set(record["metrics"])


def test_shards_join_to_the_run_that_was_never_split(tmp_path: Path):
    from medinst_eval.rescore import merge

    whole = baseline("majority", tmp_path, tasks="NER,STS", limit=5)
    parts = [
        baseline("majority", tmp_path, tasks="NER,STS", limit=5, shard=(part, 3)).path
        for part in (1, 2, 3)
    ]
    joined = merge(parts, tmp_path / "joined", fresh=False)
    assert joined["tasks"] == whole.results["tasks"]
    assert joined["overall"] == whole.results["overall"]
    with pytest.raises(InputError, match="shard 2/3 is missing"):
        merge([parts[0], parts[2]], tmp_path / "gap", fresh=False)
    with pytest.raises(InputError, match="both shard 1/3"):
        merge([parts[0], parts[0], parts[2]], tmp_path / "twice", fresh=False)
    with pytest.raises(InputError, match="not a shard"):
        merge([whole.path], tmp_path / "none", fresh=False)
