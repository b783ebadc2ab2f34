"""Metrics of doses: statistics of a row that add up, and a score of their sum."""

from __future__ import annotations

from collections.abc import Sequence

from medinst_eval.metrics import Metric
from medinst_eval.metrics.base import FloatArray, ratio


class DoseAccuracy(Metric):
    """Share of rows with the right dose."""

    name = "dose_accuracy"
    forms = ("dose",)

    def sample_stats(self, gold: object, answer: object) -> Sequence[float]:
        """(right, 1); a row without an answer is wrong."""
        return (float(answer == gold), 1.0)

    def score(self, sums: FloatArray) -> FloatArray:
        """Right rows / rows."""
        return ratio(sums[..., 0], sums[..., 1])

    @property
    def signature(self) -> str:
        """Everything that can change the number."""
        return f"metric:{self.name}|unit:mg|v:1"


class DoseError(DoseAccuracy):
    """How far off the doses are: mean of |answer - gold| / gold, at most 1 for a row."""

    name = "dose_error"
    higher_is_better = False

    def sample_stats(self, gold: object, answer: object) -> Sequence[float]:
        """(relative error, 1); a row without an answer is wholly off."""
        if not isinstance(gold, float) or not isinstance(answer, float) or gold == 0:
            return (float(answer != gold), 1.0)
        return (min(1.0, abs(answer - gold) / gold), 1.0)
