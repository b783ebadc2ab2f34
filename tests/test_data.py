"""Rows from folders and own files: what is kept, what is warned of, what is refused and how."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from medinst_eval import data, tasks
from medinst_eval.data.rows import row_key
from medinst_eval.errors import InputError
from medinst_eval.tasks.card import TaskCard

CARDS = tasks.load_cards()


def row(number: int = 0, **changes: Any) -> dict[str, Any]:
    """A valid few-shot row, changed; `...` removes a field."""
    fields = {
        "instruction": "Name the organ.",
        "input": f"Input {number} café 心",
        "output": "[heart <Organ>]",
        "history": [["Q1", "A1"], ["Q2", "A2"]],
    }
    return {k: v for k, v in (fields | changes).items() if v is not ...}


def write(path: Path, rows: list[Any]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(r, ensure_ascii=False) + "\n" for r in rows), "utf-8")
    return path


def few(folder: Path, name: str = "AnEM", rows: list[Any] | None = None) -> Path:
    rows = [row(i) for i in range(4)] if rows is None else rows
    return write(folder / "unseen_tests" / f"{name}_test.json", rows)


def zero(folder: Path, name: str = "AnEM", rows: list[Any] | None = None) -> Path:
    rows = [row(i, history=...) for i in range(4)] if rows is None else rows
    return write(folder / "unseen_tests_zs" / f"{name}-zs_test.json", rows)


def load(folder: Path, spec: str = "AnEM", **options: Any) -> data.Dataset:
    return data.load(tasks.select(CARDS, spec), source=str(folder), **options)


# -- what is kept -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("shots", "pairs"), [(0, ()), (1, (("Q1", "A1"),)), (2, (("Q1", "A1"), ("Q2", "A2")))]
)
def test_shots_choose_the_variant_and_the_first_demonstrations(
    tmp_path: Path, shots: int, pairs: tuple[tuple[str, str], ...]
) -> None:
    few(tmp_path)
    zero(tmp_path, rows=[row(i, input=f"zero {i}", history=...) for i in range(4)])
    (task,) = load(tmp_path, shots=shots).tasks
    assert [s.id for s in task.samples] == ["AnEM/0", "AnEM/1", "AnEM/2", "AnEM/3"]
    assert {s.history for s in task.samples} == {pairs}
    assert task.samples[1].input == ("zero 1" if shots == 0 else "Input 1 café 心")
    assert (task.samples[0].task, task.samples[0].gold) == ("AnEM", "[heart <Organ>]")
    assert task.samples[0].choices == ()


def test_key_and_digest_are_the_documented_hashes(tmp_path: Path) -> None:
    few(tmp_path)
    (task,) = load(tmp_path, shots=1).tasks
    array = ["Name the organ.", "Input 0 café 心", "[heart <Organ>]", [["Q1", "A1"]]]
    text = json.dumps(array, separators=(",", ":"))
    assert task.samples[0].key == hashlib.sha256(text.encode()).hexdigest()
    keys = "\n".join(s.key for s in task.samples)
    assert task.digest == hashlib.sha256(keys.encode()).hexdigest()


@given(
    st.lists(st.text(), min_size=3, max_size=3),
    st.lists(st.text(), min_size=3, max_size=3),
)
def test_key_tells_fields_apart(one: list[str], other: list[str]) -> None:
    assert (row_key(*one) == row_key(*other)) == (one == other)


def test_limit_keeps_the_first_rows(tmp_path: Path) -> None:
    few(tmp_path)
    (task,) = load(tmp_path, limit=2).tasks
    assert [s.id for s in task.samples] == ["AnEM/0", "AnEM/1"]
    assert task.rows_total == 4


def test_sample_is_seeded_ordered_and_independent_of_other_tasks(tmp_path: Path) -> None:
    for name in ("AnEM", "BioRED"):
        few(tmp_path, name, [row(i) for i in range(50)])
    alone = load(tmp_path, sample=5, seed=1).tasks[0]
    both = load(tmp_path, "AnEM,BioRED", sample=5, seed=1).tasks
    numbers = [int(s.id.split("/")[1]) for s in alone.samples]
    assert alone.samples == both[0].samples
    assert numbers == sorted(set(numbers))
    assert len(numbers) == 5
    assert numbers != [int(s.id.split("/")[1]) for s in both[1].samples]
    assert alone.samples != load(tmp_path, sample=5, seed=2).tasks[0].samples
    assert len(load(tmp_path, sample=99).tasks[0].samples) == 50


def test_byte_order_mark_crlf_blank_lines_and_line_separators_are_let_pass(tmp_path: Path) -> None:
    path = few(tmp_path)
    one = json.dumps(row(input="one\u2028two"), ensure_ascii=False)
    path.write_bytes(b"\xef\xbb\xbf" + f"{one}\r\n\r\n  \n{json.dumps(row(1))}".encode())
    (task,) = load(tmp_path).tasks
    assert [s.id for s in task.samples] == ["AnEM/0", "AnEM/1"]
    assert task.samples[0].input == "one\u2028two"


def test_an_empty_gold_is_legal(tmp_path: Path) -> None:
    few(tmp_path, rows=[row(output="")])
    assert load(tmp_path).tasks[0].samples[0].gold == ""


def test_configs_may_lie_elsewhere_when_the_readme_says_so(tmp_path: Path) -> None:
    write(tmp_path / "elsewhere" / "a.json", [row()])
    write(tmp_path / "elsewhere" / "b-zs.json", [row(history=...)])
    (tmp_path / "README.md").write_text(
        "---\r\nconfigs:\r\n- config_name: AnEM\r\n  data_files:\r\n  - split: train\r\n"
        "    path: none.json\r\n  - split: test\r\n    path: elsewhere/a.json\r\n"
        "- config_name: AnEM-zs\r\n  data_files: elsewhere/*-zs.json\r\n"
        "- config_name: BioRED\r\n  data_files: missing.json\r\n"
        "- config_name: MedQA\r\n  data_files: /absolute.json\r\n"
        "- config_name: MeDAL\r\n---\r\n# Title\r\n"
    )
    assert len(load(tmp_path).tasks[0].samples) == 1
    assert len(load(tmp_path, shots=0).tasks[0].samples) == 1
    with pytest.raises(InputError, match="task BioRED is not in"):
        load(tmp_path, "BioRED", asked_by_name=True)


def test_a_readme_with_broken_front_matter_is_named(tmp_path: Path) -> None:
    few(tmp_path)
    (tmp_path / "README.md").write_text("---\nconfigs: [\n---\n")
    with pytest.raises(InputError, match=r"README\.md: the block .* is not valid YAML"):
        load(tmp_path)


# -- what is warned of --------------------------------------------------------------------------


def test_a_row_count_other_than_the_cards_is_a_warning(tmp_path: Path) -> None:
    few(tmp_path, "AnEM-RE", [row(i) for i in range(13)])
    few(tmp_path)
    anem, relations = load(tmp_path, "AnEM,AnEM-RE").tasks
    assert anem.warnings == ("4 rows where the card expects 30",)
    assert relations.warnings == ()


def test_too_few_demonstrations_are_counted(tmp_path: Path) -> None:
    few(tmp_path, "AnEM-RE", [row(i, history=[["Q", "A"]][: i % 2]) for i in range(13)])
    (task,) = load(tmp_path, "AnEM-RE").tasks
    assert task.warnings == ("13 of 13 rows have fewer than 2 demonstrations (the fewest: 0)",)
    assert load(tmp_path, "AnEM-RE", shots=1).tasks[0].warnings == (
        "7 of 13 rows have fewer than 1 demonstrations (the fewest: 0)",
    )


def test_without_a_zero_shot_variant_the_few_shot_rows_serve(tmp_path: Path) -> None:
    few(tmp_path)
    (task,) = load(tmp_path, shots=0).tasks
    assert {s.history for s in task.samples} == {()}
    assert "no zero-shot variant 'AnEM-zs'" in task.warnings[-1]


def test_absent_tasks_are_named(tmp_path: Path) -> None:
    few(tmp_path)
    found = load(tmp_path, "AnEM,BioRED,STS")
    assert [task.card.name for task in found.tasks] == ["AnEM"]
    assert found.absent == ("BioRED", "BIOSSES")
    assert load(tmp_path, "AnEM,STS", asked_by_name=["AnEM"]).absent == ("BIOSSES",)


# -- what is refused ----------------------------------------------------------------------------

MALFORMED = [
    (b'{"instruction": "a"', "not valid JSON"),
    (b"{'instruction': 'a'}", "not valid JSON"),
    (b"null", "must be a JSON object"),
    (b'[{"instruction": "a"}]', "must be a JSON object .* not a list"),
    (b'{"instruction": "caf\xe9"}', "not UTF-8"),
    (row(instruction=...), "field 'instruction' is missing"),
    (row(input=...), "field 'input' is missing"),
    (row(output=...), "field 'output' is missing"),
    (row(history=...), "field 'history' must be .* not missing"),
    (row(instruction=" \n"), "field 'instruction' is empty"),
    (row(instruction=None), "field 'instruction' must be a string, not null"),
    (row(input=["a"]), "field 'input' must be a string, not a list"),
    (row(output=3), "field 'output' must be a string, not a number"),
    (row(output=True), "field 'output' must be a string, not true or false"),
    (row(history={}), "field 'history' must be a list"),
    (row(history=None), "field 'history' must be a list .* not null"),
    (row(history=[["a"]]), "field 'history', pair 1: must be"),
    (row(history=[["a", "b"], "ab"]), "field 'history', pair 2: must be"),
    (row(history=[["a", None]]), "field 'history', pair 1 must be a string, not null"),
    (b'{"instruction": "a", "input": "\\ud800", "output": "", "history": []}', "lone surrogate"),
]


@pytest.mark.parametrize(("bad", "message"), MALFORMED)
def test_a_malformed_row_is_named_by_file_and_line(
    tmp_path: Path, bad: bytes | dict[str, Any], message: str
) -> None:
    raw = bad if isinstance(bad, bytes) else json.dumps(bad).encode()
    path = few(tmp_path)
    path.write_bytes(json.dumps(row()).encode() + b"\n\n" + raw + b"\n" + b'{"never": "read"}\n')
    with pytest.raises(InputError, match=message) as caught:
        load(tmp_path)
    text = str(caught.value)
    assert text.startswith(f"{path}:3: ")
    assert ";" in text  # the remedy
    assert "\n" not in text


def test_history_does_not_matter_without_shots(tmp_path: Path) -> None:
    zero(tmp_path, rows=[row(history=None), row(1, history=3)])
    assert len(load(tmp_path, shots=0).tasks[0].samples) == 2


def test_an_empty_file_is_named(tmp_path: Path) -> None:
    path = few(tmp_path, rows=[])
    with pytest.raises(InputError, match="no rows") as caught:
        load(tmp_path)
    assert str(caught.value).startswith(f"{path}: ")


def test_a_task_asked_for_by_name_must_be_there(tmp_path: Path) -> None:
    few(tmp_path)
    zero(tmp_path)
    zero(tmp_path, "AnEM-RE")
    with pytest.raises(InputError) as caught:
        load(tmp_path, "AnEM,BioRED", asked_by_name=True)
    assert "task BioRED is not in" in str(caught.value)
    assert "which has AnEM, AnEM-RE-zs;" in str(caught.value)
    with pytest.raises(InputError, match="use --shots 0"):
        load(tmp_path, "AnEM-RE", asked_by_name=True)


def test_a_folder_without_any_task_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no benchmark data in .*unseen_tests/<Task>_test\.json"):
        load(tmp_path)


@pytest.mark.parametrize("source", ["./no/such/folder", "nothing", "/no/such", "a/b/c"])
def test_a_source_that_is_neither_folder_nor_hub_id(source: str) -> None:
    with pytest.raises(InputError, match=f"no folder '{source}', and not a Hub id"):
        data.load(CARDS, source=source)


def test_a_revision_of_a_folder_is_refused(tmp_path: Path) -> None:
    few(tmp_path)
    with pytest.raises(InputError, match="--revision v1 belongs to a Hub data set"):
        load(tmp_path, revision="v1")


# -- real rows ----------------------------------------------------------------------------------


@pytest.mark.parametrize("shots", [0, 2])
def test_the_real_folder_loads(shared: Path, shots: int) -> None:
    found = data.load(CARDS, source=str(shared / "data" / "medinst32"), shots=shots)
    assert found.absent == ("ManConCorpus", "CoVERt", "MedDialog")
    assert len(found.tasks) == 29
    assert sum(len(task.samples) for task in found.tasks) == 3571
    assert all(len(s.history) == shots for task in found.tasks for s in task.samples)
    ids = [s.id for task in found.tasks for s in task.samples]
    assert len(set(ids)) == len(ids)


@pytest.mark.parametrize("shots", [0, 1, 2])
def test_the_demo_holds_every_task_and_is_no_warning(shots: int) -> None:
    found = data.load(CARDS, source="demo", shots=shots)
    assert [task.card for task in found.tasks] == list(CARDS)
    assert (found.absent, found.source, found.revision) == ((), "demo", None)
    for task in found.tasks:
        assert len(task.samples) >= 6, task.card.name
        assert {len(s.history) for s in task.samples} == {shots}, task.card.name
        assert task.warnings == ()


# -- tasks of one's own -------------------------------------------------------------------------


def own(tmp_path: Path, name: str, **source: Any) -> TaskCard:
    card = tmp_path / "card.yaml"
    stanza = {
        "name": "Mine", "category": "NER", "form": "entities",
        "metrics": {"standard": ["entity_f1"]}, "data": {"path": name, **source},
    }  # fmt: skip
    card.write_text(json.dumps(stanza))
    return tasks.load_file(card)[0]


MAPPED = {"fields": {"input": "text", "output": "label"}, "instruction": "Find."}
ROWS = [{"text": "a, b", "label": "[a <X>]"}, {"text": 'c "d"\n', "label": ""}]


def write_own(path: Path, rows: list[dict[str, Any]]) -> None:
    if path.suffix == ".parquet":
        import pyarrow as pa
        import pyarrow.parquet as pq

        pq.write_table(pa.Table.from_pylist(rows), path)
    elif path.suffix in (".csv", ".tsv"):
        import csv

        with path.open("w", newline="", encoding="utf-8-sig") as file:
            delimiter = "\t" if path.suffix == ".tsv" else ","
            writer = csv.DictWriter(file, list(rows[0]), delimiter=delimiter)
            writer.writeheader()
            writer.writerows(rows)
    else:
        write(path, rows)


@pytest.mark.parametrize("name", ["r.jsonl", "r.json", "r.csv", "r.tsv", "r.parquet"])
def test_own_files_with_mapped_fields(tmp_path: Path, name: str) -> None:
    write_own(tmp_path / name, ROWS)
    found = data.load([own(tmp_path, name, **MAPPED)], source="unused/unused", shots=0)
    (task,) = found.tasks
    assert [(s.id, s.instruction, s.input, s.gold) for s in task.samples] == [
        ("Mine/0", "Find.", "a, b", "[a <X>]"),
        ("Mine/1", "Find.", 'c "d"\n', ""),
    ]
    assert found.absent == ()


def test_own_rows_may_bring_demonstrations_and_numbers(tmp_path: Path) -> None:
    write(tmp_path / "r.jsonl", [row(output=3), row(output=2.5, history=...), row(history=[])])
    (task,) = data.load([own(tmp_path, "r.jsonl")], source="demo", shots=1).tasks
    assert [s.gold for s in task.samples] == ["3", "2.5", "[heart <Organ>]"]
    assert [len(s.history) for s in task.samples] == [1, 0, 0]
    assert task.warnings == ("2 of 3 rows have fewer than 1 demonstrations (the fewest: 0)",)


def test_own_tasks_stand_beside_the_benchmark_in_the_order_given(tmp_path: Path) -> None:
    few(tmp_path)
    write_own(tmp_path / "r.csv", ROWS)
    cards = [own(tmp_path, "r.csv", **MAPPED), *tasks.select(CARDS, "AnEM,BioRED")]
    found = data.load(cards, source=str(tmp_path), shots=0)
    assert [task.card.name for task in found.tasks] == ["Mine", "AnEM"]
    assert found.absent == ("BioRED",)


BROKEN_OWN: list[tuple[str, bytes | None, dict[str, Any], str]] = [
    ("r.jsonl", None, {}, r"no data file .*r\.jsonl; correct 'data\.path'"),
    ("r.xlsx", b"", {}, r"'\.xlsx' files are not read; give \.jsonl"),
    ("r.jsonl", b"", {}, "has no rows"),
    ("r.jsonl", b'{"text": "a"}\n', MAPPED, r"r\.jsonl:1: no column 'label' for field 'output'"),
    ("r.jsonl", b'{"input": "a", "output": "b"}\n', {}, r"r\.jsonl:1: field 'instruction' is mis"),
    ("r.jsonl", b"{}\n", {"fields": {"answer": "x"}}, "maps 'answer', which is no field"),
    ("r.jsonl", b'\n{"a": \n', {}, r"r\.jsonl:2: not valid JSON"),
    ("r.csv", b"text,label\na\n", MAPPED, r"r\.csv:2: the row has not as many values"),
    ("r.csv", b"text,label\na,b,c\n", MAPPED, r"r\.csv:2: the row has not as many values"),
    ("r.csv", b"text,label\n\xff,b\n", MAPPED, r"r\.csv: not valid CSV in UTF-8"),
    ("r.csv", b'text,label\n"a"b,c\n', MAPPED, r"r\.csv: not valid CSV"),
    ("r.parquet", b"text", MAPPED, r"r\.parquet: not a Parquet file"),
]


@pytest.mark.parametrize(("name", "content", "source", "message"), BROKEN_OWN)
def test_a_broken_own_file_is_named(
    tmp_path: Path, name: str, content: bytes | None, source: dict[str, Any], message: str
) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match=message) as caught:
        data.load([own(tmp_path, name, **source)], source="demo", shots=0)
    assert "\n" not in str(caught.value)
