"""A leaderboard before it has a format: lines, scores, marks, and what a reader must know."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from math import sqrt
from statistics import mean
from typing import Literal

from medinst_eval.errors import InputError
from medinst_eval.leaderboard.conditions import describe, varying
from medinst_eval.leaderboard.entries import MMLU, Entry, MetricSet, Score, TaskInfo
from medinst_eval.leaderboard.marks import Cell, PairedP, marked, printed

By = Literal["task", "category", "level"]


@dataclass(frozen=True, kw_only=True)
class BoardOptions:
    """What is asked of a leaderboard."""

    metrics: MetricSet = "standard"
    by: By = "task"
    digits: int = 2
    """Decimals of a score in points; they decide ties."""


@dataclass(frozen=True, kw_only=True)
class Line:
    """One task, category, level or average."""

    name: str
    group: str
    """Category of a task; empty otherwise."""
    metric: str
    tasks: tuple[str, ...]
    higher_is_better: bool
    cells: tuple[Cell, ...]


@dataclass(frozen=True, kw_only=True)
class Summary:
    """Figures of a model over all lines.

    Attributes:
        rank: Place by the average, from 1; ties as printed share the better place.
        win_rate: Mean over tasks of the share of other models beaten, ties counting half.
        failures: Share of rows not answered in form; None for published models.
    """

    rank: int | None
    win_rate: float | None
    failures: float | None


@dataclass(frozen=True, kw_only=True)
class Board:
    """A leaderboard.

    Attributes:
        conditions: Those in which the models differ, in the order of `CONDITIONS`.
        average: Mean over the tasks that every model has, over all questions for MMLU-Medicine;
            None where there is none. Ranks follow it.
        macro_average: For MMLU-Medicine, the mean over subjects.
        notes: What a reader must know, one sentence each.
    """

    options: BoardOptions
    suite: str
    entries: tuple[Entry, ...]
    lines: tuple[Line, ...]
    average: Line | None
    macro_average: Line | None
    summaries: tuple[Summary, ...]
    conditions: tuple[str, ...]
    notes: tuple[str, ...]

    @property
    def averages(self) -> tuple[Line, ...]:
        """The averages there are."""
        return tuple(a for a in (self.average, self.macro_average) if a is not None)


def build(
    entries: Sequence[Entry],
    options: BoardOptions,
    *,
    order: Sequence[str] = (),
    paired: PairedP | None = None,
) -> Board:
    """Set models side by side.

    Args:
        entries: At least one, all of one suite.
        options: Metric set, lines, decimals.
        order: Order of tasks; those not named follow in the entries' own order.
        paired: Test of two entries on the same rows; None: intervals decide what is equal.

    Raises:
        InputError: No entries, entries of several suites, or tasks measured differently.
    """
    suites = {entry.suite for entry in entries}
    if len(suites) != 1:
        named = ", ".join(sorted(suites)) or "none"
        raise InputError(f"a leaderboard holds one suite, not {named}; choose with --suite")
    tasks = _tasks(entries, order)
    common = [name for name in tasks if all(name in entry.scores for entry in entries)]
    groups = _groups(tasks, common, options.by)
    lines = [_line(entries, *group, options=options, paired=paired) for group in groups]
    averages = _averages(entries, tasks, common, options, paired)
    average = averages[0] if averages else None
    return Board(
        options=options,
        suite=suites.pop(),
        entries=tuple(entries),
        lines=tuple(lines),
        average=average,
        macro_average=averages[1] if len(averages) > 1 else None,
        summaries=_summaries(entries, tasks, common, average, options),
        conditions=varying(entries),
        notes=tuple(describe(entries, tasks, common)),
    )


# -- lines --------------------------------------------------------------------------------------


def _tasks(entries: Sequence[Entry], order: Sequence[str]) -> dict[str, TaskInfo]:
    """All tasks in order; the same metric everywhere."""
    found: dict[str, TaskInfo] = {}
    for entry in entries:
        for name, info in entry.tasks.items():
            known = found.setdefault(name, info)
            if known.metric != info.metric:
                raise InputError(
                    f"{name} is measured by {known.metric} and by {info.metric} ({entry.name}); "
                    "`medinst-eval score` the runs with one version"
                )
    places = {name: place for place, name in enumerate(order)}
    return dict(sorted(found.items(), key=lambda item: places.get(item[0], len(places))))


def _groups(
    tasks: Mapping[str, TaskInfo], common: Sequence[str], by: By
) -> list[tuple[str, str, list[TaskInfo]]]:
    """(name, group, tasks) of every line; groups hold the tasks that every model has."""
    if by == "task":
        return [(info.label, info.category, [info]) for info in tasks.values()]
    found: dict[str, list[TaskInfo]] = {}
    for info in tasks.values():
        if not info.averaged:
            continue
        key = info.category if by == "category" else f"level {info.level or 'none'}"
        members = found.setdefault(key, [])
        if info.name in common:
            members.append(info)
    names = found if by == "category" else sorted(found)
    return [(name, "", _one_direction(found[name])) for name in names]


def _one_direction(tasks: Sequence[TaskInfo]) -> list[TaskInfo]:
    """Error measures are averaged only where there is nothing else."""
    return [info for info in tasks if info.higher_is_better] or list(tasks)


def _line(
    entries: Sequence[Entry],
    name: str,
    group: str,
    tasks: Sequence[TaskInfo],
    *,
    options: BoardOptions,
    paired: PairedP | None,
) -> Line:
    names = [info.name for info in tasks]
    higher = all(info.higher_is_better for info in tasks)
    scores = [_mean_score(entry, names) for entry in entries]
    metrics = {info.metric for info in tasks}
    return Line(
        name=name,
        group=group,
        metric=metrics.pop() if len(metrics) == 1 else "mean",
        tasks=tuple(names),
        higher_is_better=higher,
        cells=marked(entries, scores, names, higher, options.digits, paired),
    )


def _mean_score(entry: Entry, tasks: Sequence[str]) -> Score | None:
    """Mean over tasks; the stored interval where the run averaged the same tasks.

    Elsewhere the standard error follows from those of the tasks, which are independent:
    sqrt(sum of squares) / number, and the interval is 1.96 of it on both sides.
    """
    parts = [entry.scores[name] for name in tasks if name in entry.scores]
    if not tasks or len(parts) != len(tasks):
        return None
    if len(parts) == 1:
        return parts[0]
    value = mean(part.value for part in parts)
    stored = entry.averages.get(frozenset(tasks))
    if stored is not None:
        return Score(value=stored.value, ci95=stored.ci95, stderr=stored.stderr)
    errors = [part.stderr for part in parts if part.stderr is not None]
    if len(errors) != len(parts):
        return Score(value=value)
    se = sqrt(sum(e * e for e in errors)) / len(parts)
    return Score(value=value, ci95=(value - 1.96 * se, value + 1.96 * se), stderr=se)


# -- averages -----------------------------------------------------------------------------------


def _averages(
    entries: Sequence[Entry],
    tasks: Mapping[str, TaskInfo],
    common: Sequence[str],
    options: BoardOptions,
    paired: PairedP | None,
) -> list[Line]:
    """The mean over common tasks; for MMLU before it that over all questions, as in the paper."""
    members = [tasks[name] for name in common if tasks[name].averaged]
    used = [info for info in members if info.higher_is_better]
    if not used:
        return []
    line = _line(entries, "average", "", used, options=options, paired=paired)
    if entries[0].suite != MMLU:
        return [line]
    names = [info.name for info in used]
    scores = [_pooled(entry, names) for entry in entries]
    cells = marked(entries, scores, names, True, options.digits, None)
    pooled = Line(
        name="average", group="", metric="accuracy", tasks=tuple(names), higher_is_better=True,
        cells=cells,
    )  # fmt: skip
    return [pooled, replace(line, name="macro average")]


def _pooled(entry: Entry, tasks: Sequence[str]) -> Score | None:
    """Right answers over all questions together."""
    if entry.pooled is not None and len(tasks) == len(entry.scores):
        return entry.pooled
    parts = [entry.scores[name] for name in tasks]
    rows = sum(part.rows or 0 for part in parts)
    if not rows:
        return None
    value = sum(part.value * (part.rows or 0) for part in parts) / rows
    if any(part.stderr is None for part in parts):
        return Score(value=value)
    se = sqrt(sum(((part.rows or 0) * (part.stderr or 0.0)) ** 2 for part in parts)) / rows
    return Score(value=value, ci95=(value - 1.96 * se, value + 1.96 * se), stderr=se)


def _summaries(
    entries: Sequence[Entry],
    tasks: Mapping[str, TaskInfo],
    common: Sequence[str],
    average: Line | None,
    options: BoardOptions,
) -> tuple[Summary, ...]:
    values: list[float | None] = [None] * len(entries)
    if average is not None:
        values = [
            None if cell.score is None else printed(cell.score.value, True, options.digits)
            for cell in average.cells
        ]
    known = [value for value in values if value is not None]
    shared = [tasks[name] for name in common if tasks[name].averaged]
    return tuple(
        Summary(
            rank=None if value is None else 1 + sum(other > value for other in known),
            win_rate=_win_rate(entries, number, shared, options.digits),
            failures=_failure_share(entries[number]),
        )
        for number, value in enumerate(values)
    )


def _failure_share(entry: Entry) -> float | None:
    failed, rows = entry.failures or (0, 0)
    return failed / rows if rows else None


def _win_rate(
    entries: Sequence[Entry], number: int, tasks: Sequence[TaskInfo], digits: int
) -> float | None:
    if len(entries) < 2 or not tasks:
        return None
    rates = []
    for info in tasks:
        shown = [
            (1 if info.higher_is_better else -1)
            * printed(entry.scores[info.name].value, info.higher_is_better, digits)
            for entry in entries
        ]
        own = shown[number]
        beaten = sum((own > other) + 0.5 * (own == other) for other in shown) - 0.5
        rates.append(beaten / (len(entries) - 1))
    return mean(rates)
