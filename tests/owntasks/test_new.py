"""A first card of one's own: complete, commented, and perfect as it is."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from medinst_eval import tasks
from medinst_eval.errors import InputError
from medinst_eval.owntasks import check, write_new

CATEGORIES = tasks.categories()


@pytest.mark.parametrize("category", CATEGORIES)
def test_what_is_written_is_ready(tmp_path: Path, category: str) -> None:
    written = write_new(tmp_path, "Ward", category)
    (found,) = check(written.card)
    assert found.problems == ()
    assert found.notes == ()
    assert found.rows == 3
    assert found.card.category == category
    assert found.scores
    assert all(score.perfect for score in found.scores)
    headline = found.scores[0]
    assert headline.metric == found.card.metrics.standard[0]
    assert headline.value == pytest.approx(1.0)
    # Two demonstrations, none of them one of the rows that are asked.
    rows = [json.loads(line) for line in written.rows.read_text().splitlines()]
    inputs = {row["input"] for row in rows}
    for row in rows:
        assert len(row["history"]) == 2
        assert not any(text in question for question, _ in row["history"] for text in inputs)
    assert [message.role for message in found.prompt] == ["user", "assistant"] * 2 + ["user"]


def test_a_card_has_a_comment_on_every_field(tmp_path: Path) -> None:
    lines = write_new(tmp_path, "Ward", "NER").card.read_text().splitlines()
    assert sum(line.lstrip().startswith("#") for line in lines) >= 15
    assert all(len(line) <= 100 for line in lines if "#" in line)


def test_nothing_is_overwritten(tmp_path: Path) -> None:
    (tmp_path / "Ward.jsonl").write_text("mine")
    with pytest.raises(InputError, match=r"Ward\.jsonl exists already"):
        write_new(tmp_path, "Ward", "NER")
    assert [path.name for path in tmp_path.iterdir()] == ["Ward.jsonl"]
    assert (tmp_path / "Ward.jsonl").read_text() == "mine"


@pytest.mark.parametrize(
    ("name", "category", "message"),
    [
        ("Ward", "NERR", "no category 'NERR'; did you mean 'NER'?"),
        ("../Ward", "NER", "cannot be called '../Ward'"),
        ("", "NER", "cannot be called ''"),
        ("anem", "NER", "the benchmark has a task 'anem'"),
    ],
)
def test_what_cannot_be_written(tmp_path: Path, name: str, category: str, message: str) -> None:
    with pytest.raises(InputError) as caught:
        write_new(tmp_path / "inner", name, category)
    assert message in str(caught.value)
    assert not (tmp_path / "inner").exists()


@pytest.mark.parametrize("name", ["no", "1e3", "2024-01-01", "null"])
def test_names_that_yaml_reads_otherwise(tmp_path: Path, name: str) -> None:
    (card,) = tasks.load_file(write_new(tmp_path, name, "qa").card)
    assert card.name == name
