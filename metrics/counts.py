"""True positives, false positives, false negatives: counted in multisets, scored from sums."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Iterable

import numpy as np

from medinst_eval.metrics.base import FloatArray, f1_from_counts, ratio


def multiset_counts(gold: Iterable[Hashable], answer: Iterable[Hashable]) -> tuple[int, int, int]:
    """(tp, fp, fn) of two multisets: each gold item is found at most as often as it occurs."""
    wanted, claimed = Counter(gold), Counter(answer)
    found = sum((wanted & claimed).values())
    return found, claimed.total() - found, wanted.total() - found


def multiset_f1(gold: Iterable[Hashable], answer: Iterable[Hashable]) -> float:
    """F1 of two multisets; 0 where they share nothing, also where both are empty."""
    tp, fp, fn = multiset_counts(gold, answer)
    return 2 * tp / (2 * tp + fp + fn) if tp else 0.0


def micro_f1(sums: FloatArray) -> FloatArray:
    """F1 of summed (tp, fp, fn), shape (..., 3) -> (...); 1 where all three are 0."""
    return f1_from_counts(sums[..., 0], sums[..., 1], sums[..., 2])


def micro_precision(sums: FloatArray) -> FloatArray:
    """tp / (tp + fp), shape (..., 3) -> (...).

    Nothing claimed: 0, or 1 where there was nothing to find either.
    """
    tp, fp, fn = sums[..., 0], sums[..., 1], sums[..., 2]
    return np.where(tp + fp + fn == 0, 1.0, ratio(tp, tp + fp))


def micro_recall(sums: FloatArray) -> FloatArray:
    """tp / (tp + fn), shape (..., 3) -> (...).

    Nothing to find: 0 where something was claimed, else 1.
    """
    tp, fp, fn = sums[..., 0], sums[..., 1], sums[..., 2]
    return np.where(tp + fp + fn == 0, 1.0, ratio(tp, tp + fn))


def macro_f1(sums: FloatArray) -> FloatArray:
    """Mean F1 over the labels with support, shape (..., labels * 3) -> (...).

    The statistics are tp, fp, fn of the first label, then of the second, and so on. A label
    without support (tp + fn = 0) in the sum has no say, so that a resample in which a rare label
    does not occur is scored like a data set without that label. No label with support: 0.
    """
    counts = sums.reshape(*sums.shape[:-1], sums.shape[-1] // 3, 3)
    tp, fp, fn = counts[..., 0], counts[..., 1], counts[..., 2]
    support = tp + fn > 0
    scores = np.where(support, f1_from_counts(tp, fp, fn), 0.0)
    return ratio(scores.sum(axis=-1), support.sum(axis=-1).astype(np.float64))
