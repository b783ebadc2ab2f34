"""Two runs, row by row: which rows are the same, and their statistics side by side."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from medinst_eval import metrics
from medinst_eval.compare.checks import Difference, plain_signature
from medinst_eval.errors import StoreError
from medinst_eval.metrics.base import Metric, MetricContext, MetricUnavailable
from medinst_eval.stats import FloatArray, IntArray, Table
from medinst_eval.store import FinishedRun
from medinst_eval.tasks.card import TaskCard

_LABEL_FORMS = ("word_labels", "label", "labels")
ROWS = "rows"
"""Field of a difference in which rows there are: explained by `limit` or else by `data`."""
FAILURES = ("unparsed", "empty", "truncated", "error")
"""Statuses of a row that was not answered in form."""


@dataclass(frozen=True, kw_only=True)
class LoadedRun:
    """A run with its samples in memory, by task."""

    run: FinishedRun
    samples: Mapping[str, list[dict[str, Any]]]
    stats: Mapping[str, npt.NDArray[Any]]

    def metric(self, task: str, name: str) -> Mapping[str, Any]:
        """A metric's entry in the results; empty where there is none."""
        found = self.run.results["tasks"].get(task, {}).get("metrics", {}).get(name, {})
        return found if isinstance(found, dict) else {}


@dataclass(frozen=True, kw_only=True)
class PairedMetric:
    """One metric of one task in two runs."""

    name: str
    higher_is_better: bool
    span: float
    """Width of the metric's bounds (1 for scores, 25 for the paper's MSE); 100 where there are
    none, so that a point is the metric's own unit."""
    values: tuple[float, float]
    """Score over the shared rows in the base and in the new run."""
    base: Table
    new: Table


@dataclass(frozen=True, kw_only=True)
class PairedTask:
    """The rows of a task that two runs share.

    Attributes:
        rows: Positions in both runs' samples of the task, in the base's order.
        clusters: Document of each row that both runs scored.
        row_clusters: Document of each shared row, unscored ones included.
        metrics: Metrics both runs have with one signature; the headline first.
        left_out: Why a metric is not among them, by name.
    """

    card: TaskCard
    rows: tuple[tuple[int, int], ...]
    clusters: IntArray
    row_clusters: IntArray
    metrics: Mapping[str, PairedMetric]
    left_out: Mapping[str, str]
    statuses: tuple[tuple[str, ...], tuple[str, ...]]

    def failures(self, status: str) -> tuple[int, int]:
        """How many shared rows have this status in the base and in the new run."""
        return self.statuses[0].count(status), self.statuses[1].count(status)


def load(run: FinishedRun) -> LoadedRun:
    """Read samples and statistics of a run.

    Raises:
        StoreError: A file is missing or damaged.
    """
    samples: dict[str, list[dict[str, Any]]] = {name: [] for name in run.results["tasks"]}
    for sample in run.samples():
        samples.setdefault(sample["task"], []).append(sample)
    return LoadedRun(run=run, samples=samples, stats=run.stats())


