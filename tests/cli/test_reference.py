"""The page of commands is what the commands say."""

from __future__ import annotations

from pathlib import Path

from medinst_eval.cli.reference import page

ROOT = Path(__file__).resolve().parents[2]


def test_the_page_has_not_drifted():
    written = (ROOT / "docs" / "commands.md").read_text(encoding="utf-8")
    assert written == page(), "run: python -m medinst_eval.cli.reference > docs/commands.md"


def test_options_of_the_contract_are_there():
    for option in (
        "--model", "--backend", "--data", "--revision", "--tasks", "--shots", "--layout", "--limit",
        "--sample", "--seed", "--max-tokens", "--temperature", "--output", "--run-name", "--fresh",
        "--engine-arg", "--paper-extras",
    ):  # fmt: skip
        assert f"`{option}`" in page()
