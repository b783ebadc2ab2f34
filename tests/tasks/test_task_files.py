"""Task files of one's own: the schema of the cards with data of their own."""

from __future__ import annotations

from pathlib import Path

import pytest

from medinst_eval import tasks
from medinst_eval.errors import InputError

ONE = """
name: Ward-NER
category: NER
form: entities
labels: [Drug, Dose]
metrics: {standard: [entity_f1]}
data: {path: rows.jsonl}
"""

SEVERAL = """
category: QA
tasks:
  - name: First
    form: label
    labels: ['yes', 'no']
    metrics: {standard: [accuracy]}
    data: {hub: me/mine, config: c, split: dev, fields: {input: text, output: label},
           instruction: Answer.}
  - name: Second
    category: STS
    suite: ward
    form: number
    scale: [0, 5]
    metrics: {standard: [pearson]}
    data: {path: /data/x.csv}
"""


def test_one_stanza(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(ONE)
    (card,) = tasks.load_file(path)
    assert (card.name, card.title, card.suite) == ("Ward-NER", "Ward-NER", "own")
    assert card.data is not None
    assert card.data.path == str(tmp_path / "rows.jsonl")


def test_several_stanzas(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(SEVERAL)
    first, second = tasks.load_file(str(path))
    assert (first.category, second.category) == ("QA", "STS")
    assert (first.suite, second.suite) == ("own", "ward")
    assert first.data is not None
    assert first.data.fields == {"input": "text", "output": "label"}
    assert second.data is not None
    assert second.data.path == "/data/x.csv"


def test_own_tasks_are_selected_beside_the_benchmark(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(ONE)
    cards = (*tasks.load_cards(), *tasks.load_file(path))
    assert [c.name for c in tasks.select(cards, "ward-ner,MedQA")] == ["MedQA", "Ward-NER"]
    with pytest.raises(InputError, match="did you mean Ward-NER"):
        tasks.select(cards, "WardNER")


BROKEN = [
    (ONE.replace("data: {path: rows.jsonl}", ""), "task 'Ward-NER': field 'data' is missing"),
    (ONE.replace("{path: rows.jsonl}", "{}"), "exactly one of 'path' and 'hub'"),
    (ONE.replace("{path: rows.jsonl}", "{path: a, hub: b/c}"), "exactly one of 'path' and 'hub'"),
    (ONE.replace("form: entities", "form: spans"), "task 'Ward-NER': field 'form'"),
    (ONE.replace("category: NER", ""), "task 'Ward-NER': field 'category': Field required"),
    ("tasks: []", "field 'tasks'"),
    ("tasks: 3", "field 'tasks'"),
    ("tasks: [3]", "tasks[0]"),
    (SEVERAL.replace("Second", "first"), "task 'first' is also in"),
    (SEVERAL + "extra: 1\n", "field 'extra'"),
]


@pytest.mark.parametrize(("text", "message"), BROKEN)
def test_a_wrong_file_is_refused_in_one_line(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(text)
    with pytest.raises(InputError) as caught:
        tasks.load_file(path)
    assert message in str(caught.value)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"cannot read task card .*none\.yaml: No such file"):
        tasks.load_file(tmp_path / "none.yaml")
