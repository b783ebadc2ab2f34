"""Two runs, row by row: which rows are the same, and their statistics side by side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from medinst_eval.compare.checks import Difference
from medinst_eval.compare.sides import LoadedRun, PairedMetric, pair_metric, stale, unpairable
from medinst_eval.stats import IntArray
from medinst_eval.store import FinishedRun
from medinst_eval.tasks.card import TaskCard

_LABEL_FORMS = ("word_labels", "label", "labels")
ROWS = "rows"
"""Field of a difference in which rows there are: explained by `limit` or else by `data`."""
FAILURES = ("unparsed", "empty", "truncated", "error")
"""Statuses of a row that was not answered in form."""


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
        why = unpairable(name, metric, base, new)
        if why is not None:
            left_out[metric] = why[0]
            if why[1]:
                differences.append(Difference(field="metrics", what=f"{name}: {why[0]}"))
            continue
        positions = None if whole or card.form not in _LABEL_FORMS else both
        pair = pair_metric(card, metric, (base, new), both, positions, options)
        if isinstance(pair, str):
            left_out[metric] = pair
        else:
            found[metric] = pair
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
        raise stale(side, task)
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
