"""Averages of headline scores: by category, by level, overall."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from medinst_eval import metrics
from medinst_eval.scoring import TaskScores, with_interval
from medinst_eval.tasks.card import TaskCard
from medinst_eval.types import MetricScore


@dataclass(frozen=True, kw_only=True)
class Average:
    """Mean of the headline scores of several tasks."""

    score: MetricScore
    tasks: tuple[str, ...]
    left_out: tuple[str, ...]
    """Tasks of the group without a value, or whose headline is an error measure."""
    of: int
    """Number of tasks that the full benchmark has in this group."""


def headline(card: TaskCard, which: str) -> str | None:
    """Name of the paper's or the standard headline metric of a task."""
    names = card.metrics.paper if which == "paper" else card.metrics.standard
    return names[0] if names else None


def average(
    tasks: Sequence[TaskScores], which: str, *, of: Sequence[TaskCard], alone: bool = False
) -> Average | None:
    """Mean over tasks, resampled task by task (a stratified bootstrap).

    Args:
        tasks: Tasks that were scored.
        which: `paper` or `standard`.
        of: All tasks of the group in the full benchmark.
        alone: Average error measures (BIOSSES's MSE) too: right only where all are errors.
    """

    def counts(card: TaskCard) -> bool:
        name = headline(card, which)
        return name is not None and (alone or metrics.get(name).higher_is_better)

    used, left_out, values, draws, higher = [], [], [], [], True
    for task in tasks:
        name = headline(task.card, which)
        if name is None:
            continue
        score = task.scores[name]
        if not counts(task.card) or score.value is None:
            left_out.append(task.card.name)
            continue
        used.append(task.card.name)
        values.append(score.value)
        draws.append(task.resampled[name])
        higher = score.higher_is_better
    expected = sum(counts(card) for card in of)
    if not used:
        if not left_out:
            return None
        score = MetricScore(value=None, reason=f"no score for {', '.join(left_out)}")
        return Average(score=score, tasks=(), left_out=tuple(left_out), of=expected)
    mean = with_interval(
        float(np.mean(values)), np.mean(draws, axis=0), higher=higher,
        signature=f"mean of {len(used)} headline scores|stratified bootstrap",
    )  # fmt: skip
    return Average(score=mean, tasks=tuple(used), left_out=tuple(left_out), of=expected)


def pooled(tasks: Sequence[TaskScores]) -> Average | None:
    """Accuracy over the questions of all tasks together, as in the paper's MMLU table.

    Tasks weigh by their number of questions, where `average` weighs all tasks alike; the interval
    is stratified by task. None where not every task is scored by accuracy.
    """
    names = {headline(task.card, "standard") for task in tasks}
    if names != {"accuracy"} or not all(task.scored for task in tasks):
        return None
    weights = np.array([len(task.scored) for task in tasks], dtype=np.float64)
    values = [task.scores["accuracy"].value or 0.0 for task in tasks]
    draws = np.stack([task.resampled["accuracy"] for task in tasks])
    score = with_interval(
        float(np.average(values, weights=weights)),
        np.average(draws, axis=0, weights=weights),
        higher=True,
        signature=f"accuracy pooled over {int(weights.sum())} questions|stratified bootstrap",
    )
    done = tuple(task.card.name for task in tasks)
    return Average(score=score, tasks=done, left_out=(), of=len(done))
