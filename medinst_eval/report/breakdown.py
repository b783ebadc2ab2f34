"""Where a task's points were lost: confusion matrix, per-type table, scatter."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

from medinst_eval.report.forms import MARKED
from medinst_eval.report.marks import type_of
from medinst_eval.report.samples import TaskSamples

MAX_LABELS = 15
OTHER = "other"
NO_ANSWER = "no answer"


@dataclass(frozen=True, kw_only=True)
class Confusion:
    """Counts of (gold label, predicted label)."""

    golds: tuple[str, ...]
    answers: tuple[str, ...]
    """Predicted labels; the last may be `no answer` (unparsed, empty, truncated)."""
    counts: tuple[tuple[int, ...], ...]
    """Rows in the order of `golds`, columns in the order of `answers`."""

    def share(self, row: int, column: int) -> float:
        """Share of a gold label's samples in this cell, 0 to 1."""
        total = sum(self.counts[row])
        return self.counts[row][column] / total if total else 0.0


@dataclass(frozen=True, kw_only=True)
class TypeRow:
    """What happened to one entity, relation or event type, or to one label."""

    name: str
    gold: int
    found: int
    missed: int
    spurious: int
    wrong: int
    f1: float
    """2 found / (gold + predicted), 0 to 1."""


@dataclass(frozen=True, kw_only=True)
class Point:
    """Equal (gold, answer) pairs of numbers."""

    gold: float
    answer: float
    count: int


@dataclass(frozen=True, kw_only=True)
class Scatter:
    """Gold numbers against predicted ones."""

    points: tuple[Point, ...]
    low: float
    high: float
    unanswered: int


def confusion(view: TaskSamples, run: int) -> Confusion | None:
    """Confusion matrix of a task with one label per sample; None for every other form.

    Multiple-choice tasks have one where their answers are letters.
    """
    if view.form != "label" and not (view.form == "choice" and view.labels):
        return None
    pairs: Counter[tuple[str, str]] = Counter()
    for sample in view.samples:
        answer = sample.answers[run]
        if answer is None or answer.status == "error":
            continue
        said = answer.answer if answer.answer else NO_ANSWER
        pairs[str(sample.gold_value), said] += 1
    if not pairs:
        return None
    golds = _ordered(Counter({g: n for (g, _), n in pairs.items()}), view.labels)
    said_counts: Counter[str] = Counter()
    for (_, said), n in pairs.items():
        said_counts[said] += n
    missing = said_counts.pop(NO_ANSWER, 0)
    answers = list(dict.fromkeys((*golds, *_ordered(said_counts, view.labels))))[:MAX_LABELS]
    rows = golds[:MAX_LABELS]
    tail = [OTHER] if set(said_counts) - set(answers) else []
    tail += [NO_ANSWER] if missing else []
    table = []
    for gold in rows:
        counts = [pairs[gold, said] for said in answers]
        if OTHER in tail:
            counts.append(sum(pairs[gold, s] for s in said_counts if s not in answers))
        if NO_ANSWER in tail:
            counts.append(pairs[gold, NO_ANSWER])
        table.append(tuple(counts))
    return Confusion(golds=tuple(rows), answers=(*answers, *tail), counts=tuple(table))


def _ordered(counts: Counter[str], labels: tuple[str, ...]) -> list[str]:
    """Labels in the card's order, then others by falling count."""
    known = [label for label in labels if label in counts]
    others = [label for label, _ in counts.most_common() if label not in known]
    return known + others


def by_type(view: TaskSamples, run: int) -> tuple[TypeRow, ...]:
    """Found, missed, spurious and wrong per type (marked forms) or per label (label lists)."""
    tallies: dict[str, Counter[str]] = {}

    def count(name: str, *what: str) -> None:
        tallies.setdefault(name, Counter()).update(what)

    if view.form not in MARKED and view.form != "labels":
        return ()
    for sample in view.samples:
        answer = sample.answers[run]
        if answer is None or answer.status == "error":
            continue
        if view.form == "labels":
            _count_labels(set(map(str, sample.gold_value)), set(answer.value or ()), count)
            continue
        for item in answer.items:
            count(type_of(view.form, item.parts), item.kind)
            if item.kind == "wrong":
                count(type_of(view.form, item.predicted), "claimed")
    rows = [_type_row(name, tally) for name, tally in tallies.items()]
    return tuple(sorted(rows, key=lambda r: (-r.gold, r.name)))


def _count_labels(gold: set[str], said: set[str], count: Callable[..., None]) -> None:
    for label in sorted(gold | said):
        if label in gold:
            count(label, "found" if label in said else "missed")
        else:
            count(label, "spurious")


def _type_row(name: str, tally: Counter[str]) -> TypeRow:
    found = tally["found"]
    gold = found + tally["missed"] + tally["wrong"]
    predicted = found + tally["spurious"] + tally["claimed"]
    return TypeRow(
        name=name,
        gold=gold,
        found=found,
        missed=tally["missed"],
        spurious=tally["spurious"],
        wrong=tally["wrong"],
        f1=2 * found / (gold + predicted) if gold + predicted else 1.0,
    )


def scatter(view: TaskSamples, run: int, scale: tuple[float, float] | None) -> Scatter | None:
    """Gold numbers against predicted ones; None for every other form."""
    if view.form != "number":
        return None
    pairs: Counter[tuple[float, float]] = Counter()
    unanswered = 0
    for sample in view.samples:
        answer = sample.answers[run]
        if answer is None or answer.status == "error":
            continue
        gold, said = sample.gold_value, answer.value
        if isinstance(gold, int | float) and isinstance(said, int | float):
            pairs[float(gold), float(said)] += 1
        else:
            unanswered += 1
    values = [v for pair in pairs for v in pair]
    low, high = scale or (min(values, default=0.0), max(values, default=1.0))
    points = tuple(Point(gold=g, answer=a, count=n) for (g, a), n in sorted(pairs.items()))
    return Scatter(points=points, low=low, high=high, unanswered=unanswered)
