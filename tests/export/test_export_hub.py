"""Scores for the Hub, read back by huggingface_hub's own parsers."""

from __future__ import annotations

import huggingface_hub
import pytest
import yaml
from huggingface_hub import ModelCard
from runs import Rows, write_run

from medinst_eval.errors import InputError
from medinst_eval.export import export
from medinst_eval.store import read_run


def test_eval_results_are_what_the_hub_parses(run, tmp_path):
    parse = getattr(huggingface_hub, "parse_eval_result_entries", None)
    if parse is None:
        pytest.skip("this huggingface_hub does not know .eval_results yet")
    listed, _ = export(run, "hub", tmp_path)
    assert listed == tmp_path / ".eval_results" / "medinst-eval.yaml"
    entries = {e.task_id: e for e in parse(yaml.safe_load(listed.read_text(encoding="utf-8")))}
    assert set(entries) == set(run.results["tasks"])
    entry = entries["AnEM"]
    assert entry.dataset_id == "aialt/MedINST32"
    assert entry.dataset_revision == "a" * 40
    assert entry.value == round(
        100 * run.results["tasks"]["AnEM"]["metrics"]["paper_entity_f1"]["value"], 2
    )
    assert entry.date == "2026-07-01T09:21:00+00:00"
    assert entry.notes == "paper_entity_f1, 2-shot, chat layout, 9 samples, medinst-eval 0.1.0"
    assert entries["BIOSSES"].value == round(
        run.results["tasks"]["BIOSSES"]["metrics"]["paper_mse"]["value"], 2
    )


def test_model_index_is_what_the_hub_parses(run, tmp_path):
    _, path = export(run, "hub", tmp_path)
    card = ModelCard.load(path)
    assert card.data.model_name == "model-8b"
    found = {(e.dataset_config, e.metric_type): e for e in card.data.eval_results}
    for task, result in run.results["tasks"].items():
        for name, metric in result["metrics"].items():
            if metric["value"] is None:
                assert (task, name) not in found
                continue
            factor = 100 if metric["higher_is_better"] else 1
            entry = found[task, name]
            assert entry.metric_value == round(factor * metric["value"], 2)
            assert entry.dataset_type == "aialt/MedINST32"
            assert entry.dataset_revision == "a" * 40
            assert entry.dataset_args == {"num_few_shot": 2}
    assert found["AnEM", "entity_f1"].task_type == "token-classification"
    assert "| AnEM | 9 | paper_entity_f1 |" in card.text


def test_zero_shot_runs_name_the_zero_shot_config(tmp_path):
    folder = write_run(
        tmp_path / "zero", {"AnEM": Rows(right=[True, False])}, shots=0,
        manifest={"data": {"source": "aialt/MedINST32"}},
    )  # fmt: skip
    _, path = export(read_run(folder), "hub", tmp_path / "out")
    assert {e.dataset_config for e in ModelCard.load(path).data.eval_results} == {"AnEM-zs"}


def test_data_from_a_folder_need_a_name(tmp_path):
    folder = write_run(tmp_path / "local", {"AnEM": Rows(right=[True])})
    run = read_run(folder)
    with pytest.raises(InputError, match="--dataset OWNER/NAME"):
        export(run, "hub", tmp_path / "out")
    listed, _ = export(run, "hub", tmp_path / "out", dataset="me/data")
    (entry,) = yaml.safe_load(listed.read_text())
    assert entry["dataset"] == {"id": "me/data", "task_id": "AnEM"}


def test_dataset_is_for_the_hub_alone(run, tmp_path):
    with pytest.raises(InputError, match="belongs to --to hub"):
        export(run, "csv", tmp_path, dataset="me/data")


def test_names_cannot_break_the_card(tmp_path):
    folder = write_run(
        tmp_path / "odd", {"AnEM": Rows(right=[True])}, model="org/a: b\n---\n# | <b>`x`",
        manifest={"data": {"source": "aialt/MedINST32"}},
    )  # fmt: skip
    _, path = export(read_run(folder), "hub", tmp_path / "out")
    card = ModelCard.load(path)
    assert card.data.model_name == "a: b\n---\n# | <b>`x`"
    assert "<b>" not in card.text
