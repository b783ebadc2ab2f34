"""Writes the built-in data set: hand-written hard cases and rows of the grammar, with their shots.

Run by hand after a change of the texts: `python -m medinst_eval.demo.build`. The same texts and
seed give the same bytes.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import replace
from functools import cache
from pathlib import Path
from random import Random
from typing import Any

import yaml

from medinst_eval.demo import DATA, TASKS, extract, forms
from medinst_eval.demo.grammar import Mention
from medinst_eval.demo.rows import SOURCES, Row, row, shot
from medinst_eval.files import write_atomic

ROWS = 12
"""Rows of each task, the hand-written ones first."""
SHOTS = 2
SEED = "medinst-eval demo, test rows"
_OVERLAP = 0.34
"""Highest share of word 4-grams that a shot may have in common with a test row."""
_MARKED = re.compile(r"«([^«»]+)»")
_README = """---
license: apache-2.0
language:
- en
- zh
tags:
- biology
- medical
pretty_name: medinst-eval demonstration data
configs:
{configs}
---

# Demonstration data of medinst-eval

{rows} rows for each of the {tasks} tasks of MedINST32, in the layout and the answer forms of the
benchmark. The texts were written for this project and are **not the benchmark**: scores on them
say whether a set-up works and nothing about a model's medical knowledge. The sentences are
plausible, not evidence.

Written by `python -m medinst_eval.demo.build` from `handwritten.yaml` and the grammar.
"""


def build(folder: Path = DATA) -> None:
    """Write `unseen_tests/`, `unseen_tests_zs/` and `README.md`."""
    configs: list[str] = []
    for task, rows in built_in_rows().items():
        for name, path, items in (
            (task, f"unseen_tests/{task}_test.json", rows),
            (
                f"{task}-zs",
                f"unseen_tests_zs/{task}-zs_test.json",
                [replace(item, history=()) for item in rows],
            ),
        ):
            write_atomic(folder / path, "".join(_line(item) for item in items))
            configs += [
                f"- config_name: {name}",
                "  data_files:",
                "  - split: test",
                f"    path: {path}",
            ]
    readme = _README.format(configs="\n".join(configs), rows=ROWS, tasks=len(TASKS))
    write_atomic(folder / "README.md", readme)


@cache
def built_in_rows() -> Mapping[str, tuple[Row, ...]]:
    """The built-in rows of each task, with demonstrations; no two rows share an input."""
    written = yaml.safe_load((Path(__file__).parent / "handwritten.yaml").read_text("utf-8"))
    seen: set[str] = set()
    tasks: dict[str, tuple[Row, ...]] = {}
    for task in TASKS:
        rng = Random(f"{SEED}: {task}")
        rows = [_handwritten(task, item) for item in written[task]]
        seen.update(item.input for item in rows)
        while len(rows) < ROWS:
            drawn = row(task, rng)
            if drawn.input not in seen and _fresh(drawn.input, (item.input for item in rows)):
                seen.add(drawn.input)
                rows.append(drawn)
        tasks[task] = tuple(rows)
    texts = {task: [item.input for item in rows] for task, rows in tasks.items()}
    return {
        task: tuple(_with_shots(task, item, number, texts) for number, item in enumerate(rows))
        for task, rows in tasks.items()
    }


@cache
def built_in_texts() -> frozenset[str]:
    """Inputs of all built-in rows and of their demonstrations: nothing to train on."""
    texts: set[str] = set()
    for rows in built_in_rows().values():
        for item in rows:
            texts.add(item.input)
            texts.update(user.split("\n", 1)[1] for user, _ in item.history)
    return frozenset(texts)


def _with_shots(task: str, item: Row, number: int, texts: Mapping[str, list[str]]) -> Row:
    """Draw demonstrations that neither occur among the test rows nor resemble this one."""
    rng = Random(f"{SEED}: shots of {task}, {number}")
    tests = {text for inputs in texts.values() for text in inputs}
    history: list[tuple[str, str]] = []
    while len(history) < SHOTS:
        user, answer = shot(task, rng)
        text = user.split("\n", 1)[1]
        others = [item.input, *(pair[0] for pair in history)]
        if answer and text not in tests and _fresh(text, others):
            history.append((user, answer))
    return replace(item, history=tuple(history))


def _fresh(text: str, others: Iterable[str]) -> bool:
    """Whether a text shares few word 4-grams with each of the others."""
    grams = _grams(text)
    return all(len(grams & _grams(other)) <= _OVERLAP * max(len(grams), 1) for other in others)


def _grams(text: str) -> set[tuple[str, ...]]:
    """Word 4-grams of the text without field names and options, lower case."""
    body = re.sub(r"(?m)^(\w+( \d)?:|Options:.*$)", "", text.lower())
    words = re.findall(r"\w+", body)
    return {tuple(words[at : at + 4]) for at in range(len(words) - 3)}


def _handwritten(task: str, item: str | Mapping[str, str]) -> Row:
    """A hand-written row; marked texts get their gold from the marks."""
    if not isinstance(item, str):
        return Row(
            instruction=SOURCES[task].instruction, input=item["input"], output=item["output"]
        )
    text, mentions = _unmark(item)
    if task in extract.WORDS:
        gold = forms.word_labels(text, mentions)
    else:
        gold = " ".join(f"[{mention.text} <{mention.kind}>]" for mention in mentions)
    return Row(instruction=SOURCES[task].instruction, input=text, output=gold)


def _unmark(marked: str) -> tuple[str, list[Mention]]:
    """Text without marks, and what was marked."""
    text = ""
    mentions: list[Mention] = []
    position = 0
    for mark in _MARKED.finditer(marked):
        text += marked[position : mark.start()]
        words, _, kind = mark[1].partition("|")
        mentions.append(Mention(slot="", kind=kind, start=len(text), text=words))
        text += words
        position = mark.end()
    return text + marked[position:], mentions


def _line(item: Row) -> str:
    """A row as a line of JSON; zero-shot rows have no `history`."""
    fields: dict[str, Any] = {
        "instruction": item.instruction,
        "input": item.input,
        "output": item.output,
    }
    if item.history:
        fields["history"] = [list(pair) for pair in item.history]
    return json.dumps(fields, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    build()
