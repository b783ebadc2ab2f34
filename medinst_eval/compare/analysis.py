"""Differences between two runs with their evidence: per task, category and overall."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from medinst_eval import stats
from medinst_eval.compare.pairing import FAILURES, PairedTask
from medinst_eval.stats import FloatArray, IntArray, Permutation, Table

MetricSet = Literal["paper", "standard"]
Level = Literal["task", "category", "overall"]
Verdict = Literal["better", "worse", "no evidence"]
Correction = Literal["holm", "bh", "none"]

OVERALL = "overall"


@dataclass(frozen=True, kw_only=True)
class AnalysisOptions:
    """How differences are tested."""

    metrics: MetricSet = "standard"
    correction: Correction = "holm"
    resamples: int = stats.RESAMPLES
    permutations: int = stats.RESAMPLES
    seed: int = 0


@dataclass(frozen=True, kw_only=True)
class Change:
    """A score in two runs; values as in files (0 to 1, error measures as they are).

    Attributes:
        difference: New minus base.
        ci95: Paired bootstrap interval of the difference.
        p_value: Two-sided, before correction.
        corrected: After correction across the tests of the same kind and level.
        test: `mcnemar` (exact) or `permutation`.
        detectable: Smallest true difference found with 80 % power at the 5 % level before
            correction; None where no row differs, so that nothing is known of its spread.
    """

    base: float
    new: float
    difference: float
    ci95: tuple[float, float]
    p_value: float
    corrected: float
    test: Literal["mcnemar", "permutation"]
    detectable: float | None


@dataclass(frozen=True, kw_only=True)
class Unit:
    """One line of a comparison: a task, a category or the whole.

    Attributes:
        name: Task or category name, or `overall`.
        metric: Name of the headline metric; for averages the metric set.
        span: What 100 points are: the width of an error measure's bounds.
        rows: Shared rows.
        tasks: The tasks averaged; for a task itself.
        score: Change of the headline score; None where it was not computed.
        weighted: For averages of several tasks: the same with tasks weighted by their rows.
        form: Change of the share of rows answered in form (neither unparsed, empty, truncated
            nor an engine error).
        failures: Counts in the base and in the new run, by status.
        others: Further metrics of a task: name -> (base, new).
        verdict: See `judge`.
        because: What the verdict rests on: `score`, `rows` (the weighted score), `form`, or none.
        note: Why there is no score, or which tasks an average lacks.
    """

    level: Level
    name: str
    category: str
    metric: str
    higher_is_better: bool
    span: float
    rows: int
    tasks: tuple[str, ...]
    score: Change | None
    weighted: Change | None = None
    form: Change
    failures: Mapping[str, tuple[int, int]]
    others: Mapping[str, tuple[float, float]]
    verdict: Verdict = "no evidence"
    because: tuple[str, ...] = ()
    note: str = ""

    @property
    def gain(self) -> float | None:
        """Difference in points, positive where the new run is better.

        A point is a hundredth of the metric's range, for error measures too (25 for the paper's
        MSE); for error measures without an upper bound it is their own unit.
        """
        return None if self.score is None else self.points(self.score)

    def points(self, change: Change) -> float:
        """A change of this line's score in points, positive where the new run is better."""
        return 100 * change.difference * (1.0 if self.higher_is_better else -1.0 / self.span)


@dataclass(frozen=True, kw_only=True)
class _Evidence:
    """A change with the draws from which averages over tasks are tested."""

    change: Change
    resampled: FloatArray
    permuted: FloatArray


@dataclass(frozen=True, kw_only=True)
class TaskEvidence:
    """A task's line, with its draws."""

    unit: Unit
    score: _Evidence | None
    form: _Evidence


def analyse_task(task: PairedTask, options: AnalysisOptions) -> TaskEvidence:
    """Test one task: its headline score and its share of answers in form."""
    card = task.card
    seed = stats.task_seed(options.seed, card.name)
    names = card.metrics.paper if options.metrics == "paper" else card.metrics.standard
    headline = names[0] if names else ""
    metric = task.metrics.get(headline)
    score = None
    if metric is not None:
        score = _evidence(metric.base, metric.new, task.clusters, options, seed)
    in_form = [
        Table(np.array([[float(s == "ok"), 1.0] for s in side]).reshape(-1, 2), _share)
        for side in task.statuses
    ]
    form = _evidence(in_form[0], in_form[1], task.row_clusters, options, seed)
    unit = Unit(
        level="task",
        name=card.name,
        category=card.category,
        metric=headline,
        higher_is_better=metric.higher_is_better if metric else True,
        span=metric.span if metric else 1.0,
        rows=len(task.rows),
        tasks=(card.name,),
        score=score.change if score else None,
        form=form.change,
        failures={status: task.failures(status) for status in FAILURES},
        others={name: other.values for name, other in task.metrics.items() if name != headline},
        note="" if score else task.left_out.get(headline, f"no {options.metrics} metric"),
    )
    return TaskEvidence(unit=unit, score=score, form=form)


