"""The built-in data: layout, forms, hard cases, and that they are what their texts give."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import pytest
import yaml

from medinst_eval.demo import TASKS, build, data_folder
from medinst_eval.demo.build import Row, built_in_rows
from medinst_eval.parsers import options_from_input, parse_gold
from medinst_eval.tasks import load_cards
from medinst_eval.tasks.card import TaskCard
from medinst_eval.types import ParseContext

Lines = list[dict[str, object]]


@pytest.fixture(scope="module")
def rows() -> Mapping[str, tuple[Row, ...]]:
    return built_in_rows()


@pytest.fixture(scope="module")
def cards() -> dict[str, TaskCard]:
    return {card.name: card for card in load_cards()}


def lines(config: str) -> Lines:
    folder = "unseen_tests_zs" if config.endswith("-zs") else "unseen_tests"
    text = (data_folder() / folder / f"{config}_test.json").read_text("utf-8")
    return [json.loads(line) for line in text.splitlines()]


def test_every_task_of_the_benchmark_is_there(cards: dict[str, TaskCard]) -> None:
    assert set(TASKS) == set(cards)
    assert len(TASKS) == 32


def test_shipped_files_are_what_the_texts_give(tmp_path: Path) -> None:
    build.build(tmp_path)
    made = {path.relative_to(tmp_path): path.read_bytes() for path in tmp_path.rglob("*.*")}
    kept = {
        path.relative_to(data_folder()): path.read_bytes() for path in data_folder().rglob("*.*")
    }
    assert made == kept
    assert len(made) == 65


@pytest.mark.parametrize("task", TASKS)
def test_rows_and_their_demonstrations(task: str) -> None:
    few, zero = lines(task), lines(f"{task}-zs")
    assert len(few) == len(zero) == 12
    assert [{k: v for k, v in row.items() if k != "history"} for row in few] == zero
    for row in few:
        assert list(row) == ["instruction", "input", "output", "history"]
        history = row["history"]
        assert isinstance(history, list)
        assert [len(pair) for pair in history] == [2, 2]
        assert all("\n" in user and answer for user, answer in history)
    assert len({row["input"] for row in few}) == 12


@pytest.mark.parametrize("task", TASKS)
def test_golds_are_in_form(
    task: str, rows: Mapping[str, tuple[Row, ...]], cards: dict[str, TaskCard]
) -> None:
    card = cards[task]
    for row in rows[task]:
        options = options_from_input(row.input) if card.form == "choice" else ()
        context = ParseContext(
            input=row.input, labels=card.labels, options=options, scale=card.scale, prompt=row.user
        )
        gold = parse_gold(card.form, row.output, context)
        assert gold.status == "ok", (row.input, gold.note)
        values = gold.value if isinstance(gold.value, tuple) else ()
        if card.form == "entities":
            assert {item[1] for item in values} <= set(card.labels)
            assert all(item[0] in row.input for item in values)
        if card.form == "relations":
            assert {item[1] for item in values} <= set(card.labels)
            assert all(item[0] in row.input and item[2] in row.input for item in values)
        if card.form == "events":
            assert {item[0] for item in values} <= set(card.labels)
            assert all(item[1] in row.input and item[2] in row.input for item in values)
        if card.form == "choice":
            assert len(options) == 5
            assert row.output in options


@pytest.mark.parametrize(
    ("task", "part", "where"),
    [
        ("NCBI-disease", "no family history", "input"),
        ("tmVar-v3-NED", "no gene was tested", "input"),
        ("BioNLP-2009", "[p50 [NFKB1] <Protein>]", "output"),
        ("BioNLP-2013-CG", "[[3H]thymidine <Simple_chemical>]", "output"),
        ("AnEM", "[liver <Organ>] [liver <Organ>] [liver <Organ>]", "output"),
        ("MedQA", "Trimethoprim/sulfamethoxazole / ", "input"),
        ("ParaMed", "青霉素", "input"),
        ("tmVar-v3-NED", "dbSNP/113488022, NCBI Gene/673, dbSNP/p|SUB|V|600|E", "output"),
        ("Multi-XScience", "@cite_2:", "input"),
        ("Hallmarks-of-Cancer", "none", "output"),
    ],
)
def test_hard_cases_are_there(
    task: str, part: str, where: str, rows: Mapping[str, tuple[Row, ...]]
) -> None:
    assert any(part in getattr(row, where) for row in rows[task])


def test_rows_without_entities(rows: Mapping[str, tuple[Row, ...]]) -> None:
    assert any(row.output == "" for row in rows["tmVar-v3-NED"])
    for task in ("NCBI-disease", "BC5CDR"):
        assert any("[B]" not in row.output for row in rows[task])


def test_demonstrations_never_repeat_a_test_row(rows: Mapping[str, tuple[Row, ...]]) -> None:
    inputs = [row.input for of_task in rows.values() for row in of_task]
    assert len(set(inputs)) == len(inputs) == 384
    shown = {
        user.split("\n", 1)[1]
        for of_task in rows.values()
        for r in of_task
        for user, _ in r.history
    }
    assert not shown & set(inputs)


def test_loads_with_datasets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import datasets

    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path)
    for config in ("ParaMed", "tmVar-v3-NED-zs"):
        loaded = datasets.load_dataset(
            str(data_folder()), config, split="test", cache_dir=str(tmp_path)
        )
        assert loaded.to_list() == lines(config)


def test_card_lists_every_config() -> None:
    front = (data_folder() / "README.md").read_text("utf-8").split("---\n")[1]
    configs = yaml.safe_load(front)["configs"]
    assert {item["config_name"] for item in configs} == {*TASKS, *(f"{t}-zs" for t in TASKS)}
    for item in configs:
        assert (data_folder() / item["data_files"][0]["path"]).is_file()
