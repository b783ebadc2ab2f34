"""`medinst-eval tasks` as users type it: list, show, new, check."""

from __future__ import annotations

from pathlib import Path

import pytest

from medinst_eval.__main__ import main


def call(*words: str) -> int:
    with pytest.raises(SystemExit) as ended:
        main(["tasks", *words])
    assert isinstance(ended.value.code, int)
    return ended.value.code


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_new_then_check(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert call("new", "Ward", "--category", "re", "--folder", "cards") == 0
    assert "medinst-eval tasks check cards/Ward.yaml" in capsys.readouterr().out
    assert sorted(path.name for path in (tmp_path / "cards").iterdir()) == [
        "Ward.jsonl",
        "Ward.yaml",
    ]
    assert call("check", "cards/Ward.yaml") == 0
    shown = capsys.readouterr().out
    for text in ("[user]", "relation_f1         1\n", "ready: medinst-eval --task-file"):
        assert text in shown
    assert call("new", "Ward", "--category", "RE", "--folder", "cards") == 2
    assert "exists already" in capsys.readouterr().err


def test_check_shows_all_and_ends_with_one_line(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    call("new", "Ward", "--category", "TE")
    rows = tmp_path / "Ward.jsonl"
    rows.write_text(rows.read_text().replace('"output": "Refutes"', '"output": "Refuted"'))
    capsys.readouterr()
    assert call("check", "Ward.yaml") == 2
    printed = capsys.readouterr()
    assert "problem: Ward/0" in printed.out
    assert printed.err == (
        "medinst-eval: error: Ward.yaml: 1 problem, named above; put it right and check again\n"
    )


def test_list_and_show_know_own_tasks(capsys: pytest.CaptureFixture[str]) -> None:
    call("new", "Ward", "--category", "STS")
    assert call("--task-file", "Ward.yaml") == 0
    assert "Ward" in capsys.readouterr().out
    assert call("ward", "--task-file", "Ward.yaml") == 0
    shown = capsys.readouterr().out
    assert "Ward.jsonl" in shown
    assert "Text 2: Headache is relieved by aspirin." in shown


def test_list_of_the_other_suite(capsys: pytest.CaptureFixture[str]) -> None:
    assert call("--suite", "mmlu-medicine") == 0
    assert "professional_medicine" in capsys.readouterr().out


def test_show_is_the_default(capsys: pytest.CaptureFixture[str]) -> None:
    for words in (("MedQA",), ("show", "MedQA"), ("MedQA", "--shots", "0")):
        assert call(*words) == 0
        assert "gold answer" in capsys.readouterr().out
    assert call("MedQAA") == 2
    assert "did you mean MedQA" in capsys.readouterr().err


def test_data_cannot_write_to_the_terminal(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    call("new", "Ward", "--category", "SUM")
    rows = tmp_path / "Ward.jsonl"
    rows.write_text(rows.read_text().replace("The patient came", "\\u001b[2J\\u0007came"))
    capsys.readouterr()
    call("check", "Ward.yaml")
    printed = capsys.readouterr().out
    assert "\x1b" not in printed
    assert "\\x1b[2J\\x07came" in printed