def pair_task(
    card: TaskCard, base: LoadedRun, new: LoadedRun, *, by_content: bool, options: Mapping[str, Any]
) -> tuple[PairedTask, list[Difference]]:
    """Pair the rows of a task by id and key, and its metrics by signature.

    Args:
        card: The task.
        base: The run to compare with.
        new: The run in question.
        by_content: Pair by id, input and gold: keys differ between runs with other shots.
        options: Settings of the metrics, as the base run was scored.

    Returns:
        The pairs, and the differences in rows and metrics that somebody must allow.
    """
    name = card.name
    rows, differences = _pair_rows(name, base.samples[name], new.samples[name], by_content)
    clusters = _clusters(base, name)
    scored = [_scored_positions(side.samples[name]) for side in (base, new)]
    both = [(scored[0][i], scored[1][j]) for i, j in rows if i in scored[0] and j in scored[1]]
    whole = len(both) == len(scored[0]) == len(scored[1])
    found: dict[str, PairedMetric] = {}
    left_out: dict[str, str] = {}
    for metric in dict.fromkeys((*card.metrics.paper, *card.metrics.standard)):
        why = _unpairable(name, metric, base, new)
        if why is not None:
            left_out[metric] = why[0]
            if why[1]:
                differences.append(Difference(field="metrics", what=f"{name}: {why[0]}"))
            continue
        positions = None if whole or card.form not in _LABEL_FORMS else both
        tables = _tables(card, metric, (base, new), both, positions, options)
        if isinstance(tables, str):
            left_out[metric] = tables
        else:
            found[metric] = tables
    base_rows = [i for i, _ in rows]
    paired = PairedTask(
        card=card,
        rows=tuple(rows),
        clusters=clusters[[i for i, _ in both]] if both else np.empty(0, dtype=np.int64),
        row_clusters=_row_clusters(clusters, scored[0], base_rows),
        metrics=found,
        left_out=left_out,
        statuses=(
            tuple(str(base.samples[name][i]["status"]) for i, _ in rows),
            tuple(str(new.samples[name][j]["status"]) for _, j in rows),
        ),
    )
    return paired, differences


def _pair_rows(
    task: str, base: Sequence[dict[str, Any]], new: Sequence[dict[str, Any]], by_content: bool
) -> tuple[list[tuple[int, int]], list[Difference]]:
    def identity(sample: dict[str, Any]) -> Any:
        return (sample.get("input"), sample["gold"]) if by_content else sample["key"]

    where = {sample["id"]: position for position, sample in enumerate(new)}
    pairs: list[tuple[int, int]] = []
    changed = 0
    for position, sample in enumerate(base):
        other = where.get(sample["id"])
        if other is None:
            continue
        if identity(sample) == identity(new[other]):
            pairs.append((position, other))
        else:
            changed += 1
    differences = []
    if changed:
        what = f"data: {changed} rows of {task} have other texts"
        differences.append(Difference(field="data", what=what))
    alone = len(base) + len(new) - 2 * (len(pairs) + changed)
    if alone:
        what = f"data: {alone} rows of {task} are in one run only"
        differences.append(Difference(field=ROWS, what=what))
    return pairs, differences


def _scored_positions(samples: Sequence[dict[str, Any]]) -> dict[int, int]:
    """Position among the samples -> position among the rows of the statistics."""
    scored = (i for i, sample in enumerate(samples) if sample["status"] != "error")
    return {position: row for row, position in enumerate(scored)}


def _clusters(side: LoadedRun, task: str) -> IntArray:
    rows = sum(sample["status"] != "error" for sample in side.samples[task])
    found = side.stats.get(f"{task}|#clusters")
    if found is None or len(found) != rows:
        raise _stale(side, task)
    return np.asarray(found, dtype=np.int64)


def _row_clusters(
    clusters: IntArray, scored: Mapping[int, int], positions: Sequence[int]
) -> IntArray:
    """Documents of shared rows; a row without an answer in the base is a document of its own."""
    fresh = int(clusters.max()) + 1 if len(clusters) else 0
    return np.array(
        [int(clusters[scored[i]]) if i in scored else fresh + i for i in positions],
        dtype=np.int64,
    )


def _unpairable(task: str, metric: str, base: LoadedRun, new: LoadedRun) -> tuple[str, bool] | None:
    """Why a metric cannot be compared, and whether the two runs differ in it."""
    ours, theirs = base.metric(task, metric), new.metric(task, metric)
    absent = [entry.get("value") is None for entry in (ours, theirs)]
    if all(absent):
        return f"{metric} was not computed ({ours.get('reason') or 'not in the results'})", False
    if any(absent):
        run, entry = (base.run, ours) if absent[0] else (new.run, theirs)
        reason = entry.get("reason") or "not in the results"
        return f"{metric} was not computed for {run.name} ({reason})", True
    one, two = (plain_signature(str(e.get("signature", ""))) for e in (ours, theirs))
    if one != two:
        return f"{metric} is signed {_unlike(one, two)} and {_unlike(two, one)}", True
    return None


