"""Metrics of answers that are numbers on a scale."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from medinst_eval.metrics.base import FloatArray, Metric, MetricContext, ratio
from medinst_eval.metrics.means import MeanMetric
from medinst_eval.metrics.signature import sign

_FLAT = 1e-12
"""Share of its sum of squares below which a column's variance is rounding error."""

_RANK_CELLS = 1 << 20
"""Numbers ranked at once, so that ten thousand resamples stay within some tens of megabytes."""


def _scale(context: MetricContext) -> tuple[float, float]:
    """The scale of the task; where the card gives none, the range of its golds."""
    if context.scale is not None:
        return context.scale
    golds = [float(gold) for gold in context.golds if isinstance(gold, int | float)]
    return (min(golds), max(golds)) if golds else (0.0, 1.0)


def _correlation(
    rows: FloatArray, x: FloatArray, y: FloatArray, xx: FloatArray, yy: FloatArray, xy: FloatArray
) -> FloatArray:
    """Pearson's r of sums; 0 where a column does not vary."""
    spread_x, spread_y = rows * xx - x * x, rows * yy - y * y
    flat = (spread_x <= _FLAT * rows * xx) | (spread_y <= _FLAT * rows * yy)
    # The root of the product and not the product of roots: the former gives equal columns 1.0.
    product = np.sqrt(np.where(flat, 1.0, spread_x * spread_y))
    return np.clip(np.where(flat, 0.0, (rows * xy - x * y) / product), -1.0, 1.0)


class _Correlation(Metric):
    """Shared by the correlations: no answer enters as the middle of the scale."""

    forms = ("number",)
    bounds = (-1.0, 1.0)
    per_row = False

    def __init__(self, context: MetricContext) -> None:
        super().__init__(context)
        low, high = _scale(context)
        self._middle = (low + high) / 2

    def _pair(self, gold: float, answer: float | None) -> tuple[float, float]:
        """Gold and answer, counted from the middle of the scale."""
        return gold - self._middle, 0.0 if answer is None else answer - self._middle

    @property
    def signature(self) -> str:
        """Scale and what no answer counts as."""
        low, high = _scale(self.context)
        return sign(self.name, ("scale", f"{low:g}-{high:g}"), ("unparsed", f"{self._middle:g}"))


class Pearson(_Correlation):
    """Linear correlation of answers and golds.

    Formula:
        r = (n Σxy - Σx Σy) / √((n Σx² - (Σx)²)(n Σy² - (Σy)²)), x and y counted from the middle
        of the scale; 0 where either column does not vary.
    Matching:
        The parsed number. No answer enters as the middle of the scale: it carries no
        information, and a model cannot gain by refusing the rows it finds hard.
    Trap:
        Shift and stretch do not show: answers of 3, 4, 5 for golds of 0, 2, 4 correlate
        perfectly. Read `mse` beside it.
    Differs:
        `paper_mse` measures the error, in whole numbers only.
    Source:
        SciPy's `pearsonr`.
    """

    name = "pearson"

    def sample_stats(self, gold: float, answer: float | None) -> Sequence[float]:
        """(1, x, y, xy, x², y²)."""
        x, y = self._pair(gold, answer)
        return (1.0, x, y, x * y, x * x, y * y)

    def score(self, sums: FloatArray) -> FloatArray:
        """r, shape (..., 6) -> (...)."""
        rows, x, y, xy, xx, yy = np.moveaxis(sums, -1, 0)
        return _correlation(rows, x, y, xx, yy, xy)


class Spearman(_Correlation):
    """Correlation of the ranks of answers and golds.

    Formula:
        Pearson's r of the ranks, ties given their mean rank; 0 where either column does not vary.
    Matching:
        The parsed number. No answer enters as the middle of the scale.
    Trap:
        No sum: it is recomputed on the rows of every resample. On a scale of six numbers most
        ranks are ties.
    Differs:
        The paper reports no correlation.
    Source:
        SciPy's `spearmanr`.
    """

    name = "spearman"
    is_sum = False

    def sample_stats(self, gold: float, answer: float | None) -> Sequence[float]:
        """(x, y)."""
        return self._pair(gold, answer)

    def score(self, sums: FloatArray) -> FloatArray:
        """Rank correlation of the rows themselves, shape (..., rows, 2) -> (...)."""
        rows = sums.shape[-2]
        if rows < 2:
            return np.zeros(sums.shape[:-2])
        flat = sums.reshape(-1, rows, 2)
        step = max(1, _RANK_CELLS // (2 * rows))
        parts = [_rank_correlation(flat[at : at + step]) for at in range(0, len(flat), step)]
        scores: FloatArray = np.concatenate([np.empty(0), *parts])
        return scores.reshape(sums.shape[:-2])


def _rank_correlation(columns: FloatArray) -> FloatArray:
    """Spearman's rho, shape (sets, rows, 2) -> (sets,)."""
    from scipy.stats import rankdata

    ranks = rankdata(columns, axis=1)
    centred: FloatArray = ranks - (columns.shape[1] + 1) / 2
    x, y = centred[..., 0], centred[..., 1]
    xx, yy, xy = (x * x).sum(axis=1), (y * y).sum(axis=1), (x * y).sum(axis=1)
    return np.clip(ratio(xy, np.sqrt(xx * yy)), -1.0, 1.0)


class Mse(MeanMetric):
    """Mean squared error of answers against golds.

    Formula:
        Mean over rows of (answer - gold)².
    Matching:
        The parsed number, decimals kept. No answer counts as the end of the scale farther from
        the gold: the worst answer there is.
    Trap:
        Lower is better. Answers outside the scale are errors like any others and may cost more
        than no answer.
    Differs:
        `paper_mse` costs 25 for "3.5" and "3 out of 5", and 25 for no answer whatever the gold.
    Source:
        scikit-learn's `mean_squared_error`.
    """

    name = "mse"
    forms = ("number",)
    higher_is_better = False
    bounds = (0.0, float("inf"))

    def __init__(self, context: MetricContext) -> None:
        super().__init__(context)
        self._low, self._high = _scale(context)

    def value(self, gold: float, answer: float | None) -> float:
        """Squared error of one row."""
        if answer is None:
            return max((gold - self._low) ** 2, (self._high - gold) ** 2)
        return (answer - gold) ** 2

    @property
    def signature(self) -> str:
        """Scale and what no answer counts as."""
        pairs = (("scale", f"{self._low:g}-{self._high:g}"), ("unparsed", "farther-end"))
        return sign(self.name, *pairs)


__all__ = ["Mse", "Pearson", "Spearman"]
