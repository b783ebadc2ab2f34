"""Stored outputs -> parsed answers -> sums -> scores with intervals."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from medinst_eval import metrics, parsers, stats
from medinst_eval.metrics.base import FloatArray, Metric, MetricContext, MetricUnavailable
from medinst_eval.tasks import clusters
from medinst_eval.tasks.card import TaskCard
from medinst_eval.types import (
    Answer,
    MetricScore,
    ParseContext,
    Prediction,
    Sample,
    Status,
)  # fmt: skip

PAPER_EXTRAS = ("paper_rouge_l", "paper_word_f1")


@dataclass(frozen=True, kw_only=True)
class ScoringOptions:
    """What can change a score without asking the model again."""

    seed: int = 0
    resamples: int = 10_000
    paper_extras: bool = False
    metric_options: Mapping[str, Any] = field(default_factory=dict)
    """Handed to every metric, e.g. `bertscore_model`."""


@dataclass(frozen=True, kw_only=True)
class TaskRows:
    """A task's rows and what the model said to them (None: not asked yet)."""

    card: TaskCard
    samples: Sequence[Sample]
    predictions: Sequence[Prediction | None]
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class ScoredRow:
    """One sample with its answer."""

    sample: Sample
    prediction: Prediction | None
    gold: Answer
    answer: Answer | None
    status: Status
    note: str = ""


@dataclass(kw_only=True)
class TaskScores:
    """Scores of one task, with what later questions need: statistics and resampled values."""

    card: TaskCard
    rows: list[ScoredRow]
    scored: list[ScoredRow]
    """Rows without an engine error, in order; statistics refer to these."""
    clusters: npt.NDArray[np.int64]
    stats: dict[str, FloatArray]
    values: dict[str, FloatArray]
    """Score of each single row, for metrics where that means something."""
    scores: dict[str, MetricScore]
    resampled: dict[str, FloatArray]
    """Bootstrap scores of each metric, shape (resamples,)."""
    warnings: tuple[str, ...] = ()

    def count(self, status: Status) -> int:
        """Number of rows with this status."""
        return sum(row.status == status for row in self.rows)


# -- rows ---------------------------------------------------------------------------------------


def parse_context(card: TaskCard, sample: Sample) -> ParseContext:
    """What the parser of a task may know of a row."""
    options = ()
    if card.form == "choice":
        options = sample.choices or parsers.options_from_input(sample.input)
    return ParseContext(
        input=sample.input,
        labels=card.labels,
        options=options,
        scale=card.scale,
        prompt=f"{sample.instruction}\n{sample.input}",
    )


def gold_answer(card: TaskCard, sample: Sample, context: ParseContext) -> tuple[Answer, bool]:
    """The gold in its form, and whether it parsed; text that does not is kept as it stands."""
    parsed = parsers.parse_gold(card.form, sample.gold, context)
    if parsed.status == "ok" and parsed.value is not None:
        return parsed.value, True
    fallback: dict[str, Answer] = {
        "label": sample.gold, "choice": sample.gold, "text": sample.gold,
        "number": (card.scale or (0.0, 0.0))[0],
        "word_labels": ("O",) * len(sample.input.split()),
    }  # fmt: skip
    return fallback.get(card.form, ()), parsed.status == "empty"


def score_row(card: TaskCard, sample: Sample, prediction: Prediction | None) -> ScoredRow:
    """Parse one answer. A missing prediction or an engine error is `error`, never an answer."""
    context = parse_context(card, sample)
    gold, gold_parsed = gold_answer(card, sample, context)
    note = "" if gold_parsed else "the gold answer does not parse"
    if prediction is None or prediction.error is not None:
        why = "not asked" if prediction is None else str(prediction.error)
        return ScoredRow(
            sample=sample, prediction=prediction, gold=gold, answer=None, status="error", note=why
        )
    parsed = parsers.parse(card.form, prediction.output, context)
    status: Status = parsed.status
    if prediction.finish_reason == "length":
        status = "truncated"
    return ScoredRow(
        sample=sample,
        prediction=prediction,
        gold=gold,
        answer=parsed.value if parsed.status == "ok" else None,
        status=status,
        note=parsed.note or note,
    )


# -- metrics ------------------------------------------------------------------------------------


def metric_names(card: TaskCard, options: ScoringOptions) -> list[str]:
    """Metrics of a task in table order: the paper's, then the standard ones."""
    extras = PAPER_EXTRAS if options.paper_extras and card.metrics.paper else ()
    return list(dict.fromkeys((*card.metrics.paper, *extras, *card.metrics.standard)))


def _inputs(metric: type[Metric], rows: Sequence[ScoredRow]) -> tuple[list[Any], list[Any]]:
    if metric.reads == "text":
        outputs = [r.prediction.output if r.prediction else "" for r in rows]
        return [r.sample.gold for r in rows], outputs
    return [r.gold for r in rows], [r.answer for r in rows]


