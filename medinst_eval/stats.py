"""Bootstrap, paired tests and corrections on summed statistics; numpy only.

Everything works on tables of per-row statistics (`metrics.base`): a resample of the rows is a
vector of integer weights, so that 10,000 resamples of a score are one matrix product, and two
runs are compared by giving both the same weights. Rows of one document (a cluster) are summed
first and move together.

All draws come from numpy's PCG64 seeded by `seed`; the stream does not depend on the size of the
chunks the work is cut into, so that a result is a function of the statistics, the clusters, the
number of resamples and the seed alone.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from math import exp, lgamma, log, sqrt
from statistics import NormalDist

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]
BoolArray = npt.NDArray[np.bool_]

RESAMPLES = 10_000
"""Default number of resamples and of permutations."""
LEVEL = 0.05
"""Level of every test, and 1 minus the coverage of every interval."""
POWER = 0.8
"""Power at which a detectable difference is stated."""
EXACT_CLUSTERS = 13
"""Up to so many differing clusters all 2^m swaps are enumerated instead of drawn."""
_CELLS = 1 << 20
"""Weights held at once: 8 MB of float64, so that a chunk stays near the processor."""


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
    rows = _common_rows(tables)
    members = _members(clusters, rows)
    count = len(members)
    sums, widths = _cluster_sums([t.stats for t in tables if t.is_sum], clusters, count)
    out = [np.empty(resamples) for _ in tables]
    rng = np.random.default_rng(seed)
    for start, stop in _chunks(resamples, count):
        draws = rng.integers(0, count, size=(stop - start, count), dtype=np.int64)
        totals = _weights(draws) @ sums if widths else None
        place = 0
        for table, scores in zip(tables, out, strict=True):
            if table.is_sum:
                assert totals is not None
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


@dataclass(frozen=True, kw_only=True)
class Permutation:
    """A paired permutation test.

    Attributes:
        difference: Observed score of the second table minus that of the first.
        p_value: Two-sided.
        permuted: Differences under random swaps, shape (permutations,); averaged over tasks they
            test a category or the whole benchmark.
        exact: All swaps were enumerated.
    """

    difference: float
    p_value: float
    permuted: FloatArray
    exact: bool


def permutation_test(
    base: Table,
    new: Table,
    *,
    clusters: IntArray | None = None,
    permutations: int = RESAMPLES,
    seed: int = 0,
) -> Permutation:
    """Paired permutation test: under the null hypothesis a cluster's two outputs may be swapped.

    Each permutation swaps whole clusters between the two runs with probability 1/2 and scores
    both again. Only clusters that differ can change anything, so only they are swapped; where
    there are at most `EXACT_CLUSTERS` of them the p-value is exact, else it is
    (1 + hits) / (1 + permutations), which is never 0 (Phipson and Smyth, 2010).

    Raises:
        ValueError: No rows, or tables that differ in rows, statistics or kind.
    """
    rows = _common_rows([base, new])
    if base.stats.shape != new.stats.shape or base.is_sum != new.is_sum:
        raise ValueError("a paired test needs two tables of the same metric and rows")
    ids = np.arange(rows) if clusters is None else np.unique(clusters, return_inverse=True)[1]
    differs = np.zeros(int(ids.max()) + 1, dtype=bool)
    np.logical_or.at(differs, ids, (base.stats != new.stats).any(axis=1))
    observed = new.value() - base.value()
    moving = int(differs.sum())
    if moving == 0:
        return Permutation(
            difference=observed, p_value=1.0, permuted=np.zeros(permutations), exact=True
        )
    column = np.where(differs, np.cumsum(differs) - 1, -1)[ids]
    swap = _swapper(base, new, column, moving)
    width = moving if base.is_sum else base.stats.size
    rng = np.random.default_rng(seed)
    permuted = np.concatenate(
        [swap(_coins(rng, stop - start, moving)) for start, stop in _chunks(permutations, width)]
    )
    exact = moving <= EXACT_CLUSTERS
    if exact:
        codes = (np.arange(1 << moving)[:, None] >> np.arange(moving) & 1).astype(np.float64)
        every = [swap(codes[start:stop]) for start, stop in _chunks(len(codes), width)]
        p_value = float(np.mean(_as_extreme(np.concatenate(every), observed)))
    else:
        p_value = monte_carlo_p(permuted, observed)
    return Permutation(difference=observed, p_value=p_value, permuted=permuted, exact=exact)


def monte_carlo_p(permuted: FloatArray, observed: float) -> float:
    """Two-sided p-value of an observed difference among permuted ones, never 0."""
    hits = int(np.count_nonzero(_as_extreme(permuted, observed)))
    return (1 + hits) / (1 + permuted.size)


def mcnemar(only_base: int, only_new: int) -> float:
    """Exact two-sided McNemar test: a binomial test of the discordant pairs against 1/2.

    Args:
        only_base: Rows that only the first run got right.
        only_new: Rows that only the second run got right.
    """
    n, k = only_base + only_new, min(only_base, only_new)
    if only_base == only_new:
        return 1.0
    tail = sum(
        exp(lgamma(n + 1) - lgamma(i + 1) - lgamma(n - i + 1) - n * log(2)) for i in range(k + 1)
    )
    return min(1.0, 2 * tail)


def holm(p_values: Sequence[float]) -> list[float]:
    """Holm's step-down correction: the chance of any false alarm stays below the level."""
    order = np.argsort(p_values, kind="stable")
    out = np.empty(len(p_values))
    running = 0.0
    for rank, index in enumerate(order):
        running = max(running, min(1.0, (len(p_values) - rank) * p_values[index]))
        out[index] = running
    return [float(p) for p in out]


