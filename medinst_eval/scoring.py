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
    ParsedAnswer,
    Prediction,
    Sample,
    Status,
)  # fmt: skip

_BERTSCORE = "bertscore_f1"
_ODD_GOLD = "the gold answer does not parse"
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
    options: tuple[str, ...] = ()
    if card.form == "choice":
        options = parsers.options_from_input(sample.input)
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
    note = "" if gold_parsed else _ODD_GOLD
    if prediction is None or prediction.error is not None:
        why = "not asked" if prediction is None else str(prediction.error)
        return ScoredRow(
            sample=sample, prediction=prediction, gold=gold, answer=None, status="error", note=why
        )
    parsed = _parse(card, prediction.output, context)
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


def _parse(card: TaskCard, output: str, context: ParseContext) -> ParsedAnswer:
    """The answer; an option is turned into its letter where the golds are letters."""
    letters = card.labels if card.form == "choice" else ()
    if output.strip() in letters:
        return ParsedAnswer(status="ok", value=output.strip())
    parsed = parsers.parse(card.form, output, context)
    if parsed.value not in context.options[: len(letters)]:
        return parsed
    return replace(parsed, value=letters[context.options.index(str(parsed.value))])


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


def score_task(
    card: TaskCard,
    rows: Sequence[ScoredRow],
    options: ScoringOptions,
    *,
    unavailable: Mapping[str, str],
    warnings: Sequence[str] = (),
) -> TaskScores:
    """Score the parsed rows of a task: sum every metric, resample all metrics together.

    Args:
        card: The task.
        rows: Its rows, in order.
        options: What can change a score.
        unavailable: Metrics that cannot be computed here, and why.
        warnings: What was odd about the rows.
    """
    scored = [row for row in rows if row.status != "error"]
    documents = clusters(card, [row.sample.input for row in scored])
    result = TaskScores(
        card=card,
        rows=list(rows),
        scored=scored,
        clusters=np.array(documents, dtype=np.int64),
        stats={},
        values={},
        scores={},
        resampled={},
        warnings=tuple(warnings),
    )
    bound: dict[str, Metric] = {}
    for name in metric_names(card, options):
        kind = metrics.get(name)
        why = unavailable.get(name) if scored else "no row was answered; see predictions.jsonl"
        if why is not None:
            result.scores[name] = _null(kind, why)
            continue
        golds, answers = _inputs(kind, scored)
        try:
            metric = bind_metric(name, card, options, golds)
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
        result.scores[name] = with_interval(
            value, resampled, higher=metric.higher_is_better, signature=signature
        )
        if metric.per_row:
            result.values[name] = np.atleast_1d(
                metric.score(rows if metric.is_sum else rows[:, None, :])
            )


def with_interval(
    value: float, resampled: FloatArray, *, higher: bool, signature: str
) -> MetricScore:
    """A score with its percentile interval and standard error from resampled scores."""
    return MetricScore(
        value=value,
        ci95=stats.interval(resampled),
        stderr=float(resampled.std(ddof=1)) if len(resampled) > 1 else 0.0,
        higher_is_better=higher,
        signature=signature,
    )


def _null(kind: type[Metric], reason: str) -> MetricScore:
    return MetricScore(value=None, higher_is_better=kind.higher_is_better, reason=reason)


# -- the whole run ------------------------------------------------------------------------------


def score_tasks(
    tasks: Sequence[TaskRows],
    options: ScoringOptions,
    *,
    on_task: Callable[[str], None] = lambda _: None,
) -> list[TaskScores]:
    """Score every task; BERTScore pairs of all tasks go through the encoder in one pass."""
    parsed = [
        [
            score_row(task.card, sample, prediction)
            for sample, prediction in zip(task.samples, task.predictions, strict=True)
        ]
        for task in tasks
    ]
    cards = [task.card for task in tasks]
    options, unavailable, warnings = _bertscore_pass(cards, parsed, options)
    results = []
    for task, rows in zip(tasks, parsed, strict=True):
        more = warnings if _BERTSCORE in metric_names(task.card, options) else ()
        results.append(
            score_task(
                task.card,
                rows,
                options,
                unavailable=unavailable,
                warnings=(*task.warnings, *_gold_warnings(rows), *more),
            )
        )
        on_task(task.card.name)
    return results


def _gold_warnings(rows: Sequence[ScoredRow]) -> tuple[str, ...]:
    odd = sum(row.note == _ODD_GOLD for row in rows)
    return (f"{odd} gold answers do not parse",) if odd else ()


def _bertscore_pass(
    cards: Sequence[TaskCard], parsed: Sequence[Sequence[ScoredRow]], options: ScoringOptions
) -> tuple[ScoringOptions, dict[str, str], tuple[str, ...]]:
    """Options that hold the BERTScore of every pair; what is unavailable; what was cut."""
    kind_rows = [
        row
        for card, rows in zip(cards, parsed, strict=True)
        if _BERTSCORE in metric_names(card, options)
        for row in rows
        if row.status != "error"
    ]
    if not kind_rows:
        return options, {}, ()
    from medinst_eval.metrics.bertscore import BertScoreF1, BertScoreSettings, bertscore

    golds, answers = _inputs(BertScoreF1, kind_rows)
    pairs = [(gold, answer or "") for gold, answer in zip(golds, answers, strict=True)]
    try:
        scores = bertscore(pairs, BertScoreSettings.from_options(options.metric_options))
    except MetricUnavailable as error:
        return options, {_BERTSCORE: str(error)}, ()
    values = dict(zip(pairs, map(float, scores.f1), strict=True))
    known = replace(options, metric_options={**options.metric_options, "bertscore_values": values})
    cut = f"{scores.cut} texts were cut at the limit of BERTScore's encoder"
    return known, {}, (cut,) if scores.cut else ()
