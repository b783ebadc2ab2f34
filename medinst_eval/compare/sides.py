"""One metric in two runs: its statistics over the rows that both scored."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from medinst_eval import metrics
from medinst_eval.compare.checks import plain_signature
from medinst_eval.errors import StoreError
from medinst_eval.metrics.base import Metric, MetricContext, MetricUnavailable
from medinst_eval.stats import FloatArray, Table
from medinst_eval.store import FinishedRun
from medinst_eval.tasks.card import TaskCard


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


def unpairable(task: str, metric: str, base: LoadedRun, new: LoadedRun) -> tuple[str, bool] | None:
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


def pair_metric(
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
                    raise stale(side, card.name)
                arrays.append(np.asarray(stored, dtype=np.float64)[rows])
            else:
                answers = _answers(kind, side, card.name, again, number)
                arrays.append(metric.batch_stats(golds[number], answers))
    except MetricUnavailable as error:
        return str(error)
    if arrays[0].shape != arrays[1].shape:
        raise stale(sides[1], card.name)
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
    kind: type[Metric], side: LoadedRun, task: str, pairs: Sequence[tuple[int, int]], number: int
) -> list[Any]:
    samples = _scored(side, task)
    field = "output" if kind.reads == "text" else "answer"
    return [_answer(samples[pair[number]].get(field)) for pair in pairs]


def _answer(value: Any) -> Any:
    """An answer as it was before it became JSON: lists are tuples again."""
    if isinstance(value, list):
        return tuple(tuple(item) if isinstance(item, list) else item for item in value)
    return value


def stale(side: LoadedRun, task: str) -> StoreError:
    """The error of statistics that do not belong to the samples beside them."""
    path = side.run.path
    return StoreError(
        f"{path}: statistics of {task} do not fit its samples; "
        f"`medinst-eval score {path}` writes both again"
    )
