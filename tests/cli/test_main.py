"""The command as users call it: a fresh process, its exit code, its one line on standard error."""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
from pathlib import Path

import pytest


def call(*words: str, cwd: Path, **env: str) -> subprocess.CompletedProcess[str]:
    """Run `medinst-eval WORDS` in a folder."""
    return subprocess.run(
        [sys.executable, "-m", "medinst_eval", *words],
        cwd=cwd, capture_output=True, text=True, timeout=120, check=False,
        env={**os.environ, "HF_HUB_OFFLINE": "1", **env},
    )  # fmt: skip


GOLD = ("--backend", "baseline", "--model", "gold", "--data", "demo", "--resamples", "50")


def test_help_is_quick(tmp_path: Path):
    call("--help", cwd=tmp_path)  # byte code is compiled once
    times = []
    for _ in range(5):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        found = call("--help", cwd=tmp_path)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        # Processor time: on a busy machine the wall clock measures the others.
        times.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    assert found.returncode == 0
    assert "medinst-eval run --help" in found.stdout
    assert min(times) < 0.3


def test_a_run_prints_a_table_and_says_where_it_lies(tmp_path: Path):
    found = call(*GOLD, "--tasks", "AnEM,MedQA,BIOSSES", cwd=tmp_path)
    assert found.returncode == 0, found.stderr
    for text in ("AnEM", "100.00 entity_f1", "0.00 mse", "overall", "run folder: results/"):
        assert text in found.stdout
    assert "\x1b" not in found.stdout + found.stderr


def test_json_is_the_whole_of_standard_output(tmp_path: Path):
    found = call(*GOLD, "--tasks", "QA", "--json", cwd=tmp_path)
    results = json.loads(found.stdout)
    assert sorted(results["tasks"]) == ["BioASQ-Task-B-yesno", "MedQA", "PubMedQA-labeled"]


def test_quiet_says_nothing_on_standard_error(tmp_path: Path):
    assert call(*GOLD, "--tasks", "QA", "--quiet", cwd=tmp_path).stderr == ""


def test_run_and_no_command_are_the_same(tmp_path: Path):
    assert call("run", *GOLD, "--tasks", "STS", cwd=tmp_path).returncode == 0
    assert len(list((tmp_path / "results").iterdir())) == 1
    assert call(*GOLD, "--tasks", "STS", cwd=tmp_path).returncode == 0
    assert len(list((tmp_path / "results").iterdir())) == 1


def write_rows(folder: Path, *lines: str) -> str:
    """A data folder whose MedQA file holds these lines."""
    (folder / "rows" / "unseen_tests").mkdir(parents=True)
    text = "\n".join(lines) + "\n"
    (folder / "rows" / "unseen_tests" / "MedQA_test.json").write_text(text)
    return "rows"


ROW = {
    "instruction": "Answer.",
    "input": "Question: Which?\nOptions: a / b",
    "output": "a",
    "history": [["q", "a"], ["q", "b"]],
}


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ('{"instruction": "x", ', "MedQA_test.json:2"),
        (json.dumps({**ROW, "output": 3}), "output"),
        (json.dumps({k: v for k, v in ROW.items() if k != "input"}), "input"),
        (json.dumps({**ROW, "instruction": "  "}), "instruction"),
        (json.dumps({**ROW, "history": [["only one"]]}), "history"),
    ],
)
def test_a_bad_row_gives_file_and_line(tmp_path: Path, line: str, says: str):
    data = write_rows(tmp_path, json.dumps(ROW), line)
    found = call("--backend", "baseline", "--model", "gold", "--data", data, cwd=tmp_path)
    assert found.returncode == 2
    assert "MedQA_test.json:2" in found.stderr
    assert says in found.stderr
    assert found.stderr.count("\n") == 1
    assert not (tmp_path / "results").exists()


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("--model", "gold", "--backend", "vlm"), "vllm"),
        (("--model", "golden", "--backend", "baseline", "--data", "demo"), "gold"),
        (("--model", "gold", "--shots", "7", "--backend", "baseline"), "--shots"),
        (("--model", "gold", "--no-such-option"), "--no-such-option"),
        (("--backend", "baseline"), "--model"),
        (("--model", "gold", "--layout", "odd"), "layout"),
        (("--model", "/no/model", "--backend", "transformers", "--data", "demo"), "/no/model"),
        (("--model", "no/model", "--backend", "transformers", "--data", "demo"), "no/model"),
        (("--model", "gold", "--backend", "baseline", "--log-to", "wand"), "wandb"),
        (("tasks", "MedQAA"), "MedQA"),
        (("tusks",), "tusks"),
        (("score", "absent"), "absent"),
        (("merge", "absent"), "absent"),
        (("--model", "gold", "--engine-arg", "novalue"), "key=value"),
    ],
)
def test_wrong_use_is_one_line_and_exit_code_2(tmp_path: Path, words: tuple[str, ...], says: str):
    found = call(*words, cwd=tmp_path)
    assert found.returncode == 2, found.stderr
    assert says in found.stderr
    assert found.stderr.startswith("medinst-eval: error: ")
    assert found.stderr.count("\n") == 1


def test_tasks_lists_all_and_shows_one(tmp_path: Path):
    found = call("tasks", cwd=tmp_path)
    assert found.returncode == 0
    names = [line.split()[0] for line in found.stdout.splitlines() if line.strip()]
    assert len([name for name in names if name.startswith(("BioNLP-", "BIOSSES"))]) == 9
    shown = call("tasks", "biosses", cwd=tmp_path)
    assert shown.returncode == 0
    for text in ("paper_mse", "[user]", "gold answer", "Text 1:"):
        assert text in shown.stdout


def test_control_characters_of_data_do_not_reach_the_terminal(tmp_path: Path):
    row = {**ROW, "input": "Question: \x1b]0;title\x07\x1b[2J?\nOptions: a / b"}
    data = write_rows(tmp_path, json.dumps(row))
    shown = call("tasks", "MedQA", "--data", data, cwd=tmp_path)
    assert shown.returncode == 0
    assert "\x1b" not in shown.stdout
    assert "\\x1b[2J" in shown.stdout


def test_a_run_name_cannot_leave_the_results_folder(tmp_path: Path):
    found = call(*GOLD, "--run-name", "../../outside", "--tasks", "STS", cwd=tmp_path)
    assert found.returncode == 2
    assert "--run-name" in found.stderr
