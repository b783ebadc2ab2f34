"""Results and samples as lm-evaluation-harness writes and reads them."""

from __future__ import annotations

import json
import re

import pytest
from hostile import TASKS

from medinst_eval import importers
from medinst_eval.export import export
from medinst_eval.scoring import ScoringOptions


@pytest.fixture
def files(run, tmp_path):
    return export(run, "lm-eval", tmp_path)


def test_files_lie_and_are_named_as_the_harness_does(files, tmp_path):
    results, *samples = files
    assert results.parent == tmp_path / "org__model-8b"
    assert results.name == "results_2026-07-01T09-21-00.000000.json"
    assert [path.name for path in samples] == [
        f"samples_{task}_2026-07-01T09-21-00.000000.jsonl" for task in TASKS
    ]


def test_results_hold_the_harness_keys(files, run):
    found = json.loads(files[0].read_text(encoding="utf-8"))
    value = run.results["tasks"]["AnEM"]["metrics"]["entity_f1"]
    task = found["results"]["AnEM"]
    assert task["entity_f1,none"] == value["value"]
    assert task["entity_f1_stderr,none"] == value["stderr"]
    assert task["alias"] == "AnEM"
    assert task["sample_len"] == 9
    assert found["n-samples"]["AnEM"] == {"original": 10, "effective": 9}
    assert found["n-shot"]["AnEM"] == 2
    assert found["higher_is_better"]["BIOSSES"] == {
        "paper_mse": False, "pearson": True, "spearman": True, "mse": False,
    }  # fmt: skip
    assert found["configs"]["AnEM"]["dataset_path"] == "aialt/MedINST32"
    # A metric that could not be computed is not there, rather than 0.
    assert "bertscore_f1,none" not in found["results"]["Multi-XScience"]
    assert found["groups"]["medinst32_NER"]["paper,none"] == pytest.approx(
        run.results["categories"]["NER"]["paper"]["value"]
    )
    assert found["group_subtasks"]["medinst32_NER"] == ["AnEM", "NCBI-disease"]
    assert set(found["task_hashes"]) == set(TASKS)


def test_samples_hold_the_harness_keys(files, run):
    path = next(path for path in files if "samples_MedQA_" in path.name)
    lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    records = [r for r in run.samples() if r["task"] == "MedQA" and r["status"] != "error"]
    assert [line["doc_id"] for line in lines] == list(range(9))
    for line, record in zip(lines, records, strict=True):
        assert line["target"] == record["gold"] == line["doc"]["output"]
        output = record["output"].replace("\ud800", "\ufffd")
        assert line["resps"] == [[output]]
        assert line["filtered_resps"] == [output]
        assert line["arguments"]["gen_args_0"]["arg_0"] == record["input"]
        assert line["metrics"] == list(record["metrics"])
        assert line["accuracy"] == record["metrics"]["accuracy"]
        assert all(re.fullmatch("[0-9a-f]{64}", line[f"{x}_hash"]) for x in ("doc", "target"))


def test_our_own_import_reads_it_back(run, tmp_path):
    export(run, "lm-eval", tmp_path / "out")
    found = importers.read(tmp_path / "out", {})
    assert set(found.tasks) == set(TASKS)
    records = [r for r in run.samples() if r["task"] == "AnEM" and r["status"] != "error"]
    assert [row.output for row in found.tasks["AnEM"]] == [r["output"] for r in records]
    again = importers.make_run(
        found, tmp_path / "again", ScoringOptions(resamples=100), fresh=False
    )
    for task in ("AnEM", "SciFact", "BIOSSES"):
        before = run.results["tasks"][task]["metrics"]
        after = again["tasks"][task]["metrics"]
        assert {n: m["value"] for n, m in after.items()} == pytest.approx(
            {n: m["value"] for n, m in before.items()}
        )


def test_the_harness_reads_it(files):
    utils = pytest.importorskip("lm_eval.utils", reason="lm_eval is not installed")
    found = json.loads(files[0].read_text(encoding="utf-8"))
    table = utils.make_table(found)
    assert "entity_f1" in table
    assert "medinst32_NER" in utils.make_table(found, "groups")
    names = [str(path) for path in files]
    assert utils.get_results_filenames(names) == names[:1]
    assert utils.get_sample_results_filenames(names) == names[1:]
    assert [utils.get_file_task_name(path.name) for path in files[1:]] == list(TASKS)


def test_datasets_loads_the_samples(files, tmp_path, monkeypatch):
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    from datasets import load_dataset

    path = next(path for path in files if "samples_AnEM_" in path.name)
    rows = load_dataset(
        "json", data_files=str(path), split="train", cache_dir=str(tmp_path / "cache")
    )
    assert len(rows) == 9
    assert rows[0]["doc"]["id"] == "AnEM/0"
