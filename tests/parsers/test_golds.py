"""Every gold of the real data comes back from the parsers as it is."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from medinst_eval.parsers import options_from_input, parse, parse_gold
from medinst_eval.tasks import load_cards
from medinst_eval.types import Answer, ParseContext

CARDS = {card.name: card for card in load_cards()}
BLANK_GOLDS = {("tmVar-v3-NED", 55), ("tmVar-v3-NED", 106), ("tmVar-v3-NED", 119)}
"""Documents whose entities carry no identifier: an empty list as gold, an empty answer else."""


def _context(task: str, row: dict[str, Any]) -> ParseContext:
    card = CARDS[task]
    return ParseContext(
        input=row["input"],
        labels=card.labels,
        scale=card.scale,
        options=options_from_input(row["input"]) if card.form == "choice" else (),
        prompt=f"{row['instruction']}\n{row['input']}",
    )


def _rows(path: Path) -> list[dict[str, Any]]:
    with path.open(encoding="utf-8") as file:
        return [json.loads(line) for line in file]


def _write(form: str, value: Answer, words: list[str]) -> str:
    """A value in the benchmark's own form."""
    if isinstance(value, float):
        return f"{value:g}"
    if isinstance(value, str):
        return value
    if form == "word_labels":
        pairs = zip(words, value, strict=True)
        return " ".join(f"{word} [{label}]" for word, label in pairs)
    if form == "labels":
        return ", ".join(str(label) for label in value)
    if form in ("entities", "links"):
        return " ".join(f"[{mention} <{kind}>]" for mention, kind in value)
    if form == "mentions":
        return " ".join(f"[{item[0]}]" for item in value)
    return " ".join(f"[{' '.join(f'<{part}>' for part in item)}]" for item in value)


@pytest.mark.parametrize("variant", ["unseen_tests", "unseen_tests_zs"])
def test_gold_parses_to_itself(shared: Path, variant: str) -> None:
    folder = shared / "data" / "medinst32" / variant
    suffix = "-zs" if variant.endswith("_zs") else ""
    tasks = [task for task in CARDS if (folder / f"{task}{suffix}_test.json").exists()]
    assert len(tasks) == 29
    blank: set[tuple[str, int]] = set()
    for task in tasks:
        form = CARDS[task].form
        for number, row in enumerate(_rows(folder / f"{task}{suffix}_test.json")):
            context = _context(task, row)
            gold = parse_gold(form, row["output"], context)
            assert gold.status == "ok", (task, number, gold.note)
            assert gold.value is not None
            written = _write(form, gold.value, row["input"].split())
            assert written == row["output"].strip(), (task, number)
            answer = parse(form, row["output"], context)
            if not row["output"].strip():
                blank.add((task, number))
                assert answer.status == "empty"
                continue
            assert (answer.status, answer.value) == ("ok", gold.value), (task, number)
            assert answer.note == "", (task, number, answer.note)
    assert blank == BLANK_GOLDS


def test_unbalanced_golds_are_read_whole(shared: Path) -> None:
    """Two golds with unbalanced brackets, which a scan with a depth counter breaks."""
    folder = shared / "data" / "medinst32" / "unseen_tests"
    name = (
        "R-N-[5-chloro-2-[2-[4(4-fluorophenyl) methyl]-2-methyl-1-piperazinyl]-2-oxoethoxy]phenyl]"
        " urea hydrochloric acid salt"
    )
    expected = {"BioNLP-2013-CG": (name, "Simple_chemical"), "MLEE-COREF": (name,)}
    for task, item in expected.items():
        row = _rows(folder / f"{task}_test.json")[31]
        gold = parse_gold(CARDS[task].form, row["output"], _context(task, row))
        assert isinstance(gold.value, tuple)
        assert item in gold.value


def test_gold_is_one_of_the_options(shared: Path) -> None:
    folder = shared / "data" / "medinst32" / "unseen_tests"
    for number, row in enumerate(_rows(folder / "MedQA_test.json")):
        options = options_from_input(row["input"])
        assert len(options) == 5, number
        assert row["output"] in options, number
