"""The leak check: planted leaks are found, clean data are clean, training files are streamed."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from medinst_eval.data import load
from medinst_eval.errors import InputError
from medinst_eval.leaks import LeakReport, Options, check_data
from medinst_eval.leaks.overlap import build_index, hits, ngram_hashes, words
from medinst_eval.tasks import load_cards, select

VOCABULARY = [f"word{number}" for number in range(5000)]


def text(seed: int, length: int = 60) -> str:
    """A random text that shares no long n-gram with another seed's."""
    return " ".join(random.Random(seed).choices(VOCABULARY, k=length))


def check(
    tmp_path: Path, rows: list[dict[str, object]], training: list[Path] | None = None
) -> LeakReport:
    """Check rows as the few-shot file of MedQA."""
    folder = tmp_path / "data" / "unseen_tests"
    folder.mkdir(parents=True)
    (folder / "MedQA_test.json").write_text("".join(json.dumps(row) + "\n" for row in rows))
    cards = select(load_cards(), "MedQA")
    return check_data(load(cards, source=str(tmp_path / "data")), training=training or ())


def row(seed: int, *shots: str) -> dict[str, object]:
    """A MedQA row on a random question; `shots` are the inputs of its demonstrations."""
    pairs = [[f"Answer it.\n{shot}", "a"] for shot in shots or (text(900), text(901))]
    return {
        "instruction": "Answer it.",
        "input": f"Question: {text(seed)}\nOptions: a / b",
        "output": "a",
        "history": pairs,
    }


def test_the_built_in_data_are_clean():
    report = check_data(load(load_cards(), source="demo"))
    assert report.leaks == 0
    assert [task.task for task in report.tasks if task.duplicates] == []
    assert [task.task for task in report.tasks if task.unparsed_golds] == []


def test_a_row_shown_in_its_own_prompt_is_found(tmp_path: Path):
    planted = f"Question: {text(1)}\nOptions: a / b"
    report = check(tmp_path, [row(0), row(1, planted, text(901)), row(2)])
    (finding,) = report.tasks[0].findings
    assert (finding.kind, finding.id, finding.exact) == ("own demonstration", "MedQA/1", True)


def test_a_row_shown_in_another_prompt_is_found_even_reworded(tmp_path: Path):
    tokens = text(2).split()
    tokens[20] = tokens[40] = "changed"
    report = check(tmp_path, [row(0, " ".join(tokens), text(901)), row(1), row(2)])
    (finding,) = report.tasks[0].findings
    assert (finding.kind, finding.id, finding.where) == ("demonstration", "MedQA/2", "MedQA/0")
    assert not finding.exact
    assert 0.5 < finding.share < 1


def test_short_inputs_are_compared_as_a_whole(tmp_path: Path):
    short = {**row(0), "input": "Is aspirin safe?"}
    other = row(1, "is ASPIRIN  safe", "Is aspirin safe in children?")
    (finding,) = check(tmp_path, [short, other]).tasks[0].findings
    assert (finding.id, finding.where) == ("MedQA/0", "MedQA/1")


def test_training_rows_are_found_with_file_and_line(tmp_path: Path):
    train = tmp_path / "train.jsonl"
    lines = [{"input": text(seed, 150)} for seed in range(100, 400)]
    lines[17] = {"input": f"{text(500)} {text(1)} {text(501)}"}
    lines[250] = {"input": " ".join(text(2).split()[:45])}
    train.write_text("".join(json.dumps(line) + "\n" for line in lines))
    report = check(tmp_path, [row(0), row(1), row(2)], [train])
    found = {f.id: (f.kind, f.where) for f in report.tasks[0].findings}
    assert found == {
        "MedQA/1": ("training", f"{train}:18"),
        "MedQA/2": ("training", f"{train}:251"),
    }
    assert report.training_rows == 300
    assert report.leaks == 2


def test_duplicates_and_odd_golds_are_warnings_not_leaks(tmp_path: Path):
    cards = select(load_cards(), "SciFact")
    folder = tmp_path / "unseen_tests"
    folder.mkdir(parents=True)
    claim = {
        "instruction": "Judge.", "input": f"Claim: {text(1)}", "output": "Supports",
        "history": [[text(3), "Supports"], [text(4), "Refutes"]],
    }  # fmt: skip
    rows = [claim, claim, {**claim, "input": f"Claim: {text(2)}", "output": "Perhaps"}]
    (folder / "SciFact_test.json").write_text("".join(json.dumps(r) + "\n" for r in rows))
    report = check_data(load(cards, source=str(tmp_path)))
    assert report.leaks == 0
    assert report.tasks[0].duplicates == [("SciFact/1", "SciFact/0")]
    odd = report.tasks[0]
    assert odd.unparsed_golds == ["SciFact/2"] or dict(odd.odd_labels) == {"Perhaps": 1}


@pytest.mark.parametrize(
    ("content", "says"),
    [("{", ":1: not valid JSON"), ('{"text": "x"}', ":1: a training row needs"), ("[]", ":1:")],
)
def test_a_bad_training_line_is_named(tmp_path: Path, content: str, says: str):
    train = tmp_path / "train.jsonl"
    train.write_text(content + "\n")
    with pytest.raises(InputError, match=says) as caught:
        check(tmp_path, [row(0)], [train])
    assert str(train) in str(caught.value)


def test_an_absent_training_file_is_named(tmp_path: Path):
    with pytest.raises(InputError, match="cannot read training file"):
        check(tmp_path, [row(0)], [tmp_path / "absent.jsonl"])


def test_real_rows_share_what_they_are_known_to_share(shared: Path):
    """Claims of SciFact on one abstract; sections of Multi-XScience on one paper."""
    report = check_data(load(load_cards(), source=str(shared / "data" / "medinst32")))
    leaking = {task.task for task in report.tasks if task.findings}
    assert leaking == {"SciFact", "Multi-XScience"}


@given(st.text(max_size=300), st.text(max_size=300))
def test_hashes_find_what_sets_of_words_find(one: str, other: str):
    options = Options(ngram=3, threshold=0.01)
    index = build_index([one], options)
    grams = [tuple(words(t)[i : i + 3]) for t in (one,) for i in range(len(words(t)) - 2)]
    held = {tuple(words(other)[i : i + 3]) for i in range(len(words(other)) - 2)}
    found = hits(index, other)
    if len(words(one)) >= options.shortest:
        share = len(set(grams) & held) / len(set(grams))
        assert [hit.share for hit in found] == ([pytest.approx(share)] if share >= 0.01 else [])


def test_hashes_do_not_depend_on_the_process():
    assert ngram_hashes(["a", "b", "c"], 3).tolist() == ngram_hashes(["a", "b", "c"], 3).tolist()
    assert ngram_hashes(["one", "two", "three", "four"], 4).tolist() == [16828288608107117102]