def average(
    level: Level, name: str, tasks: Sequence[TaskEvidence], options: AnalysisOptions
) -> Unit | None:
    """Mean over tasks, tested with the tasks' own resamples and swaps (stratified).

    A mean over tasks gives thirteen rows of one task the weight of thousands of another, and so
    hides a small drop everywhere behind the noise of the smallest tasks. The mean weighted by
    rows is therefore tested beside it. Error measures are averaged only where every task of the
    group is measured by one.
    """
    usable = [t for t in tasks if t.score is not None]
    higher = [t for t in usable if t.unit.higher_is_better]
    used = higher or ([] if level == "overall" else usable)
    if not used:
        return None
    missing = [t.unit.name for t in tasks if t not in used]
    first = used[0].unit
    scores = [t.score for t in used if t.score is not None]
    return Unit(
        level=level,
        name=name,
        category=first.category if level == "category" else "",
        metric=options.metrics,
        higher_is_better=first.higher_is_better,
        span=first.span,
        rows=sum(t.unit.rows for t in used),
        tasks=tuple(t.unit.name for t in used),
        score=_mean(scores),
        weighted=_mean(scores, [t.unit.rows for t in used]) if len(used) > 1 else None,
        form=_mean([t.form for t in tasks]),
        failures={
            status: (
                sum(t.unit.failures[status][0] for t in tasks),
                sum(t.unit.failures[status][1] for t in tasks),
            )
            for status in FAILURES
        },
        others={},
        note=f"without {', '.join(missing)}" if missing else "",
    )


def judge(units: Sequence[Unit], correction: Correction) -> list[Unit]:
    """Correct the p-values of lines of one level and give each its verdict.

    Scores (with the weighted ones) and forms are two families of tests, each corrected on its
    own. *worse*: something fell with a corrected p-value below 5 %, whatever else rose. *better*:
    something rose so, and nothing fell. Otherwise *no evidence*.
    """
    corrected = [dict[str, Change]() for _ in units]
    for family in (("score", "rows"), ("form",)):
        tests = [
            (place, name, change)
            for place, unit in enumerate(units)
            for name in family
            if (change := _CHANGES[name](unit)) is not None
        ]
        p_values = correct([change.p_value for _, _, change in tests], correction)
        for (place, name, change), p in zip(tests, p_values, strict=True):
            corrected[place][name] = replace(change, corrected=p)
    return [_judged(unit, changes) for unit, changes in zip(units, corrected, strict=True)]


def correct(p_values: Sequence[float], correction: Correction) -> list[float]:
    """p-values corrected for their number."""
    ways: dict[str, Callable[[Sequence[float]], list[float]]] = {
        "holm": stats.holm,
        "bh": stats.benjamini_hochberg,
        "none": list,
    }
    return ways[correction](p_values)


def _judged(unit: Unit, changes: Mapping[str, Change]) -> Unit:
    signs = {
        name: change.difference if name == "form" else unit.points(change)
        for name, change in changes.items()
        if change.corrected < stats.LEVEL
    }
    worse = tuple(name for name, sign in signs.items() if sign < 0)
    better = tuple(name for name, sign in signs.items() if sign > 0)
    return replace(
        unit,
        score=changes.get("score"),
        weighted=changes.get("rows"),
        form=changes["form"],
        verdict="worse" if worse else "better" if better else "no evidence",
        because=worse or better,
    )


_CHANGES: Mapping[str, Callable[[Unit], Change | None]] = {
    "score": lambda unit: unit.score,
    "rows": lambda unit: unit.weighted,
    "form": lambda unit: unit.form,
}


def _share(sums: FloatArray) -> FloatArray:
    return np.asarray(sums[..., 0] / sums[..., 1])


def _evidence(
    base: Table, new: Table, clusters: IntArray, options: AnalysisOptions, seed: int
) -> _Evidence:
    """Difference, interval and test of one metric; the same seed for every metric of a task."""
    alone = len(np.unique(clusters)) == len(clusters)
    groups = None if alone else clusters
    test = stats.permutation_test(
        base, new, clusters=groups, permutations=options.permutations, seed=seed
    )
    if (base.stats == new.stats).all():
        resampled = np.zeros(options.resamples)
    else:
        ours, theirs = stats.bootstrap(
            [base, new], clusters=groups, resamples=options.resamples, seed=seed
        )
        resampled = theirs - ours
    exact = _mcnemar(base, new) if alone else None
    change = _change(base.value(), new.value(), resampled, test, exact)
    return _Evidence(change=change, resampled=resampled, permuted=test.permuted)


def _mcnemar(base: Table, new: Table) -> float | None:
    """Exact p-value where rows are simply right or wrong: statistics (0 or 1, 1)."""
    if base.stats.shape[1] != 2 or not base.is_sum:
        return None
    for table in (base, new):
        if not (np.isin(table.stats[:, 0], (0, 1)).all() and (table.stats[:, 1] == 1).all()):
            return None
    ours, theirs = base.stats[:, 0], new.stats[:, 0]
    return stats.mcnemar(int((ours > theirs).sum()), int((theirs > ours).sum()))


def _change(
    base: float, new: float, resampled: FloatArray, test: Permutation, exact: float | None
) -> Change:
    se = stats.stderr(resampled)
    p_value = test.p_value if exact is None else exact
    return Change(
        base=base,
        new=new,
        difference=new - base,
        ci95=stats.interval(resampled),
        p_value=p_value,
        corrected=p_value,
        test="permutation" if exact is None else "mcnemar",
        detectable=stats.detectable(se) if se > 0 else None,
    )


def _mean(parts: Sequence[_Evidence], weights: Sequence[int] | None = None) -> Change:
    """Mean change of several tasks, plain or weighted."""
    if len(parts) == 1:
        return parts[0].change

    def mean(values: Sequence[FloatArray] | Sequence[float]) -> FloatArray:
        means: FloatArray = np.average(np.stack(values), axis=0, weights=weights)
        return means

    base = float(mean([part.change.base for part in parts]))
    new = float(mean([part.change.new for part in parts]))
    permuted = mean([part.permuted for part in parts])
    p_value = stats.monte_carlo_p(permuted, new - base)
    test = Permutation(difference=new - base, p_value=p_value, permuted=permuted, exact=False)
    return _change(base, new, mean([part.resampled for part in parts]), test, None)