def benjamini_hochberg(p_values: Sequence[float]) -> list[float]:
    """Benjamini and Hochberg's step-up correction: the expected share of false alarms."""
    order = np.argsort(p_values, kind="stable")[::-1]
    out = np.empty(len(p_values))
    running = 1.0
    for back, index in enumerate(order):
        running = min(running, p_values[index] * len(p_values) / (len(p_values) - back))
        out[index] = running
    return [float(p) for p in out]


def detectable(se: float, *, level: float = LEVEL, power: float = POWER) -> float:
    """Smallest true difference that a two-sided test finds with this power: (1.96 + 0.84) se.

    Args:
        se: Standard error of the paired difference.
        level: Level of the test, before any correction.
        power: Chance of finding the difference.
    """
    normal = NormalDist()
    return (normal.inv_cdf(1 - level / 2) + normal.inv_cdf(power)) * se


def combined(scores: Sequence[FloatArray]) -> FloatArray:
    """Resampled mean over tasks: resamples of different tasks are independent (strata)."""
    return np.mean(np.stack(scores), axis=0) if scores else np.empty(0)


def independent_p(difference: float, se: float) -> float:
    """Two-sided normal p-value of a difference with this standard error (1 where both are 0)."""
    if se == 0:
        return 1.0 if difference == 0 else 0.0
    return 2 * NormalDist().cdf(-abs(difference) / se)


def proportion_stderr(share: float, n: int) -> float:
    """Closed form for a share of n independent rows: sqrt(p (1 - p) / n)."""
    return sqrt(share * (1 - share) / n)


def _common_rows(tables: Sequence[Table]) -> int:
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


def _cluster_sums(
    stats: Sequence[FloatArray], clusters: IntArray | None, count: int
) -> tuple[FloatArray, int]:
    """All tables' statistics side by side, rows of a cluster summed: (clusters, all k)."""
    if not stats:
        return np.empty((count, 0)), 0
    joined = np.concatenate([np.asarray(s, dtype=np.float64) for s in stats], axis=1)
    if clusters is None:
        return joined, joined.shape[1]
    sums = np.zeros((count, joined.shape[1]))
    np.add.at(sums, np.unique(clusters, return_inverse=True)[1], joined)
    return sums, joined.shape[1]


def _chunks(total: int, width: int) -> Iterator[tuple[int, int]]:
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
        for begin, end in _chunks(len(which), int(length) * table.stats.shape[1]):
            part = which[begin:end]
            drawn = draws[part].ravel()
            reps = sizes[drawn]
            inside = np.arange(reps.sum()) - np.repeat(np.cumsum(reps) - reps, reps)
            rows = order[np.repeat(starts[drawn], reps) + inside]
            out[part] = table.score(table.stats[rows].reshape(len(part), int(length), -1))
    return out


def _coins(rng: np.random.Generator, count: int, width: int) -> FloatArray:
    """Fair coins (count, width) of 0 and 1.

    Each line takes whole 4-byte words of the stream, so that chunks do not shift it.
    """
    line = -(-width // 32) * 4
    raw = np.frombuffer(rng.bytes(count * line), dtype=np.uint8).reshape(count, line)
    return np.unpackbits(raw, axis=1, count=width).astype(np.float64)


def _swapper(
    base: Table, new: Table, column: IntArray, moving: int
) -> Callable[[FloatArray], FloatArray]:
    """A function from swaps (permutations, moving clusters) to differences of scores.

    `column` holds each row's position among the moving clusters, -1 where it never moves.
    """
    if base.is_sum:
        first, second = base.stats.sum(axis=0), new.stats.sum(axis=0)
        shift = np.zeros((moving, base.stats.shape[1]))
        live = column >= 0
        np.add.at(shift, column[live], (new.stats - base.stats)[live])

        def by_sums(swaps: FloatArray) -> FloatArray:
            moved = swaps @ shift
            return np.asarray(base.score(second - moved) - base.score(first + moved))

        return by_sums

    def by_rows(swaps: FloatArray) -> FloatArray:
        mask = np.where(column >= 0, swaps[:, column], 0.0).astype(bool)[:, :, None]
        first = base.score(np.where(mask, new.stats, base.stats))
        return np.asarray(base.score(np.where(mask, base.stats, new.stats)) - first)

    return by_rows


def _as_extreme(permuted: FloatArray, observed: float) -> BoolArray:
    """Equal differences reached by another order of summation count as equal."""
    return np.asarray(np.abs(permuted) >= abs(observed) - 1e-9 * max(1.0, abs(observed)))
