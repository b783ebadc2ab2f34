"""CSV that spreadsheets can be trusted with, and Parquet that loses nothing."""

from __future__ import annotations

import csv
import json

import pyarrow.parquet as pq
import pytest
from hostile import HOSTILE

from medinst_eval.export import export
from medinst_eval.export.tabular import CELL_LIMIT, SAMPLE_COLUMNS, SCORE_COLUMNS
from medinst_eval.store import read_run


def read_csv(path):
    with path.open(encoding="utf-8-sig", newline="") as lines:
        return list(csv.DictReader(lines))


def test_csv_scores(run, tmp_path):
    scores, _ = export(run, "csv", tmp_path)
    assert scores.read_bytes().startswith(b"\xef\xbb\xbf")
    rows = read_csv(scores)
    assert list(rows[0]) == list(SCORE_COLUMNS)
    metric = run.results["tasks"]["AnEM"]["metrics"]["entity_f1"]
    (row,) = [r for r in rows if (r["name"], r["metric"]) == ("AnEM", "entity_f1")]
    assert float(row["value"]) == metric["value"]
    assert [float(row["ci95_low"]), float(row["ci95_high"])] == metric["ci95"]
    assert (row["headline"], row["n"], row["n_errors"], row["unparsed"]) == (
        "standard", "10", "1", "1",
    )  # fmt: skip
    (missing,) = [r for r in rows if r["metric"] == "bertscore_f1"]
    assert missing["value"] == ""
    assert missing["reason"]
    (overall,) = [r for r in rows if (r["scope"], r["headline"]) == ("overall", "paper")]
    assert float(overall["value"]) == run.results["overall"]["paper"]["value"]


def test_no_cell_is_a_formula(run, tmp_path):
    _, samples = export(run, "csv", tmp_path)
    rows = read_csv(samples)
    assert len(rows) == len(list(run.samples()))
    for row in rows:
        for name, cell in row.items():
            if not name.startswith("metric_"):
                assert cell[:1] not in ("=", "+", "-", "@", "\t", "\r", "\n"), (name, cell)
    outputs = [r["output"] for r in rows if r["task"] == "MedQA"]
    assert outputs[:4] == [f"'{text}" for text in HOSTILE[:4]]
    assert outputs[5] == 'a,"b"  c'
    assert outputs[6] == "lone \ufffd"


def test_long_cells_end_before_a_spreadsheet_breaks(run_path, tmp_path):
    import shutil

    folder = tmp_path / "run"
    shutil.copytree(run_path, folder)
    lines = [json.loads(line) for line in (folder / "samples.jsonl").read_text().splitlines()]
    lines[0]["output"] = "x" * 40_000
    (folder / "samples.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    _, samples = export(read_run(folder), "csv", tmp_path / "out")
    assert CELL_LIMIT < len(read_csv(samples)[0]["output"]) < 32_767


def test_parquet_keeps_everything(run, tmp_path):
    scores, samples = export(run, "parquet", tmp_path)
    table = pq.read_table(samples)
    assert table.column_names[: len(SAMPLE_COLUMNS)] == list(SAMPLE_COLUMNS)
    for row, record in zip(table.to_pylist(), run.samples(), strict=True):
        for name in ("task", "id", "key", "status", "gold", "note"):
            assert row[name] == record[name]
        assert row["output"] == record["output"].replace("\ud800", "\ufffd")
        assert (None if row["answer"] is None else json.loads(row["answer"])) == record["answer"]
        kept = {k[7:]: v for k, v in row.items() if k.startswith("metric_") and v is not None}
        assert kept == record["metrics"]
    rows = pq.read_table(scores).to_pylist()
    values = {(r["name"], r["metric"]): r["value"] for r in rows if r["scope"] == "task"}
    for task, result in run.results["tasks"].items():
        for name, metric in result["metrics"].items():
            assert values[task, name] == metric["value"]


@pytest.mark.parametrize("to", ["csv", "parquet", "lm-eval", "hub"])
def test_the_same_run_gives_the_same_files(run, tmp_path, to):
    first = export(run, to, tmp_path / "one")
    second = export(run, to, tmp_path / "two")
    assert [p.read_bytes() for p in first] == [p.read_bytes() for p in second]
