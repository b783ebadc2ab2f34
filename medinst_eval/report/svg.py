"""Geometry of the inline drawings, and what they say to a reader who cannot see them."""

from __future__ import annotations

import math
from dataclasses import dataclass

from medinst_eval.report.breakdown import Scatter
from medinst_eval.report.content import ChartRow, ReportData


def place(value: float) -> str:
    """A position on the 0 to 100 axis; what lies outside is drawn at the edge."""
    return f"{min(max(value, 0.0), 100.0):.2f}%"


def lane(index: int, lanes: int) -> str:
    """Height at which the index-th of several runs is drawn, from 1."""
    return "50%" if lanes == 1 else f"{100 * index / (lanes + 1):.1f}%"


def shape(radius: float, index: int) -> str:
    """Path of a run's marker around (0, 0): colours alone do not tell runs apart.

    The second run's is a diamond, the third's a square, the fourth's a triangle; the first has a
    circle, which is no path.
    """
    r = radius * 1.25
    if index % 4 == 1:
        return f"M0 {-r}L{r} 0L0 {r}L{-r} 0Z"
    if index % 4 == 2:
        return f"M{-radius} {-radius}H{radius}V{radius}H{-radius}Z"
    return f"M0 {-r}L{r} {radius}H{-r}Z"


def heat(share: float) -> str:
    """Shade of a cell by its share of the row."""
    if share <= 0:
        return "h0"
    return f"h{min(5, 1 + int(share * 5))}"


def describe(row: ChartRow, data: ReportData) -> str:
    """One line of a chart in words."""
    parts = []
    for run, score in zip(data.runs, row.scores, strict=True):
        if score is None or score.value is None:
            parts.append(f"{run.name}: no score")
            continue
        text = f"{run.name}: {score.value:.1f}"
        if score.low is not None and score.high is not None:
            text += f", interval {score.low:.1f} to {score.high:.1f}"
        parts.append(text)
    if row.published:
        values = [value for _, value in row.published]
        parts.append(f"published models: {min(values):.1f} to {max(values):.1f}")
    return f"{row.name}. {'; '.join(parts)}"


@dataclass(frozen=True, kw_only=True)
class Bubble:
    """A circle of the scatter plot."""

    x: float
    y: float
    r: float
    text: str


@dataclass(frozen=True, kw_only=True)
class Tick:
    """A grid line on both axes."""

    x: float
    y: float
    text: str


@dataclass(frozen=True, kw_only=True)
class ScatterPlot:
    """A drawing of 300 x 300 units; the axes run from (40, 260) to (290, 10)."""

    bubbles: tuple[Bubble, ...]
    ticks: tuple[Tick, ...]
    label: str


def scatter_plot(scatter: Scatter) -> ScatterPlot:
    """Lay out a scatter: equal pairs become one circle whose area grows with their number."""
    span = (scatter.high - scatter.low) or 1.0
    margin = 0.06 * span

    def x(value: float) -> float:
        return round(40 + 250 * (value - scatter.low + margin) / (span + 2 * margin), 1)

    def y(value: float) -> float:
        return round(300 - x(value), 1)

    most = max((p.count for p in scatter.points), default=1)
    bubbles = tuple(
        Bubble(
            x=x(p.gold), y=y(p.answer), r=round(4 + 10 * math.sqrt(p.count / most), 1),
            text=f"gold {p.gold:g}, predicted {p.answer:g}: {p.count}",
        )
        for p in sorted(scatter.points, key=lambda p: -p.count)
    )  # fmt: skip
    step = 1.0 if span <= 10 else span / 5
    values = [scatter.low + i * step for i in range(int(span / step + 1e-9) + 1)]
    ticks = tuple(Tick(x=x(v), y=y(v), text=f"{v:g}") for v in values)
    total = sum(p.count for p in scatter.points)
    equal = sum(p.count for p in scatter.points if p.gold == p.answer)
    label = f"{total} pairs of gold and predicted numbers, {equal} of them equal."
    if scatter.unanswered:
        label += f" {scatter.unanswered} without an answer are not drawn."
    return ScatterPlot(bubbles=bubbles, ticks=ticks, label=label)
