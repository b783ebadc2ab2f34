"""A finished run with every status, and hostile texts in it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hostile import HOSTILE, TASKS
from runs import Rows, write_run

from medinst_eval.store import FinishedRun, read_run


@pytest.fixture(scope="session")
def run_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the run."""
    folder = tmp_path_factory.mktemp("runs") / "org-model-8b"
    status = ["ok"] * 6 + ["unparsed", "empty", "truncated", "error"]
    rows = {name: Rows(right=[n % 3 != 0 for n in range(10)], status=status) for name in TASKS}
    write_run(
        folder,
        rows,
        model="org/model-8b",
        unavailable=["bertscore_f1"],
        manifest={"data": {"source": "aialt/MedINST32", "revision": "a" * 40}},
    )
    path = folder / "manifest.json"
    manifest = json.loads(path.read_text()) | {
        "package": {"version": "0.1.0", "git_commit": None},
        "started": "2026-07-01T09:00:00+00:00",
        "ended": "2026-07-01T09:21:00+00:00",
    }
    path.write_text(json.dumps(manifest))
    path = folder / "samples.jsonl"
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    for line, text in zip([x for x in lines if x["task"] == "MedQA"], HOSTILE, strict=False):
        line["output"] = text
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return folder


@pytest.fixture
def run(run_path: Path) -> FinishedRun:
    """The run."""
    return read_run(run_path)
