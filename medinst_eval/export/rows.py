"""What every export needs of a run: its facts, its tasks, its samples in order."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from medinst_eval.store import FinishedRun
from medinst_eval.suites import manifest_cards
from medinst_eval.tasks.card import TaskCard

SETS = ("paper", "standard")


def part(run: FinishedRun, name: str) -> Mapping[str, Any]:
    """A section of the manifest; empty where an old or foreign run has none."""
    found = run.manifest.get(name)
    return found if isinstance(found, Mapping) else {}


def model_name(run: FinishedRun) -> str:
    """Name of the model, of the run where none is known."""
    return str(run.results.get("model") or part(run, "model").get("name") or run.name)


def by_task(run: FinishedRun) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """(task, its samples) one task after the other, as `samples.jsonl` holds them."""
    task, rows = "", list[dict[str, Any]]()
    for record in run.samples():
        if record["task"] != task and rows:
            yield task, rows
            rows = []
        task = str(record["task"])
        rows.append(record)
    if rows:
        yield task, rows


def cards(run: FinishedRun) -> dict[str, TaskCard]:
    """Cards of the run's tasks, by name."""
    return {card.name: card for card in manifest_cards(run.manifest)}


def config_name(run: FinishedRun, card: TaskCard | None, task: str) -> str:
    """The data set's config that the run read a task from."""
    return card.config_name(int(run.results.get("shots") or 0)) if card else task


def row_number(record: Mapping[str, Any]) -> int:
    """Row of a sample in its source, from its id `<Task>/<row>`."""
    number = str(record["id"]).rpartition("/")[2]
    return int(number) if number.isdecimal() else 0


def prompt_text(record: Mapping[str, Any]) -> str:
    """The question of a sample without demonstrations, as the benchmark asks it."""
    instruction, text = str(record.get("instruction") or ""), str(record.get("input") or "")
    return f"{instruction}\n{text}" if instruction else text


def show_answer(value: Any) -> str | None:
    """A parsed answer as one line: text as it is, everything else as JSON."""
    if value is None or isinstance(value, str):
        return value
    return json.dumps(value, ensure_ascii=False)


_UNPRINTABLE = re.compile("[\ud800-\udfff]")


def clean(value: Any) -> Any:
    """A value whose texts can be written as UTF-8: lone surrogates become U+FFFD."""
    if isinstance(value, str):
        return _UNPRINTABLE.sub("\ufffd", value)
    if isinstance(value, Mapping):
        return {clean(key): clean(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [clean(inner) for inner in value]
    return value
