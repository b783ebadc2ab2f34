"""Best, second, and not significantly worse than the best: the marks on a line."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from medinst_eval.leaderboard.entries import Entry, Score
from medinst_eval.numbers import factor_of
from medinst_eval.stats import LEVEL, holm

PairedP = Callable[[Entry, Entry, Sequence[str]], float | None]
"""p-value of two entries' difference over tasks; None where they cannot be paired."""


@dataclass(frozen=True, kw_only=True)
class Cell:
    """A model's place on a line.

    Attributes:
        best: Highest on its line (lowest error) as printed; ties share it.
        second: Next distinct value as printed; ties share it.
        equal: Not the best, and not significantly worse than the best.
    """

    score: Score | None
    best: bool = False
    second: bool = False
    equal: bool = False


def printed(value: float, higher_is_better: bool, digits: int) -> float:
    """A score as it is printed, so that what looks equal is equal."""
    return round(value * factor_of(higher_is_better), digits)


def marked(
    entries: Sequence[Entry],
    scores: Sequence[Score | None],
    tasks: Sequence[str],
    higher: bool,
    digits: int,
    paired: PairedP | None,
) -> tuple[Cell, ...]:
    sign = 1 if higher else -1
    shown = [None if s is None else sign * printed(s.value, higher, digits) for s in scores]
    distinct = sorted({value for value in shown if value is not None}, reverse=True)
    if sum(value is not None for value in shown) < 2:
        return tuple(Cell(score=score) for score in scores)
    top = max(
        (n for n, s in enumerate(scores) if s is not None),
        key=lambda n: sign * scores[n].value,  # type: ignore[union-attr]
    )
    equal = _equal(entries, scores, tasks, top, paired)
    return tuple(
        Cell(
            score=score,
            best=value == distinct[0],
            second=len(distinct) > 1 and value == distinct[1],
            equal=n in equal and value != distinct[0],
        )
        for n, (score, value) in enumerate(zip(scores, shown, strict=True))
    )


def _equal(
    entries: Sequence[Entry],
    scores: Sequence[Score | None],
    tasks: Sequence[str],
    top: int,
    paired: PairedP | None,
) -> set[int]:
    """Who is not significantly worse than the best.

    By a paired permutation test on the same rows, corrected by Holm over the models of the line;
    where rows cannot be paired, by 95 % intervals that overlap. Without an interval: nobody.
    """
    best = scores[top]
    assert best is not None
    p_values: dict[int, float] = {}
    found: set[int] = set()
    for number, score in enumerate(scores):
        if number == top or score is None:
            continue
        p = paired(entries[top], entries[number], tasks) if paired else None
        if p is not None:
            p_values[number] = p
        elif best.ci95 and score.ci95 and _overlap(best.ci95, score.ci95):
            found.add(number)
    corrected = holm(list(p_values.values()))
    found.update(n for n, p in zip(p_values, corrected, strict=True) if p >= LEVEL)
    return found


def _overlap(one: tuple[float, float], other: tuple[float, float]) -> bool:
    return one[0] <= other[1] and other[0] <= one[1]