def bind_metric(name: str, card: TaskCard, options: ScoringOptions, golds: Any = ()) -> Metric:
    """A metric bound to a task."""
    context = MetricContext(
        form=card.form,
        golds=golds,
        labels=card.labels,
        scale=card.scale,
        options=options.metric_options,
    )
    return metrics.create(name, context)


def score_task(task: TaskRows, options: ScoringOptions) -> TaskScores:
    """Score one task: parse every row, sum every metric, resample all metrics together."""
    rows = [
        score_row(task.card, sample, prediction)
        for sample, prediction in zip(task.samples, task.predictions, strict=True)
    ]
    scored = [row for row in rows if row.status != "error"]
    documents = clusters(task.card, [row.sample.input for row in scored])
    result = TaskScores(
        card=task.card,
        rows=rows,
        scored=scored,
        clusters=np.array(documents, dtype=np.int64),
        stats={},
        values={},
        scores={},
        resampled={},
        warnings=task.warnings,
    )
    bound: dict[str, Metric] = {}
    for name in metric_names(task.card, options):
        kind = metrics.get(name)
        if not scored:
            reason = "no row was answered; see the errors in predictions.jsonl"
            result.scores[name] = _null(kind, reason)
            continue
        golds, answers = _inputs(kind, scored)
        try:
            metric = bind_metric(name, task.card, options, golds)
            result.stats[name] = metric.batch_stats(golds, answers)
            bound[name] = metric
        except MetricUnavailable as error:
            result.scores[name] = _null(kind, str(error))
    _resample(result, bound, options)
    return result


def _resample(result: TaskScores, bound: Mapping[str, Metric], options: ScoringOptions) -> None:
    if not bound:
        return
    seed = stats.task_seed(options.seed, result.card.name)
    tables = [
        stats.Table(stats=result.stats[name], score=metric.score, is_sum=metric.is_sum)
        for name, metric in bound.items()
    ]
    draws = stats.bootstrap(
        tables, clusters=result.clusters, resamples=options.resamples, seed=seed
    )
    for (name, metric), resampled in zip(bound.items(), draws, strict=True):
        rows = result.stats[name]
        value = float(metric.score(rows.sum(axis=0) if metric.is_sum else rows))
        result.resampled[name] = resampled
        signature = (
            f"{metric.signature}|bootstrap:{options.resamples}|seed:{options.seed}"
            f"|cluster:{result.card.cluster}"
        )
        result.scores[name] = _with_interval(
            value, resampled, higher=metric.higher_is_better, signature=signature
        )
        if metric.per_row:
            result.values[name] = np.atleast_1d(
                metric.score(rows if metric.is_sum else rows[:, None, :])
            )


def _with_interval(
    value: float, resampled: FloatArray, *, higher: bool, signature: str
) -> MetricScore:
    return MetricScore(
        value=value,
        ci95=stats.interval(resampled),
        stderr=float(resampled.std(ddof=1)) if len(resampled) > 1 else 0.0,
        higher_is_better=higher,
        signature=signature,
    )


def _null(kind: type[Metric], reason: str) -> MetricScore:
    return MetricScore(value=None, higher_is_better=kind.higher_is_better, reason=reason)


# -- averages -----------------------------------------------------------------------------------


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
    mean = _with_interval(
        float(np.mean(values)), np.mean(draws, axis=0), higher=higher,
        signature=f"mean of {len(used)} headline scores|stratified bootstrap",
    )  # fmt: skip
    return Average(score=mean, tasks=tuple(used), left_out=tuple(left_out), of=expected)


# -- the whole run ------------------------------------------------------------------------------


def score_tasks(
    tasks: Sequence[TaskRows],
    options: ScoringOptions,
    *,
    on_task: Callable[[str], None] = lambda _: None,
) -> list[TaskScores]:
    """Score every task; BERTScore pairs of all tasks go through the encoder in one pass."""
    options = replace(
        options, metric_options={**options.metric_options, **_shared_pass(tasks, options)}
    )
    results = []
    for task in tasks:
        results.append(score_task(task, options))
        on_task(task.card.name)
    return results


def _shared_pass(tasks: Sequence[TaskRows], options: ScoringOptions) -> dict[str, Any]:
    """Values of metrics that are far cheaper in one batch over all tasks."""
    wanted = [t for t in tasks if "bertscore_f1" in metric_names(t.card, options)]
    pairs = [
        (prediction.output, sample.gold)
        for task in wanted
        for sample, prediction in zip(task.samples, task.predictions, strict=True)
        if prediction is not None and prediction.error is None
    ]
    return metrics.shared_values(pairs, options.metric_options) if pairs else {}
