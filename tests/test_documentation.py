"""The documentation: it builds without a warning, and the commands it shows are commands."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import typer

from medinst_eval.cli import app

ROOT = Path(__file__).resolve().parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
_BLOCK = re.compile(r"^```(?:bash|sh|console|text)?\n(.*?)^```", re.DOTALL | re.MULTILINE)


def shown_commands() -> list[tuple[str, list[str]]]:
    """(page, words) of every `medinst-eval …` line in a code block."""
    found = []
    for page in PAGES:
        for block in _BLOCK.findall(page.read_text(encoding="utf-8")):
            for line in block.replace("\\\n", " ").splitlines():
                stripped = line.strip().removeprefix("$ ")
                if stripped.startswith("medinst-eval "):
                    # Optional parts stand in brackets; what follows a pipe is another program.
                    plain = re.sub(r"\[[^\]]*\]|…", "", re.split(r" \| | && |;", stripped)[0])
                    found.append((page.name, shlex.split(plain, comments=True)[1:]))
    return found


def test_there_are_commands_to_check():
    assert len(shown_commands()) > 20


@pytest.mark.parametrize(
    ("page", "words"), shown_commands(), ids=lambda v: v if isinstance(v, str) else " ".join(v)[:60]
)
def test_every_command_shown_is_one(page: str, words: list[str]):
    """Options exist, values have the right type, nothing required is missing; nothing is run."""
    if words[0].startswith("-"):
        words = ["run", *words]
    command = typer.main.get_command(app)
    context = command.make_context("medinst-eval", [], resilient_parsing=True)
    while hasattr(command, "commands"):
        if command.name == "tasks" and (not words or words[0] not in command.commands):
            words = ["show", *words]  # `tasks NAME` is `tasks show NAME`
        assert words[0] in command.commands, f"{page}: no command {words[0]}"
        command = command.commands[words[0]]
        words = words[1:]
    if words not in (["--help"], ["-h"]):
        command.make_context("medinst-eval", list(words), parent=context)


def test_the_site_builds_without_a_warning(tmp_path: Path):
    pytest.importorskip("mkdocs", reason="mkdocs is not installed")
    built = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "-d", str(tmp_path)],
        cwd=ROOT, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert built.returncode == 0, built.stderr + built.stdout
    pages = {path.stem for path in (ROOT / "docs").glob("*.md")}
    listed = set(re.findall(r": ([\w-]+)\.md$", (ROOT / "mkdocs.yml").read_text(), re.MULTILINE))
    assert pages == listed, "every page is in the navigation of mkdocs.yml, and there are no others"


def test_the_python_example_of_the_readme_runs(tmp_path: Path):
    (code,) = re.findall(r"^```python\n(.*?)^```", (ROOT / "README.md").read_text(), re.S | re.M)
    shown = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, timeout=120,
        check=False,
    )  # fmt: skip
    assert shown.returncode == 0, shown.stderr
    assert float(shown.stdout) == 1.0
