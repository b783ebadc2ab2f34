"""Tables of summed statistics and their bootstrap."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

RESAMPLES = 10_000
"""Default number of resamples and of permutations."""
LEVEL = 0.05
"""Level of every test, and 1 minus the coverage of every interval."""
_CELLS = 1 << 14
"""Weights held at once. 128 KB of float64 stay in the processor's cache and below the size from
which the allocator fetches fresh pages for every array: half the time of chunks of megabytes."""


@dataclass(frozen=True)
class Table:
    """Statistics of one metric over the rows of one task.

    Attributes:
        stats: Shape (rows, k), one vector per row.
        score: Vectorised over leading axes: (..., k) -> (...); with `is_sum=False` it is given
            the rows themselves, (..., rows, k) -> (...).
        is_sum: False for metrics whose score is no function of summed statistics (Spearman).
    """

    stats: FloatArray
    score: Callable[[FloatArray], FloatArray]
    is_sum: bool = True

    def value(self) -> float:
        """Score of all rows."""
        return float(self.score(self.stats.sum(axis=0) if self.is_sum else self.stats))


def task_seed(seed: int, task: str) -> int:
    """A seed for one task: the first 8 bytes of SHA-256 over the run's seed and the task's name.

    Tasks thus get independent streams that do not depend on which other tasks are in the run.
    """
    digest = hashlib.sha256(f"{seed}\0{task}".encode()).digest()
    return int.from_bytes(digest[:8], "big")


def bootstrap(
    tables: Sequence[Table],
    *,
    clusters: IntArray | None = None,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> list[FloatArray]:
    """Scores of resampled rows, the same resamples for every table.

    Args:
        tables: Metrics (or runs) of one task; equal numbers of rows, at least one.
        clusters: Cluster number of every row, any integers; None: every row is its own. With m
            clusters, m clusters are drawn with replacement, each with all its rows.
        resamples: Number of resamples.
        seed: Seed of the generator (see `task_seed`).

    Returns:
        One array of shape (resamples,) per table. With one cluster every entry is the score.

    Raises:
        ValueError: No rows, or tables of different lengths.
    """
    rows = common_rows(tables)
    members = _members(clusters, rows)
    count = len(members)
    sums = _cluster_sums([t.stats for t in tables if t.is_sum], clusters, count)
    out = [np.empty(resamples) for _ in tables]
    rng = np.random.default_rng(seed)
    for start, stop in chunks(resamples, count):
        draws = rng.integers(0, count, size=(stop - start, count), dtype=np.int64)
        totals = _weights(draws) @ sums if sums.shape[1] else sums
        place = 0
        for table, scores in zip(tables, out, strict=True):
            if table.is_sum:
                width = table.stats.shape[1]
                scores[start:stop] = table.score(totals[:, place : place + width])
                place += width
            else:
                scores[start:stop] = _score_rows(table, draws, members)
    return out


def interval(scores: FloatArray, level: float = LEVEL) -> tuple[float, float]:
    """Percentile interval of resampled scores, covering 1 - `level` (95 %).

    A constant column gives an interval of that one value.

    Raises:
        ValueError: No scores.
    """
    if scores.size == 0:
        raise ValueError("interval of no scores")
    low, high = np.quantile(scores, [level / 2, 1 - level / 2])
    return float(low), float(high)


def stderr(scores: FloatArray) -> float:
    """Standard error: the standard deviation of the resampled scores (0 for a constant)."""
    return float(np.std(scores, ddof=1)) if scores.size > 1 else 0.0


def combined(scores: Sequence[FloatArray]) -> FloatArray:
    """Resampled mean over tasks: resamples of different tasks are independent (strata)."""
    return np.mean(np.stack(scores), axis=0) if scores else np.empty(0)


def common_rows(tables: Sequence[Table]) -> int:
    lengths = {len(t.stats) for t in tables}
    if len(lengths) != 1:
        raise ValueError(f"tables need equal numbers of rows, got {sorted(lengths) or 'none'}")
    rows = lengths.pop()
    if rows == 0:
        raise ValueError("no rows to resample")
    return rows


def _members(clusters: IntArray | None, rows: int) -> list[IntArray]:
    """Row numbers of every cluster, clusters in the order of their first row's number."""
    if clusters is None:
        return list(np.arange(rows, dtype=np.int64)[:, None])
    if len(clusters) != rows:
        raise ValueError(f"{len(clusters)} cluster numbers for {rows} rows")
    _, inverse, counts = np.unique(clusters, return_inverse=True, return_counts=True)
    order = np.argsort(inverse, kind="stable").astype(np.int64)
    return np.split(order, np.cumsum(counts)[:-1])


def _cluster_sums(stats: Sequence[FloatArray], clusters: IntArray | None, count: int) -> FloatArray:
    """All tables' statistics side by side, rows of a cluster summed: (clusters, all k)."""
    if not stats:
        return np.empty((count, 0))
    joined = np.concatenate([np.asarray(s, dtype=np.float64) for s in stats], axis=1)
    if clusters is None:
        return joined
    sums = np.zeros((count, joined.shape[1]))
    np.add.at(sums, np.unique(clusters, return_inverse=True)[1], joined)
    return sums


def chunks(total: int, width: int) -> Iterator[tuple[int, int]]:
    step = max(1, _CELLS // max(1, width))
    for start in range(0, total, step):
        yield start, min(total, start + step)


def _weights(draws: IntArray) -> FloatArray:
    """How often each cluster was drawn, per resample: (resamples, clusters)."""
    chunk, count = draws.shape
    flat = draws + np.arange(chunk, dtype=np.int64)[:, None] * count
    weights = np.bincount(flat.ravel(), minlength=chunk * count)
    return weights.reshape(chunk, count).astype(np.float64)


def _score_rows(table: Table, draws: IntArray, members: list[IntArray]) -> FloatArray:
    """Scores of a metric that needs the rows: resamples of equal length are scored together."""
    sizes = np.array([len(m) for m in members])
    starts = np.concatenate([[0], np.cumsum(sizes)[:-1]])
    order = np.concatenate(members)
    lengths = sizes[draws].sum(axis=1)
    out = np.empty(len(draws))
    for length in np.unique(lengths):
        which = np.flatnonzero(lengths == length)
        for begin, end in chunks(len(which), int(length) * table.stats.shape[1]):
            part = which[begin:end]
            drawn = draws[part].ravel()
            reps = sizes[drawn]
            inside = np.arange(reps.sum()) - np.repeat(np.cumsum(reps) - reps, reps)
            rows = order[np.repeat(starts[drawn], reps) + inside]
            out[part] = table.score(table.stats[rows].reshape(len(part), int(length), -1))
    return out
