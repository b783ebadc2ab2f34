"""Scores as files: `results.json`, `samples.jsonl` and the statistics of `stats.npz`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from medinst_eval.averages import Average, average, headline, pooled
from medinst_eval.scoring import ScoredRow, TaskScores
from medinst_eval.suites import MMLU_MEDICINE, is_own
from medinst_eval.tasks import OWN_SUITE
from medinst_eval.tasks.card import TaskCard
from medinst_eval.types import Answer, MetricScore

SCHEMA_VERSION = 1
SETS = ("paper", "standard")


@dataclass(frozen=True, kw_only=True)
class RunFacts:
    """What `results.json` says of a run beside its scores."""

    run: str
    model: str
    shots: int
    suite: str
    absent: tuple[str, ...] = ()
    timing: Mapping[str, float] | None = None
    warnings: tuple[str, ...] = ()


def results(facts: RunFacts, tasks: Sequence[TaskScores], cards: Sequence[TaskCard]) -> Any:
    """The content of `results.json`; tasks of one's own are in no average of a benchmark.

    Args:
        facts: The run.
        tasks: Scored tasks.
        cards: All tasks of the suite, for "29 of 32 tasks".
    """
    everything = facts.suite == OWN_SUITE
    of = [card for card in cards if everything or not is_own(card)]
    averaged = [task for task in tasks if everything or not is_own(task.card)]
    categories = {}
    for group in dict.fromkeys(card.category for card in of):
        members = [task for task in averaged if task.card.category == group]
        if members:
            categories[group] = _averages(members, [c for c in of if c.category == group])
    overall = _averages(averaged, of, alone=False)
    if facts.suite == MMLU_MEDICINE and (together := pooled(averaged)) is not None:
        overall["pooled"] = _average(together)
    return {
        "schema_version": SCHEMA_VERSION,
        "run": facts.run,
        "model": facts.model,
        "shots": facts.shots,
        "suite": facts.suite,
        "complete": all(not task.count("error") for task in tasks) and bool(tasks),
        "absent": list(facts.absent),
        "warnings": list(facts.warnings),
        "tasks": {task.card.name: _task(task) for task in tasks},
        "categories": categories,
        "overall": overall,
        "timing": dict(facts.timing or {}),
    }


def _task(task: TaskScores) -> dict[str, Any]:
    predictions = [row.prediction for row in task.rows if row.prediction is not None]
    return {
        "category": task.card.category,
        "level": task.card.level,
        "own": is_own(task.card),
        "n": len(task.rows),
        "n_scored": len(task.scored),
        "n_errors": task.count("error"),
        "unparsed": task.count("unparsed"),
        "empty": task.count("empty"),
        "truncated": task.count("truncated"),
        "overlong": sum(bool(p.dropped_shots or p.cut_tokens) for p in predictions),
        "clusters": int(task.clusters.max()) + 1 if len(task.clusters) else 0,
        "metrics": {name: _score(score) for name, score in task.scores.items()},
        "primary": {which: headline(task.card, which) for which in SETS},
        "warnings": list(task.warnings),
    }


def _score(score: MetricScore) -> dict[str, Any]:
    record: dict[str, Any] = {
        "value": score.value,
        "ci95": list(score.ci95) if score.ci95 else None,
        "stderr": score.stderr,
        "higher_is_better": score.higher_is_better,
        "signature": score.signature,
    }
    if score.reason:
        record["reason"] = score.reason
    return record


def _averages(
    tasks: Sequence[TaskScores], cards: Sequence[TaskCard], *, alone: bool = True
) -> dict[str, Any]:
    """Averages of a group; an error measure counts only in a group that has nothing else."""
    found: dict[str, Any] = {}
    for which in SETS:
        mean = average(tasks, which, of=cards)
        if alone and (mean is None or (not mean.tasks and mean.of == 0)):
            mean = average(tasks, which, of=cards, alone=True)
        if mean is not None:
            found[which] = _average(mean)
    return found


def _average(mean: Average) -> dict[str, Any]:
    return {
        **_score(mean.score),
        "tasks": list(mean.tasks),
        "left_out": list(mean.left_out),
        "of": mean.of,
    }


def answer_json(value: Answer | None) -> Any:
    """An answer as JSON: tuples become lists."""
    if isinstance(value, tuple):
        return [list(item) if isinstance(item, tuple) else item for item in value]
    return value


def samples(tasks: Sequence[TaskScores]) -> list[dict[str, Any]]:
    """Lines of `samples.jsonl`."""
    lines = []
    for task in tasks:
        scored = iter(range(len(task.scored)))
        for row in task.rows:
            lines.append(_sample(task, row, None if row.status == "error" else next(scored)))
    return lines


def _sample(task: TaskScores, row: ScoredRow, position: int | None) -> dict[str, Any]:
    values = (
        {name: round(float(v[position]), 6) for name, v in task.values.items()}
        if position is not None
        else {}
    )
    return {
        "task": row.sample.task,
        "id": row.sample.id,
        "key": row.sample.key,
        "instruction": row.sample.instruction,
        "input": row.sample.input,
        "gold": row.sample.gold,
        "gold_answer": answer_json(row.gold),
        "output": row.prediction.output if row.prediction else "",
        "answer": answer_json(row.answer),
        "status": row.status,
        "note": row.note,
        "metrics": values,
    }


def statistics(tasks: Sequence[TaskScores]) -> dict[str, npt.NDArray[Any]]:
    """Arrays of `stats.npz`: rows in the order of the samples that are not errors."""
    arrays: dict[str, npt.NDArray[Any]] = {}
    for task in tasks:
        arrays[f"{task.card.name}|#clusters"] = np.asarray(task.clusters, dtype=np.int64)
        for name, rows in task.stats.items():
            arrays[f"{task.card.name}|{name}"] = rows
    return arrays
