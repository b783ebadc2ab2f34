"""The newcomer's path of docs/own-tasks.md, command by command, timed."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
import time
from pathlib import Path

import pytest

from medinst_eval import metrics
from medinst_eval.demo import model_folder
from medinst_eval.types import BUILT_IN_FORMS

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "own-tasks.md").read_text(encoding="utf-8")


def block(heading: str) -> list[str]:
    """Commands of the first code block below a heading."""
    found = re.search(rf"## {re.escape(heading)}\n.*?```\n(.*?)```", PAGE, re.DOTALL)
    assert found is not None
    return found.group(1).splitlines()


def call(line: str, folder: Path) -> subprocess.CompletedProcess[str]:
    line = line.replace("--model MODEL", f"--model {model_folder()} --backend transformers")
    program, *words = shlex.split(line)
    assert program == "medinst-eval"
    started = time.perf_counter()
    found = subprocess.run(
        [sys.executable, "-m", "medinst_eval", *words],
        cwd=folder, capture_output=True, text=True, timeout=280, check=False,
    )  # fmt: skip
    print(f"{time.perf_counter() - started:5.1f} s  {line}")
    return found


@pytest.mark.slow
def test_from_nothing_to_a_score(tmp_path: Path) -> None:
    commands = block("From nothing to a score")
    assert len(commands) < 10
    outputs = []
    for line in commands:
        found = call(line, tmp_path)
        assert found.returncode == 0, (line, found.stderr)
        outputs.append(found.stdout)
    assert "ready: medinst-eval --task-file Ward-NER.yaml" in outputs[1]
    assert "gold answers through parser and metrics" in outputs[1]
    for table in outputs[2:]:
        assert re.search(r"Ward-NER +3 .* entity_f1", table)


@pytest.mark.slow
def test_beside_the_benchmark(tmp_path: Path) -> None:
    (made, _, _, _), (beside,) = block("From nothing to a score"), block("Beside the benchmark")
    assert call(made, tmp_path).returncode == 0
    found = call(f"{beside} --data demo --tasks STS,Ward-NER --limit 2".replace(
        "--model MODEL", "--model gold --backend baseline"), tmp_path)  # fmt: skip
    assert found.returncode == 0, found.stderr
    assert re.search(r"overall .*1 of 32 tasks", found.stdout)


def test_the_table_of_forms_is_right() -> None:
    rows = re.findall(r"^\| `(\w+)` \| .*? \| ([^|]*) \|$", PAGE, re.MULTILINE)
    named = {form: re.findall(r"`(\w+)`", cell) for form, cell in rows if form in BUILT_IN_FORMS}
    assert set(named) == set(BUILT_IN_FORMS)
    for form, names in named.items():
        for name in names:
            forms = metrics.get(name).forms
            assert not forms or form in forms, (form, name)


def test_the_card_with_several_tasks_is_right(tmp_path: Path) -> None:
    from medinst_eval.suites import suite_cards

    found = re.search(r"```yaml\n(.*?)```", PAGE, re.DOTALL)
    assert found is not None
    (tmp_path / "ward.yaml").write_text(found.group(1))
    cards = suite_cards("own", (str(tmp_path / "ward.yaml"),))
    assert [(card.name, card.labels) for card in cards] == [
        ("Ward-QA", ()),
        ("Ward-Triage", ("yes", "no")),
    ]
