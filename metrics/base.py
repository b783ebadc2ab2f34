"""The contract of every metric: statistics per sample, and a score of their sum.

A metric turns one (gold, answer) pair into a short vector (`sample_stats`) and a *summed* vector
into a score (`score`). Everything asked later of a run (interval, comparison, merging shards)
works on those vectors and never on the texts again.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

import numpy as np
import numpy.typing as npt

from medinst_eval.types import Answer, Form

FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class MetricContext:
    """What a metric needs to know of the task before it sees rows."""

    form: Form
    golds: Sequence[Answer] = ()
    """Parsed golds of all rows, or gold texts for metrics that read text; fixes label order."""
    labels: tuple[str, ...] = ()
    """The closed label set of the task, if any."""
    scale: tuple[float, float] | None = None
    options: Mapping[str, Any] = field(default_factory=dict)
    """Settings of the run that change a number, e.g. `bertscore_model`."""


class Metric(ABC):
    """One metric, bound to a task by a `MetricContext`.

    Attributes:
        name: Name in files and tables (a stable contract).
        higher_is_better: Direction.
        bounds: Lowest and highest possible value.
        reads: `"text"`: gold and answer are raw strings (the answer is `""` for an empty or
            truncated output). `"answer"`: both are parsed; the answer is None where the output
            was empty, unparsed or truncated, and counts as wrong.
        is_sum: False for metrics whose score is not a function of summed statistics (Spearman):
            `score` is then given the rows themselves, shape (..., rows, stats).
        per_row: True where `score` of a single row is meaningful on its own and shown per sample.
        forms: Answer forms the metric applies to; empty: any.
        citation: BibTeX of the work to cite, where there is one.
    """

    name: ClassVar[str]
    higher_is_better: ClassVar[bool] = True
    bounds: ClassVar[tuple[float, float]] = (0.0, 1.0)
    reads: ClassVar[Literal["text", "answer"]] = "answer"
    is_sum: ClassVar[bool] = True
    per_row: ClassVar[bool] = True
    forms: ClassVar[tuple[Form, ...]] = ()
    citation: ClassVar[str] = ""

    def __init__(self, context: MetricContext) -> None:
        self.context = context

    @abstractmethod
    def sample_stats(self, gold: Any, answer: Any) -> Sequence[float]:
        """Statistics of one row; the same length for every row of a task."""

    def batch_stats(self, golds: Sequence[Any], answers: Sequence[Any]) -> FloatArray:
        """Statistics of many rows, shape (rows, stats). Override where a batch is cheaper."""
        rows = [self.sample_stats(g, a) for g, a in zip(golds, answers, strict=True)]
        return np.asarray(rows, dtype=np.float64).reshape(len(rows), -1)

    @abstractmethod
    def score(self, sums: FloatArray) -> FloatArray:
        """Scores of summed statistics, shape (..., stats) -> (...); never NaN."""

    @property
    @abstractmethod
    def signature(self) -> str:
        """Ordered `key:value|key:value` of everything that can change the number."""


class MetricUnavailable(Exception):  # noqa: N818 - a state of this machine, not a mistake
    """A metric cannot be computed here; the text says why and what to do.

    Scoring turns it into a `null` value with that reason; it never fails a run.
    """


def ratio(numerator: FloatArray, denominator: FloatArray, *, empty: float = 0.0) -> FloatArray:
    """Element-wise quotient with a defined answer, `empty`, where the denominator is 0."""
    safe = np.where(denominator == 0, 1.0, denominator)
    return np.where(denominator == 0, empty, numerator / safe)


def f1_from_counts(tp: FloatArray, fp: FloatArray, fn: FloatArray) -> FloatArray:
    """F1 = 2 tp / (2 tp + fp + fn); 1 where there was nothing to find and nothing was claimed."""
    return ratio(2 * tp, 2 * tp + fp + fn, empty=1.0)
