"""Metrics that are the mean of one value per row: statistics (value, 1)."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import Any

from medinst_eval.metrics.base import FloatArray, Metric, ratio


class MeanMetric(Metric):
    """Base of the means: a subclass gives the value of a row."""

    @abstractmethod
    def value(self, gold: Any, answer: Any) -> float:
        """The value of one row."""

    def sample_stats(self, gold: Any, answer: Any) -> Sequence[float]:
        """(value, 1)."""
        return (self.value(gold, answer), 1.0)

    def score(self, sums: FloatArray) -> FloatArray:
        """Sum of values / rows, shape (..., 2) -> (...); 0 without rows."""
        return ratio(sums[..., 0], sums[..., 1])
