"""What a page shows, as plain values: no reading of files here, and no HTML."""

from __future__ import annotations

from dataclasses import dataclass

from medinst_eval.report.breakdown import Confusion, Scatter, TypeRow
from medinst_eval.report.reference import Reference
from medinst_eval.report.samples import TaskSamples

SETS = ("paper", "standard")
FAILURES = ("unparsed", "empty", "truncated", "n_errors")
LETTERS = "ABCDEFGH"


@dataclass(frozen=True, kw_only=True)
class Score:
    """A score as it is shown: x100, except error measures."""

    metric: str
    value: float | None
    low: float | None = None
    high: float | None = None
    higher_is_better: bool = True
    reason: str = ""
    signature: str = ""
    tasks: int = 0
    """For averages: how many tasks stand behind the value."""
    of: int = 0
    """For averages: how many the full benchmark has."""

    @property
    def scaled(self) -> bool:
        """Whether the value lies on the 0 to 100 scale of the charts."""
        return self.higher_is_better


@dataclass(frozen=True, kw_only=True)
class RunFacts:
    """One run as the head of the page shows it."""

    letter: str
    name: str
    model: str
    shots: int | None
    layout: str
    source: str
    complete: bool
    overall: dict[str, Score | None]
    """By metric set; `pooled` is the mean over all rows, where the suite has one."""
    counts: dict[str, int]
    """n, n_scored and the failures, summed over tasks."""
    n_tasks: int
    absent: tuple[str, ...]
    warnings: tuple[str, ...]
    settings: dict[str, str]
    """The manifest and the timing as `a.b.c` -> value."""


@dataclass(frozen=True, kw_only=True)
class ChartRow:
    """One line of a chart: a category, a task or the average."""

    name: str
    note: str
    scores: tuple[Score | None, ...]
    """One per run."""
    published: tuple[tuple[str, float], ...] = ()
    """(model, value x100) over the same tasks."""
    strong: bool = False

    @property
    def scaled(self) -> bool:
        """Whether the row has its place on the 0 to 100 axis."""
        return all(score is None or score.scaled for score in self.scores)


@dataclass(frozen=True, kw_only=True)
class TaskRun:
    """One task of one run."""

    n: int
    n_scored: int
    failures: dict[str, int]
    headline: dict[str, Score | None]
    metrics: tuple[Score, ...]
    warnings: tuple[str, ...]
    confusion: Confusion | None = None
    types: tuple[TypeRow, ...] = ()
    scatter: Scatter | None = None

    @property
    def failed(self) -> int:
        """Samples without a usable answer, errors included."""
        return sum(self.failures.values())


@dataclass(frozen=True, kw_only=True)
class TaskView:
    """One task over all runs."""

    name: str
    title: str
    category: str
    level: int | None
    runs: tuple[TaskRun | None, ...]
    behind: dict[str, tuple[tuple[str, float], ...]]
    """Published (model, score x100) by metric set; none where the scale is not 0 to 100."""
    printed: tuple[tuple[str, str], ...]
    """Published (model, digits as printed)."""
    samples: TaskSamples


@dataclass(frozen=True, kw_only=True)
class ReportData:
    """Everything a page shows."""

    runs: tuple[RunFacts, ...]
    tasks: tuple[TaskView, ...]
    charts: dict[str, tuple[ChartRow, ...]]
    """By metric set."""
    reference: Reference

    @property
    def settings(self) -> list[tuple[str, list[str]]]:
        """(name, one value per run), in the order of the manifest."""
        names = dict.fromkeys(name for run in self.runs for name in run.settings)
        return [(name, [run.settings.get(name, "–") for run in self.runs]) for name in names]

    @property
    def sets(self) -> tuple[str, ...]:
        """The metric sets that these tasks have."""
        return tuple(self.charts)


def headlines(task: TaskView, which: str) -> list[Score | None]:
    """Headline scores of a task, one per run."""
    return [run.headline[which] if run else None for run in task.runs]
