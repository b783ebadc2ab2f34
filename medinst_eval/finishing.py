"""From stored predictions to the finished files of a run folder."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from medinst_eval import store, summary
from medinst_eval.manifest import now
from medinst_eval.scoring import ScoringOptions, TaskRows, score_tasks
from medinst_eval.suites import MEDINST32
from medinst_eval.tasks.card import TaskCard
from medinst_eval.types import Prediction, Sample


@dataclass(frozen=True, kw_only=True)
class RunRows:
    """The tasks of a run folder with their rows, and the suite they belong to."""

    tasks: tuple[TaskRows, ...]
    suite: tuple[TaskCard, ...]
    absent: tuple[str, ...] = ()


def pair_rows(
    card: TaskCard,
    samples: Sequence[Sample],
    predictions: Mapping[str, Prediction],
    warnings: Sequence[str] = (),
) -> TaskRows:
    """Every row of a task beside its prediction; one made for another row is not used."""
    answers = [predictions.get(sample.id) for sample in samples]
    matching = [
        answer if answer is not None and answer.key == sample.key else None
        for answer, sample in zip(answers, samples, strict=True)
    ]
    return TaskRows(card=card, samples=samples, predictions=matching, warnings=tuple(warnings))


def score_folder(
    folder: store.RunFolder,
    rows: RunRows,
    options: ScoringOptions,
    *,
    timing: Mapping[str, float],
    on_task: Callable[[str], None] = lambda _: None,
) -> dict[str, Any]:
    """Score rows and write samples, statistics and results into an opened run folder.

    Args:
        folder: The run folder, opened by its writer.
        rows: What it asked, and what was answered.
        options: What can change a score.
        timing: Seconds and tokens that are known already; those of scoring are measured here.
        on_task: Called with each task that is scored.

    Returns:
        The content of `results.json`.
    """
    started = time.perf_counter()
    scores = score_tasks(rows.tasks, options, on_task=on_task)
    kept = [p for task in rows.tasks for p in task.predictions if p is not None]
    manifest = folder.manifest
    facts = summary.RunFacts(
        run=manifest["run"],
        model=manifest["model"]["name"],
        shots=manifest["prompt"]["shots"],
        suite=manifest.get("suite", MEDINST32),
        absent=rows.absent,
        warnings=tuple(manifest["data"].get("warnings", ())),
        timing={
            "prompt_tokens": sum(p.prompt_tokens for p in kept),
            "output_tokens": sum(p.output_tokens for p in kept),
            **timing,
            "score_s": round(time.perf_counter() - started, 3),
        },
    )
    results: dict[str, Any] = summary.results(facts, scores, rows.suite)
    if not manifest.get("ended"):
        folder.write_manifest(ended=now())
    folder.write_scores(
        results=results, samples=summary.samples(scores), stats=summary.statistics(scores)
    )
    return results