def _unlike(one: str, two: str) -> str:
    """The fields of a signature that another lacks."""
    fields = [part for part in one.split("|") if part not in two.split("|")]
    return f"'{'|'.join(fields)}'"


def _tables(
    card: TaskCard,
    name: str,
    sides: tuple[LoadedRun, LoadedRun],
    both: Sequence[tuple[int, int]],
    again: Sequence[tuple[int, int]] | None,
    options: Mapping[str, Any],
) -> PairedMetric | str:
    """A metric's two tables over the rows that both runs scored.

    With `again` the statistics are made anew from texts and answers: where only some rows are
    shared, the labels that occur, and with them the columns, may differ from the stored ones.
    """
    if not both:
        return "no row was scored in both runs"
    kind = metrics.get(name)
    golds = [_golds(kind, side, card.name, again, n) for n, side in enumerate(sides)]
    context = MetricContext(
        form=card.form, golds=golds[0], labels=card.labels, scale=card.scale, options=options
    )
    arrays: list[FloatArray] = []
    try:
        metric = metrics.create(name, context)
        for number, side in enumerate(sides):
            if again is None:
                stored = side.stats.get(f"{card.name}|{name}")
                rows = [pair[number] for pair in both]
                if stored is None or len(stored) <= max(rows):
                    raise _stale(side, card.name)
                arrays.append(np.asarray(stored, dtype=np.float64)[rows])
            else:
                answers = _answers(kind, side, card.name, again, number)
                arrays.append(metric.batch_stats(golds[number], answers))
    except MetricUnavailable as error:
        return str(error)
    if arrays[0].shape != arrays[1].shape:
        raise _stale(sides[1], card.name)
    low, high = kind.bounds
    tables = (
        Table(arrays[0], metric.score, kind.is_sum),
        Table(arrays[1], metric.score, kind.is_sum),
    )
    return PairedMetric(
        name=name,
        higher_is_better=kind.higher_is_better,
        span=high - low if np.isfinite(high - low) else 100.0,
        values=_values(card.name, name, sides, tables, len(both)),
        base=tables[0],
        new=tables[1],
    )


def _values(
    task: str,
    metric: str,
    sides: tuple[LoadedRun, LoadedRun],
    tables: tuple[Table, Table],
    rows: int,
) -> tuple[float, float]:
    """Scores over the shared rows: those of the results where these are all rows."""
    base, new = (
        float(side.metric(task, metric)["value"])
        if len(_scored(side, task)) == rows
        else table.value()
        for side, table in zip(sides, tables, strict=True)
    )
    return base, new


def _scored(side: LoadedRun, task: str) -> list[dict[str, Any]]:
    return [sample for sample in side.samples[task] if sample["status"] != "error"]


def _golds(
    kind: type[Metric],
    side: LoadedRun,
    task: str,
    pairs: Sequence[tuple[int, int]] | None,
    number: int,
) -> list[Any]:
    if pairs is None:
        return []
    samples = _scored(side, task)
    field = "gold" if kind.reads == "text" else "gold_answer"
    return [_answer(samples[pair[number]].get(field)) for pair in pairs]


def _answers(
    kind: type[Metric], side: LoadedRun, task: str, pairs: Collection[tuple[int, int]], number: int
) -> list[Any]:
    samples = _scored(side, task)
    field = "output" if kind.reads == "text" else "answer"
    return [_answer(samples[pair[number]].get(field)) for pair in pairs]


def _answer(value: Any) -> Any:
    """An answer as it was before it became JSON: lists are tuples again."""
    if isinstance(value, list):
        return tuple(tuple(item) if isinstance(item, list) else item for item in value)
    return value


def _stale(side: LoadedRun, task: str) -> StoreError:
    path = side.run.path
    return StoreError(
        f"{path}: statistics of {task} do not fit its samples; "
        f"`medinst-eval score {path}` writes both again"
    )
