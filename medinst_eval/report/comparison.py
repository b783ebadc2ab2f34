"""A comparison of two runs as the page shows it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from medinst_eval import numbers


class Change(Protocol):
    """A score in two runs (`compare.Change`)."""

    @property
    def base(self) -> float: ...
    @property
    def new(self) -> float: ...
    @property
    def difference(self) -> float: ...
    @property
    def ci95(self) -> tuple[float, float]: ...
    @property
    def corrected(self) -> float: ...
    @property
    def detectable(self) -> float | None: ...


class Unit(Protocol):
    """One line of a comparison (`compare.Unit`)."""

    @property
    def level(self) -> str: ...
    @property
    def name(self) -> str: ...
    @property
    def rows(self) -> int: ...
    @property
    def higher_is_better(self) -> bool: ...
    @property
    def score(self) -> Change | None: ...
    @property
    def failures(self) -> Mapping[str, tuple[int, int]]: ...
    @property
    def verdict(self) -> str: ...
    @property
    def because(self) -> tuple[str, ...]: ...


class Options(Protocol):
    """How the comparison was made (`compare.AnalysisOptions`)."""

    @property
    def metrics(self) -> str: ...
    @property
    def correction(self) -> str: ...


class Comparison(Protocol):
    """Two runs compared (`compare.Comparison`)."""

    @property
    def options(self) -> Options: ...
    @property
    def units(self) -> Sequence[Unit]: ...
    @property
    def notes(self) -> Sequence[str]: ...


@dataclass(frozen=True, kw_only=True)
class Line:
    """One line of the comparison table, as text."""

    name: str
    rows: str
    base: str
    new: str
    difference: str
    interval: str
    p: str
    detectable: str
    failed: str
    verdict: str
    because: str
    """What a verdict rests on, where it is not the score alone."""


@dataclass(frozen=True, kw_only=True)
class ComparisonView:
    """A comparison on one metric set."""

    metrics: str
    correction: str
    overall: Line | None
    categories: tuple[Line, ...]
    tasks: tuple[Line, ...]
    better: int
    worse: int
    """Tasks by verdict."""
    notes: tuple[str, ...]


_CORRECTIONS = {"holm": "Holm", "bh": "Benjamini–Hochberg", "none": "none"}


def view(comparison: Comparison) -> ComparisonView:
    """What the page shows of a comparison."""
    tasks = [unit for unit in comparison.units if unit.level == "task"]
    overall = [_line(unit) for unit in comparison.units if unit.level == "overall"]
    correction = comparison.options.correction
    return ComparisonView(
        metrics=comparison.options.metrics,
        correction=_CORRECTIONS.get(correction, correction),
        overall=overall[0] if overall else None,
        categories=tuple(_line(u) for u in comparison.units if u.level == "category"),
        tasks=tuple(map(_line, tasks)),
        better=sum(unit.verdict == "better" for unit in tasks),
        worse=sum(unit.verdict == "worse" for unit in tasks),
        notes=tuple(comparison.notes),
    )


def _line(unit: Unit) -> Line:
    digits = 1 if unit.higher_is_better else 2
    factor = numbers.factor_of(unit.higher_is_better)
    score = unit.score
    before, after = (sum(pair[side] for pair in unit.failures.values()) for side in (0, 1))

    def plain(value: float | None) -> str:
        return numbers.points(value, digits, factor=factor)

    return Line(
        name="All tasks" if unit.level == "overall" else unit.name,
        rows=numbers.count(unit.rows),
        base=plain(score.base if score else None),
        new=plain(score.new if score else None),
        difference=numbers.signed_points(
            score.difference if score else None, digits, factor=factor
        ),
        interval=numbers.interval_points(
            score.ci95 if score else None, digits, factor=factor, signed=True
        ),
        p=numbers.p_value(score.corrected if score else None),
        detectable=plain(score.detectable if score else None),
        failed=f"{before:,} → {after:,}" if before != after else f"{after:,}",
        verdict=unit.verdict,
        because=" and ".join(unit.because) if unit.because != ("score",) else "",
    )
