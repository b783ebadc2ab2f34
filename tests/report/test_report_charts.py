"""Charts as files, and the command that writes page and charts."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
from runs import Rows, write_run
from sample_runs import write_sample_run

from medinst_eval.cli.report import command
from medinst_eval.errors import InputError, StoreError
from medinst_eval.report import collect
from medinst_eval.report.charts import write_charts
from medinst_eval.store import read_run

TASKS = ("AnEM", "SciFact", "BIOSSES")
CHARTS = [
    "categories-paper", "tasks-paper", "categories-standard", "tasks-standard",
    "confusion-SciFact", "scatter-BIOSSES",
]  # fmt: skip


def test_every_chart_in_every_format(tmp_path):
    run = read_run(write_sample_run(tmp_path, "base $8b$ \\frac", rows=5, tasks=TASKS))
    written = write_charts(collect([run]), tmp_path / "out" / "page", ["png", "pdf"])
    assert {p.name for p in written} == {f"page-{c}.{k}" for c in CHARTS for k in ("png", "pdf")}
    for path in written:
        start = path.read_bytes()[:5]
        assert start.startswith(b"%PDF-" if path.suffix == ".pdf" else b"\x89PNG")
    pdf = (tmp_path / "out" / "page-tasks-paper.pdf").read_bytes()
    assert b"/FontFile2" in pdf  # fonts are embedded, as publishers ask
    assert b"CreationDate" not in pdf


def test_the_same_run_gives_the_same_charts(tmp_path):
    run = read_run(write_sample_run(tmp_path, "base", rows=5, tasks=TASKS))
    first = write_charts(collect([run]), tmp_path / "one", ["png"])
    second = write_charts(collect([run]), tmp_path / "two", ["png"])
    assert [p.read_bytes() for p in first] == [p.read_bytes() for p in second]


def test_charts_without_matplotlib_say_what_to_install(tmp_path, monkeypatch):
    run = read_run(write_sample_run(tmp_path, "base", rows=2, tasks=TASKS))
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(InputError, match=r"pip install 'medinst-eval\[report\]'"):
        write_charts(collect([run]), tmp_path / "page", ["png"])


def test_command_writes_into_the_run_folder(tmp_path, capsys):
    folder = write_sample_run(tmp_path, "base", rows=3, tasks=TASKS)
    assert command([folder]) == 0
    page = folder / "report.html"
    assert capsys.readouterr().out == f"{page} ({page.stat().st_size / 1e6:.1f} MB)\n"


def pair(tmp_path: Path, **more) -> list[Path]:
    base = {"AnEM": Rows(right=[True] * 40), "SciFact": Rows(right=[True, False] * 20)}
    new = {
        "AnEM": Rows(right=[False] * 30 + [True] * 10),
        "SciFact": Rows(right=[True, False] * 20),
    }
    return [
        write_run(tmp_path / "base", base),
        write_run(tmp_path / "new", new, **more),
    ]


def test_two_runs_are_compared_on_both_metric_sets(tmp_path):
    page = tmp_path / "page.html"
    assert command(pair(tmp_path), output=page) == 0
    text = page.read_text(encoding="utf-8")
    assert text.count("Worse overall") == 2
    assert "on paper metrics" in text
    assert "on standard metrics" in text
    assert "1 worse, 0 better, 1 without evidence" in text


def test_runs_that_cannot_be_compared_still_make_a_page(tmp_path, capsys):
    page = tmp_path / "page.html"
    assert command(pair(tmp_path, shots=0), output=page) == 0
    assert "no difference is tested" in page.read_text(encoding="utf-8")
    assert "not compared" in capsys.readouterr().err


def test_damaged_samples_are_refused_with_the_remedy(tmp_path):
    folder = write_sample_run(tmp_path, "base", rows=2, tasks=TASKS)
    with (folder / "samples.jsonl").open("a") as out:
        out.write('{"task": "An')
    with pytest.raises(StoreError, match="medinst-eval score"):
        command([folder])
    assert not (folder / "report.html").exists()


def test_run_of_a_newer_version_does_not_hide_unknown_tasks(tmp_path):
    folder = write_sample_run(tmp_path, "base", rows=2, tasks=("AnEM",))
    for name in ("results.json", "samples.jsonl"):
        path = folder / name
        path.write_text(path.read_text().replace("AnEM", "Brand-new"))
    results = json.loads((folder / "results.json").read_text())
    assert list(results["tasks"]) == ["Brand-new"]
    assert command([folder]) == 0
    assert "Brand-new" in (folder / "report.html").read_text(encoding="utf-8")
