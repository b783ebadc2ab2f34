"""What every metric promises: the ends of its scale, sums, shapes, no NaN, a signature."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from medinst_eval import metrics
from medinst_eval.metrics import Metric, MetricContext
from medinst_eval.types import Form

TEXT_GOLDS: dict[Form, list[str]] = {
    "word_labels": ["In [O] lung [B] cancer [I]", "No [O] pain [B]"],
    "entities": ["[lung cancer <Disease>] [lung <Organ>]", "[BRCA1 <Gene>]"],
    "links": ["[WRN <NCBI Gene/7486>]", "[BRCA1 <NCBI Gene/672>] [V600E <dbSNP/1>]"],
    "relations": ["[<aspirin> <CID> <ulcer>]", "[<tar> <CID> <cancer>]"],
    "events": ["[<Growth> <growth> <tumor>]", "[<Death> <death> <cell>]"],
    "mentions": ["[the virus]", "[it] [SCC]"],
    "label": ["yes", "no", "maybe"],
    "labels": ["metastasis, angiogenesis", "none"],
    "choice": ["Aspirin", "15 mg"],
    "number": ["0", "3", "5"],
    "text": ["The tumour grows in most patients.", "Glucose falls with metformin."],
}
GOLDS: dict[Form, list[Any]] = {
    "word_labels": [("O", "B", "I"), ("O", "B")],
    "entities": [(("lung cancer", "Disease"), ("lung", "Organ")), (("BRCA1", "Gene"),)],
    "links": [(("WRN", "NCBI Gene/7486"),), (("BRCA1", "NCBI Gene/672"), ("V600E", "dbSNP/1"))],
    "relations": [(("aspirin", "CID", "ulcer"),), (("tar", "CID", "cancer"),)],
    "events": [(("Growth", "growth", "tumor"),), (("Death", "death", "cell"),)],
    "mentions": [(("the virus",),), (("it",), ("SCC",))],
    "label": ["yes", "no", "maybe"],
    "labels": [("metastasis", "angiogenesis"), ("none",)],
    "choice": ["Aspirin", "15 mg"],
    "number": [0.0, 3.0, 5.0],
    "text": TEXT_GOLDS["text"],
}
ELSEWHERE = {"bertscore_f1", "meteor"}  # Need a model or a dictionary: tests of their own.


def combinations() -> list[Any]:
    found = []
    for name in metrics.BUILT_IN:
        if name not in ELSEWHERE:
            forms = metrics.get(name).forms or tuple(GOLDS)
            found += [pytest.param(name, form, id=f"{name}-{form}") for form in forms]
    return found


every_metric = pytest.mark.parametrize(("name", "form"), combinations())


def bound(name: str, form: Form) -> tuple[Metric, list[Any]]:
    golds = (TEXT_GOLDS if metrics.get(name).reads == "text" else GOLDS)[form]
    scale = (0.0, 5.0) if form == "number" else None
    context = MetricContext(form=form, golds=golds, scale=scale)
    return metrics.create(name, context), list(golds)


def total(metric: Metric, golds: Sequence[Any], answers: Sequence[Any]) -> float:
    stats = metric.batch_stats(golds, answers)
    return float(metric.score(stats.sum(axis=0) if metric.is_sum else stats))


def nothing(metric: Metric, rows: int) -> list[Any]:
    return ([""] if metric.reads == "text" else [None]) * rows


@every_metric
def test_golds_score_best_and_silence_worst(name: str, form: Form) -> None:
    metric, golds = bound(name, form)
    best, worst = total(metric, golds, golds), total(metric, golds, nothing(metric, len(golds)))
    assert best == (1.0 if metric.higher_is_better else 0.0)
    assert worst == 0.0 if metric.higher_is_better else worst > 4.0


@every_metric
def test_statistics_of_shards_add_up(name: str, form: Form) -> None:
    metric, golds = bound(name, form)
    answers = [golds[0], *nothing(metric, 1), *golds[:-2]][: len(golds)]
    rows = [metric.sample_stats(g, a) for g, a in zip(golds, answers, strict=True)]
    whole = metric.batch_stats(golds, answers)
    assert whole.dtype == np.float64
    assert whole.shape == (len(golds), len(rows[0]))
    assert np.array_equal(whole, np.array(rows, dtype=float))
    halves = metric.batch_stats(golds[:1], answers[:1]), metric.batch_stats(golds[1:], answers[1:])
    assert np.array_equal(np.concatenate(halves), whole)


@every_metric
def test_scores_of_many_resamples_at_once_equal_scores_one_by_one(name: str, form: Form) -> None:
    metric, golds = bound(name, form)
    answers = [golds[-1], *golds[:-1]]
    stats = metric.batch_stats(golds, answers)
    rng = np.random.default_rng(0)
    draws = rng.integers(len(golds), size=(3, 5, len(golds)))
    tables = stats[draws] if not metric.is_sum else stats[draws].sum(axis=2)
    at_once = metric.score(tables)
    assert at_once.shape == (3, 5)
    one_by_one = [[float(metric.score(table)) for table in row] for row in tables]
    assert np.array_equal(at_once, np.array(one_by_one))
    low, high = metric.bounds
    assert np.all((at_once >= low) & (at_once <= high))


@every_metric
def test_no_rows_and_one_row_give_a_number(name: str, form: Form) -> None:
    metric, golds = bound(name, form)
    width = metric.batch_stats(golds, golds).shape[1]
    none = np.zeros(width) if metric.is_sum else np.zeros((0, width))
    assert np.isfinite(metric.score(none))
    one = metric.batch_stats(golds[:1], golds[:1])
    assert np.isfinite(metric.score(one.sum(axis=0) if metric.is_sum else one))
    assert metric.score(np.zeros((0, width) if metric.is_sum else (0, 3, width))).shape == (0,)


@every_metric
def test_the_score_needs_nothing_but_the_sum(name: str, form: Form) -> None:
    metric, golds = bound(name, form)
    stats = metric.batch_stats(golds, [golds[-1], *golds[:-1]])
    scale = (0.0, 5.0) if form == "number" else None
    later = metrics.create(name, MetricContext(form=form, scale=scale))
    sums = stats.sum(axis=0) if metric.is_sum else stats
    assert metric.score(sums) == later.score(sums)


@every_metric
def test_signature(name: str, form: Form) -> None:
    signature = bound(name, form)[0].signature
    assert re.fullmatch(rf"metric:{name}(\|[a-z_-]+:[^|:]+)+\|v:[0-9][^|]*", signature)
    assert len(signature) < 200


def test_a_value_cannot_break_the_signature() -> None:
    from medinst_eval.metrics.signature import sign

    made = sign("m", ("encoder", "a|b\n c"), libraries=("no-such-library",))
    assert made.startswith("metric:m|encoder:a b c|no-such-library:absent|v:")
