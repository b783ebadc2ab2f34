"""Is a task of one's own ready? Card, data, prompt, and whether its gold answers score best."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from math import isclose, isfinite
from pathlib import Path

from medinst_eval import data, metrics
from medinst_eval.errors import closest
from medinst_eval.prompts import PromptOptions, build
from medinst_eval.scoring import ScoredRow, ScoringOptions, TaskRows, TaskScores, score_tasks
from medinst_eval.suites import suite_cards
from medinst_eval.tasks import OWN_SUITE
from medinst_eval.tasks.card import TaskCard
from medinst_eval.types import Message, Prediction, Sample

_EXAMPLES = {
    "word_labels": "aspirin [B] for [O] cough [B]",
    "entities": "[aspirin <Drug>] [cough <Symptom>]",
    "links": "[aspirin <ATC/N02BA01>]",
    "relations": "[<aspirin> <treats> <cough>]",
    "events": "[<Stop> <withdrawn> <aspirin>]",
    "mentions": "[the drug] [it]",
    "label": "one of the card's labels",
    "labels": "labels of the card, separated by commas",
    "choice": "one of the options of the input",
    "number": "a number on the card's scale",
    "text": "any text",
}
_TYPE_PART = {"entities": 1, "relations": 1, "events": 0}
"""Where an item of these forms has its type."""
_MAY_BE_EMPTY = ("entities", "links", "relations", "events", "mentions", "labels")
_BELOW_BEST = ("meteor",)
"""Metrics in which a text equal to the gold stays just below the best: METEOR takes something off
for every run of matched words, and an equal text is one such run."""
_CLOSE = 1e-4
"""BERTScore of equal texts is 1 but for rounding."""
_SHOWN = 3


@dataclass(frozen=True, kw_only=True)
class GoldScore:
    """What the gold answers score in one metric."""

    metric: str
    value: float | None
    best: float | None
    """What right answers score; None where the metric has no such value."""
    reason: str = ""
    """Where there is no value: why."""

    @property
    def perfect(self) -> bool:
        """False where gold answers are not right by this metric."""
        if self.value is None or self.best is None:
            return True
        return isclose(self.value, self.best, abs_tol=_CLOSE)


@dataclass(frozen=True, kw_only=True)
class TaskCheck:
    """What was found of one task."""

    card: TaskCard
    rows: int
    prompt: tuple[Message, ...]
    """Of the first row."""
    sample: Sample
    scores: tuple[GoldScore, ...]
    notes: tuple[str, ...]
    """What is odd but does not stand in the way."""
    problems: tuple[str, ...]
    """What must be put right, each with what to do."""


def check(path: Path, *, shots: int = 2) -> tuple[TaskCheck, ...]:
    """Check the tasks of a file as a run would use them, with the gold answers as outputs.

    Args:
        path: Task file.
        shots: Demonstrations in the shown prompt.

    Raises:
        InputError: The card or the data cannot be read at all: file, field or line, and remedy.
    """
    cards = suite_cards(OWN_SUITE, (str(path),))
    loaded = data.load(cards, source=data.DEMO, shots=shots).tasks
    scored = score_tasks([_gold_rows(task) for task in loaded], ScoringOptions(resamples=1))
    return tuple(_judge(task, one, shots) for task, one in zip(loaded, scored, strict=True))


def _gold_rows(task: data.TaskData) -> TaskRows:
    predictions = [
        Prediction(
            task=s.task, id=s.id, key=s.key, prompt_sha="", output=s.gold, reasoning=None,
            finish_reason="stop", prompt_tokens=0, output_tokens=0,
        )
        for s in task.samples
    ]  # fmt: skip
    return TaskRows(
        card=task.card, samples=task.samples, predictions=predictions, warnings=task.warnings
    )


def _judge(task: data.TaskData, scored: TaskScores, shots: int) -> TaskCheck:
    sample = task.samples[0]
    options = PromptOptions(shots=shots)
    prompt = build([sample], options=options, tokenizer=None, max_prompt_tokens=[None])[0]
    scores = tuple(_gold_score(name, scored) for name in scored.scores)
    problems = [*_form_problems(task.card, scored.rows), *_label_problems(task.card, scored.rows)]
    problems += [
        _score_problem(score, scored) for score in scores if not score.perfect and not problems
    ]
    return TaskCheck(
        card=task.card,
        rows=task.rows_total,
        prompt=prompt.messages,
        sample=sample,
        scores=scores,
        notes=(*task.warnings, *_equal_rows(task.samples)),
        problems=tuple(problems),
    )


def _gold_score(name: str, scored: TaskScores) -> GoldScore:
    kind, score = metrics.get(name), scored.scores[name]
    best = kind.bounds[1 if kind.higher_is_better else 0]
    return GoldScore(
        metric=name,
        value=score.value,
        best=best if isfinite(best) and name not in _BELOW_BEST else None,
        reason=score.reason or "",
    )


# -- problems -----------------------------------------------------------------------------------


def _form_problems(card: TaskCard, rows: Sequence[ScoredRow]) -> list[str]:
    """Golds that are not in form, or that come back otherwise from the parser of outputs."""
    example = _EXAMPLES.get(card.form)
    like = f", such as {example}" if example else ""
    found = []
    if blank := [r for r in rows if r.status == "empty" and card.form not in _MAY_BE_EMPTY]:
        found.append(f"{_which(blank)}: the gold answer is empty; fill it in or leave the row out")
    filled = [row for row in rows if row not in blank]
    if odd := [row for row in filled if row.note == "the gold answer does not parse"]:
        found.append(
            f"{_which(odd, _gold)}: not an answer of form {card.form}{like}; correct the gold, or "
            "the card's form"
        )
    if lost := [row for row in filled if row not in odd and row.status == "unparsed"]:
        found.append(
            f"{_which(lost, _gold)}: not read as {card.form} ({lost[0].note}){like}; correct the "
            "gold, or the card's form, labels or scale"
        )
    return found


def _label_problems(card: TaskCard, rows: Sequence[ScoredRow]) -> list[str]:
    """Labels and types of golds that the card does not list."""
    if not card.labels:
        return []
    unlisted: dict[str, list[ScoredRow]] = {}
    for row in rows:
        for label in _labels(card.form, row):
            if label not in card.labels:
                unlisted.setdefault(label, []).append(row)
    return [
        f"{_which(found)}: '{label}' is not among the card's labels"
        f"{closest(label, card.labels)}; add it, or correct the gold"
        for label, found in unlisted.items()
    ]


def _labels(form: str, row: ScoredRow) -> Iterable[str]:
    if form == "label" and isinstance(row.gold, str):
        return (row.gold,)
    if form == "labels" and isinstance(row.gold, tuple):
        return tuple(str(label) for label in row.gold)
    place = _TYPE_PART.get(form)
    if place is None or not isinstance(row.gold, tuple):
        return ()
    return tuple(item[place] for item in row.gold if isinstance(item, tuple))


def _score_problem(score: GoldScore, scored: TaskScores) -> str:
    """A metric by which right answers are not right."""
    said = (
        f"gold answers score {score.value:.4g} in {score.metric} where the best is {score.best:g}"
    )
    values = scored.values.get(score.metric)
    if values is not None:
        worse = [
            row
            for row, value in zip(scored.scored, values, strict=True)
            if not isclose(float(value), score.best or 0.0, abs_tol=1e-9)
        ]
        if worse:
            return f"{said}: {_which(worse, _gold)}; correct these golds, or choose another metric"
    return f"{said}; it needs golds that differ from one another, or choose another metric"


def _equal_rows(samples: Sequence[Sample]) -> list[str]:
    again = len(samples) - len({(s.instruction, s.input) for s in samples})
    return [f"{again} rows ask what another row asks already"] if again else []


def _gold(row: ScoredRow) -> str:
    text = " ".join(row.sample.gold.split())
    return f" '{text[:60]}{'…' if len(text) > 60 else ''}'"


def _which(rows: Sequence[ScoredRow], show: Callable[[ScoredRow], str] = lambda _: "") -> str:
    """The first rows by id, and how many more."""
    shown = ", ".join(f"{row.sample.id}{show(row)}" for row in rows[:_SHOWN])
    more = f" and {len(rows) - _SHOWN} more" if len(rows) > _SHOWN else ""
    return f"{shown}{more}"
