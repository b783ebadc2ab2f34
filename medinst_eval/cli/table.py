"""The table at the end of a run."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from medinst_eval import numbers
from medinst_eval.cli.console import printable

if TYPE_CHECKING:
    from rich.table import Table

_COLUMNS = ("task", "rows", "paper metric", "standard", "95 % interval")
_FAILURES = ("unparsed", "empty", "truncated", "errors")


def points(name: str, value: float | None) -> str:
    """A score as tables show it: in points (x 100), error measures as they are."""
    return numbers.points(value, 2, factor=numbers.factor_of(not name.endswith("mse")))


def score_cells(name: str | None, score: Mapping[str, Any] | None) -> tuple[str, str]:
    """Value with the metric's name, and the interval."""
    if name is None or score is None:
        return numbers.NOTHING, ""
    factor = numbers.factor_of(score["higher_is_better"])
    shown = numbers.points(score["value"], 2, factor=factor)
    interval = numbers.interval_points(score.get("ci95"), 2, factor=factor)
    return f"{shown} {name.removeprefix('paper_')}", interval


def results_table(results: Mapping[str, Any]) -> Table:
    """Tasks, then categories, then the overall line."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    model = str(results["model"]).rstrip("/").rsplit("/", 1)[-1]
    shots = "" if results["shots"] is None else f" · {results['shots']}-shot"
    title = f"{results['run']} · {model}{shots}"
    table = Table(box=box.SIMPLE_HEAD, title=Text(printable(title)), pad_edge=False)
    for name in _COLUMNS:
        table.add_column(name, justify="left" if name == "task" else "right", no_wrap=True)
    for name in _FAILURES:
        table.add_column(name, justify="right", no_wrap=True)
    group = None
    for name, task in results["tasks"].items():
        mine = "own" if task.get("own") else task["category"]
        if group not in (None, mine):
            table.add_section()
        group = mine
        table.add_row(Text(printable(name)), *_task_cells(task))
    table.add_section()
    for name, averages in results["categories"].items():
        table.add_row(name, *_average_cells(averages))
    table.add_section()
    table.add_row("overall", *_average_cells(results["overall"]), style="bold")
    if pooled := results["overall"].get("pooled"):
        table.add_row("pooled", *_average_cells({"standard": pooled}), style="bold")
    return table


def _task_cells(task: Mapping[str, Any]) -> list[str]:
    paper, standard = task["primary"]["paper"], task["primary"]["standard"]
    shown, interval = score_cells(standard, task["metrics"].get(standard))
    counts = (task["unparsed"], task["empty"], task["truncated"], task["n_errors"])
    return [
        str(task["n"]),
        score_cells(paper, task["metrics"].get(paper))[0],
        shown,
        interval,
        *(str(count) if count else "·" for count in counts),
    ]


def _average_cells(averages: Mapping[str, Any]) -> list[str]:
    cells = [""]
    interval = ""
    for which in ("paper", "standard"):
        score = averages.get(which)
        if score is None:
            cells.append(numbers.NOTHING)
            continue
        shown, bounds = score_cells(coverage(score), score)
        cells.append(shown)
        if which == "standard":
            interval = bounds
    return [*cells, interval, *[""] * len(_FAILURES)]


def coverage(score: Mapping[str, Any]) -> str:
    """`29 of 32 tasks`, or the plain number where none is missing."""
    have, of = len(score["tasks"]), max(score["of"], len(score["tasks"]))
    if have == of:
        return f"({of} task{'s' * (of != 1)})"
    return f"({have} of {of} tasks)"


def null_reasons(results: Mapping[str, Any]) -> list[str]:
    """Why metrics without a value have none, each reason once with its tasks."""
    reasons: dict[str, list[str]] = {}
    for task, record in results["tasks"].items():
        for metric, score in record["metrics"].items():
            if score["value"] is None and score.get("reason"):
                reasons.setdefault(f"{metric}: {score['reason']}", []).append(task)
    return [f"{reason} ({', '.join(names)})" for reason, names in reasons.items()]
