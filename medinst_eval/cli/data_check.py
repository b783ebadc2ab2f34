"""`medinst-eval data check`: does anything give the test rows away?"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from medinst_eval.cli.console import out, printable

if TYPE_CHECKING:
    from medinst_eval.leaks import LeakReport, TaskReport

_SHOWN = 3
"""Findings of a kind that the table spells out per task."""


def command(
    data: Annotated[
        str | None, typer.Option(help="Hub id (default aialt/MedINST32), a folder, or demo.")
    ] = None,
    revision: Annotated[str | None, typer.Option(help="Revision on the Hub.")] = None,
    tasks: Annotated[
        str | None, typer.Option(help="Names, categories or level:3; default all.")
    ] = None,
    train: Annotated[
        list[Path] | None,
        typer.Option(help="Training file (JSON Lines with `input`); repeatable."),
    ] = None,
    ngram: Annotated[int, typer.Option(help="Words per n-gram.", min=3, max=50)] = 8,
    threshold: Annotated[
        float, typer.Option(help="Share of an input's n-grams that is a leak.", min=0.05, max=1.0)
    ] = 0.5,
    as_json: Annotated[bool, typer.Option("--json", help="Print everything as JSON.")] = False,
) -> int:
    """Does anything give the test rows away? Demonstrations, duplicates, golds, training files.

    Exit codes: 0 clean, 1 a leak (a demonstration or training row that repeats a test input, or
    nearly), 2 bad input. Duplicates, odd golds and row counts are warnings.
    """
    from medinst_eval.config import RunConfig
    from medinst_eval.leaks import Options, check_data
    from medinst_eval.runner import load_samples

    *_, dataset = load_samples(RunConfig(model="", data=data, revision=revision, tasks=tasks))
    options = Options(ngram=ngram, threshold=threshold)
    report = check_data(dataset, training=train or (), options=options)
    if as_json:
        print(json.dumps(_record(report), ensure_ascii=False, indent=2))
    else:
        _print(report)
    return 1 if report.leaks else 0


def _record(report: LeakReport) -> dict[str, object]:
    return {
        "leaks": report.leaks,
        "training_rows": report.training_rows,
        "options": asdict(report.options),
        "tasks": {task.task: asdict(task) for task in report.tasks},
    }


def _print(report: LeakReport) -> None:
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("task")
    for name in (
        "rows", "own demo", "other demo", "training", "duplicates", "odd golds", "odd labels",
    ):  # fmt: skip
        table.add_column(name, justify="right")
    for task in report.tasks:
        counts = (
            task.count("own demonstration"), task.count("demonstration"), task.count("training"),
            len(task.duplicates), len(task.unparsed_golds), sum(task.odd_labels.values()),
        )  # fmt: skip
        table.add_row(task.task, str(task.rows), *(str(n) if n else "·" for n in counts))
    console = out()
    console.print(table)
    for task in report.tasks:
        for line in _details(task):
            console.print(printable(f"{task.task}: {line}"), markup=False, soft_wrap=True)
    if report.training_rows:
        console.print(f"{report.training_rows:,} training rows read", markup=False)
    rule = f"{report.options.ngram}-grams, {report.options.threshold:.0%} of an input"
    verdict = f"{report.leaks:,} test rows leak" if report.leaks else "no leak found"
    console.print(f"{verdict} ({rule})", style="bold", markup=False)


def _details(task: TaskReport) -> Iterator[str]:
    ordered = sorted(task.findings, key=lambda finding: -finding.share)
    for finding in ordered[:_SHOWN]:
        how = "repeats" if finding.exact else f"holds {finding.share:.0%} of"
        yield f"LEAK {finding.kind}: {finding.where} {how} the input of {finding.id}"
    if len(ordered) > _SHOWN:
        yield f"… and {len(ordered) - _SHOWN} more (--json lists all)"
    for later, earlier in task.duplicates[:_SHOWN]:
        yield f"{later} asks the same as {earlier}"
    if len(task.duplicates) > _SHOWN:
        yield f"… and {len(task.duplicates) - _SHOWN} more duplicates"
    if task.unparsed_golds:
        yield f"golds that do not parse: {', '.join(task.unparsed_golds[:5])}"
    if task.odd_labels:
        names = ", ".join(f"{label} ({n})" for label, n in task.odd_labels.most_common(5))
        yield f"labels that the card does not list: {names}"
    yield from task.warnings
