"""Rows whose answer got worse or better from one run to the other."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from medinst_eval.compare.analysis import MetricSet
from medinst_eval.compare.pairing import PairedTask
from medinst_eval.compare.sides import LoadedRun


@dataclass(frozen=True, kw_only=True)
class Flip:
    """One row that changed.

    Attributes:
        metric: The per-row metric by which it was judged.
        gain: Change of the row's score, positive where the new run is better; errors as a share
            of the task's largest. 0 where only the form of the answer was lost or found.
    """

    task: str
    id: str
    metric: str
    gain: float
    before: float | None
    """The row's score in the base run; None where it has none."""
    after: float | None
    base: Mapping[str, Any]
    """The base's line of `samples.jsonl`."""
    new: Mapping[str, Any]

    @property
    def form(self) -> int:
        """-1: answered in form by the base only; 1: by the new run only; 0: no change."""
        return int(self.new["status"] == "ok") - int(self.base["status"] == "ok")

    @property
    def worse(self) -> bool:
        """Lower score, or an answer no longer in form with an equal score."""
        return (self.gain, self.form) < (0, 0)


def flips(
    task: PairedTask, base: LoadedRun, new: LoadedRun, which: MetricSet = "standard"
) -> list[Flip]:
    """Changed rows of a task, worst first, best last.

    Rows are judged by the headline metric where it is meaningful for a single row, else by the
    task's first metric that is. A row that only one run answered counts by its form alone.
    """
    card = task.card
    metric = _row_metric(task, base, new, which)
    pair = task.metrics.get(metric) if metric else None
    sign = 1.0 if pair is None or pair.higher_is_better else -1.0
    rows = [(base.samples[card.name][i], new.samples[card.name][j]) for i, j in task.rows]
    values = [(_value(old, metric), _value(now, metric)) for old, now in rows]
    largest = max((v for pair in values for v in pair if v is not None), default=1.0)
    span = largest if sign < 0 < largest else 1.0
    found = []
    for (old, now), (before, after) in zip(rows, values, strict=True):
        gain = 0.0 if before is None or after is None else sign * (after - before) / span
        flip = Flip(
            task=card.name, id=old["id"], metric=metric or "", gain=gain,
            before=before, after=after, base=old, new=now,
        )  # fmt: skip
        if gain or flip.form:
            found.append(flip)
    return sorted(found, key=worst_first)


def worst_first(flip: Flip) -> tuple[float, int, str]:
    """Sort key: largest loss first, then lost forms, best last."""
    return flip.gain, flip.form, flip.id


def _row_metric(task: PairedTask, base: LoadedRun, new: LoadedRun, which: MetricSet) -> str | None:
    names = task.card.metrics
    order = (names.paper, names.standard) if which == "paper" else (names.standard, names.paper)
    for name in (*order[0], *order[1]):
        if name in task.metrics and _has_values(task, base, new, name):
            return name
    return None


def _has_values(task: PairedTask, base: LoadedRun, new: LoadedRun, name: str) -> bool:
    for side, number in ((base, 0), (new, 1)):
        samples = side.samples[task.card.name]
        scored = (samples[pair[number]] for pair in task.rows)
        first = next((s for s in scored if s["status"] != "error"), None)
        if first is None or name not in first.get("metrics", {}):
            return False
    return True


def _value(sample: Mapping[str, Any], metric: str | None) -> float | None:
    if metric is None:
        return None
    value = sample.get("metrics", {}).get(metric)
    return None if value is None else float(value)
