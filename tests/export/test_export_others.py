"""Inspect logs, experiment trackers, the command itself."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from medinst_eval.cli.export import command
from medinst_eval.errors import InputError
from medinst_eval.export import FORMATS, LOGGERS, export, log_to
from medinst_eval.export.loggers import scores, settings

# -- Inspect ------------------------------------------------------------------------------------


def test_inspect_reads_its_logs(run, tmp_path):
    log = pytest.importorskip("inspect_ai.log", reason="inspect-ai is not installed")
    files = export(run, "inspect", tmp_path)
    assert len(log.list_eval_logs(str(tmp_path))) == len(files) == len(run.results["tasks"])
    path = next(path for path in files if "_MedQA_" in path.name)
    found = log.read_eval_log(str(path))
    result = run.results["tasks"]["MedQA"]
    assert found.status == "success"
    assert found.eval.task == "MedQA"
    assert found.eval.model == "baseline/org/model-8b"
    assert (found.results.total_samples, found.results.completed_samples) == (10, 9)
    values = {score.name: score.metrics["score"].value for score in found.results.scores}
    assert values == {name: metric["value"] for name, metric in result["metrics"].items()}
    records = [r for r in run.samples() if r["task"] == "MedQA"]
    for sample, record in zip(found.samples, records, strict=True):
        assert sample.id == record["id"]
        assert sample.target == record["gold"]
        if record["status"] == "error":
            assert sample.error is not None
            assert not sample.scores
            continue
        assert sample.output.completion == record["output"].replace("\ud800", "\ufffd")
        assert {n: s.value for n, s in sample.scores.items()} == record["metrics"]
        cut = record["status"] == "truncated"
        assert sample.output.stop_reason == ("max_tokens" if cut else "stop")


def test_inspect_is_optional(run, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "inspect_ai.log", None)
    with pytest.raises(InputError, match=r"pip install 'medinst-eval\[inspect\]'"):
        export(run, "inspect", tmp_path)


# -- trackers -----------------------------------------------------------------------------------


def test_scores_have_their_names(run):
    found = scores(run)
    tasks = run.results["tasks"]
    assert found["overall/paper"] == run.results["overall"]["paper"]["value"]
    assert found["NER/standard"] == run.results["categories"]["NER"]["standard"]["value"]
    assert found["AnEM/entity_f1"] == tasks["AnEM"]["metrics"]["entity_f1"]["value"]
    assert found["AnEM/unparsed"] == 1
    assert found["overall/n"] == 10 * len(tasks)
    assert found["overall/n_errors"] == len(tasks)
    assert "Multi-XScience/bertscore_f1" not in found


def test_settings_are_flat(run):
    found = settings(run)
    assert found["model.name"] == "org/model-8b"
    assert found["prompt.shots"] == 2
    assert not any(isinstance(value, dict) for value in found.values())


def test_unknown_trackers_and_formats_are_refused(run, tmp_path):
    with pytest.raises(InputError, match="did you mean 'wandb'"):
        log_to("wand", run)
    with pytest.raises(InputError, match="did you mean 'parquet'"):
        export(run, "parket", tmp_path)


@pytest.mark.parametrize("name", list(LOGGERS))
def test_trackers_are_optional(run, monkeypatch, name):
    monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(InputError, match=rf"pip install 'medinst-eval\[{name}\]'"):
        log_to(name, run)


def test_wandb_offline(run, tmp_path, monkeypatch):
    pytest.importorskip("wandb", reason="wandb is not installed")
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_DIR", str(tmp_path))
    monkeypatch.setenv("WANDB_SILENT", "true")
    log_to("wandb", run)
    (file,) = tmp_path.rglob("*.wandb")
    content = file.read_bytes()
    assert b"AnEM/entity_f1" in content
    assert b"org/model-8b" in content


def test_mlflow_in_a_file(run, tmp_path, monkeypatch):
    mlflow = pytest.importorskip("mlflow", reason="mlflow is not installed")
    monkeypatch.chdir(tmp_path)
    mlflow.set_tracking_uri(f"sqlite:///{tmp_path}/mlflow.db")
    log_to("mlflow", run, project="trial")
    (logged,) = mlflow.search_runs(experiment_names=["trial"], output_format="list")
    expected = scores(run)
    assert logged.data.metrics == pytest.approx(expected)
    assert logged.data.params["model.name"] == "org/model-8b"
    assert logged.info.run_name == run.name


def test_trackio_in_a_folder(run, tmp_path, monkeypatch):
    monkeypatch.setenv("TRACKIO_DIR", str(tmp_path))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    pytest.importorskip("trackio", reason="trackio is not installed")
    log_to("trackio", run, project="trial")
    stored = [path for path in tmp_path.rglob("*") if path.suffix == ".db"]
    assert stored
    assert any(b"AnEM/entity_f1" in path.read_bytes() for path in tmp_path.rglob("*.db*"))


# -- the command --------------------------------------------------------------------------------


def test_command_writes_into_the_run_folder(run_path: Path, tmp_path, capsys):
    import shutil

    folder = tmp_path / "run"
    shutil.copytree(run_path, folder)
    assert command(folder, "csv") == 0
    assert capsys.readouterr().out.split() == [
        str(folder / "export" / "csv" / "scores.csv"),
        str(folder / "export" / "csv" / "samples.csv"),
    ]
    assert (folder / "export" / "csv" / "samples.csv").is_file()


def test_every_format_is_in_the_help():
    from medinst_eval.cli import export as module

    text = (module.command.__annotations__["to"],)
    assert all(name in str(text) for name in FORMATS)
