"""Paired tests of two runs on the same rows."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import exp, lgamma, log
from statistics import NormalDist

import numpy as np
import numpy.typing as npt

from medinst_eval.stats.resampling import (
    LEVEL,
    RESAMPLES,
    FloatArray,
    IntArray,
    Table,
    chunks,
    common_rows,
)

POWER = 0.8
"""Power at which a detectable difference is stated."""
EXACT_CLUSTERS = 13
"""Up to so many differing clusters all 2^m swaps are enumerated instead of drawn."""


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
    rows = common_rows([base, new])
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
        [swap(_coins(rng, stop - start, moving)) for start, stop in chunks(permutations, width)]
    )
    exact = moving <= EXACT_CLUSTERS
    if exact:
        codes = (np.arange(1 << moving)[:, None] >> np.arange(moving) & 1).astype(np.float64)
        every = [swap(codes[start:stop]) for start, stop in chunks(len(codes), width)]
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


def detectable(se: float, *, level: float = LEVEL, power: float = POWER) -> float:
    """Smallest true difference that a two-sided test finds with this power: (1.96 + 0.84) se.

    Args:
        se: Standard error of the paired difference.
        level: Level of the test, before any correction.
        power: Chance of finding the difference.
    """
    normal = NormalDist()
    return (normal.inv_cdf(1 - level / 2) + normal.inv_cdf(power)) * se


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


def _as_extreme(permuted: FloatArray, observed: float) -> npt.NDArray[np.bool_]:
    """Equal differences reached by another order of summation count as equal."""
    return np.asarray(np.abs(permuted) >= abs(observed) - 1e-9 * max(1.0, abs(observed)))
