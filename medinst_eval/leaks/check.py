"""The whole check of a data set, task by task."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from medinst_eval import parsers
from medinst_eval.data import Dataset, TaskData
from medinst_eval.leaks.overlap import Index, Options, build_index, hits, words
from medinst_eval.leaks.training import scan
from medinst_eval.tasks.card import BRACKET_FORMS, TaskCard
from medinst_eval.types import ParseContext, Sample

Kind = Literal["own demonstration", "demonstration", "training"]
_EXACT = 0.999


@dataclass(frozen=True, kw_only=True)
class Finding:
    """A test input that something gives away."""

    kind: Kind
    """`own demonstration`: in the very prompt that asks it; `demonstration`: in another prompt of
    the task, so that demonstrations come from what is evaluated; `training`: in a training file."""
    id: str
    """The test row."""
    where: str
    """The row whose demonstration it is, or `file:line`."""
    share: float
    """Share of the input's n-grams found there; 1 is a repetition."""

    @property
    def exact(self) -> bool:
        """Whether all of the input is there."""
        return self.share >= _EXACT


@dataclass(kw_only=True)
class TaskReport:
    """What was found in one task. Findings are leaks; everything else is a warning."""

    task: str
    rows: int
    findings: list[Finding] = field(default_factory=list)
    """At most one a row and kind: the one with the largest share."""
    duplicates: list[tuple[str, str]] = field(default_factory=list)
    """(later row, earlier row) with the same instruction and input."""
    unparsed_golds: list[str] = field(default_factory=list)
    odd_labels: Counter[str] = field(default_factory=Counter)
    """Labels or types of golds that the card does not list, with their number."""
    warnings: tuple[str, ...] = ()

    def count(self, kind: Kind, *, exact: bool | None = None) -> int:
        """Rows that leak in one way."""
        chosen = [f for f in self.findings if f.kind == kind]
        return len(chosen if exact is None else [f for f in chosen if f.exact == exact])


@dataclass(frozen=True, kw_only=True)
class LeakReport:
    """What was found in a data set."""

    tasks: tuple[TaskReport, ...]
    options: Options
    training_rows: int = 0

    @property
    def leaks(self) -> int:
        """Test rows that something gives away."""
        return len({finding.id for task in self.tasks for finding in task.findings})


def check_data(
    dataset: Dataset, *, training: Sequence[Path] = (), options: Options | None = None
) -> LeakReport:
    """Check demonstrations, rows and golds of a data set, and training files against it.

    Args:
        dataset: Rows with their demonstrations.
        training: JSON Lines files whose rows have an `input`.
        options: What counts as giving an input away.

    Raises:
        InputError: A training file cannot be read or has a malformed line.
    """
    options = options or Options()
    samples = [sample for task in dataset.tasks for sample in task.samples]
    index = build_index([sample.input for sample in samples], options)
    best: dict[tuple[Kind, str], Finding] = {}
    _search_demonstrations(index, samples, best)
    seen, found = scan(index, training) if training else (0, [])
    for place, share, where in found:
        _keep(
            best,
            Finding(kind="training", id=samples[place].id, where=where, share=share),
        )
    reports = tuple(_task_report(task, best) for task in dataset.tasks)
    return LeakReport(tasks=reports, options=options, training_rows=seen)


def _keep(best: dict[tuple[Kind, str], Finding], finding: Finding) -> None:
    known = best.get((finding.kind, finding.id))
    if known is None or known.share < finding.share:
        best[(finding.kind, finding.id)] = finding


def _search_demonstrations(
    index: Index, samples: Sequence[Sample], best: dict[tuple[Kind, str], Finding]
) -> None:
    known: dict[str, list[tuple[int, float]]] = {}
    for sample in samples:
        for user, _ in sample.history:
            if user not in known:
                # A demonstration is "instruction\ninput": a short input is compared with the rest.
                tail = user.partition("\n")[2]
                known[user] = [(h.place, h.share) for h in hits(index, user, tail)]
            for place, share in known[user]:
                if samples[place].task != sample.task:
                    continue  # Another task's prompts show this task's answers to nobody.
                mine = samples[place].id == sample.id
                _keep(
                    best,
                    Finding(
                        kind="own demonstration" if mine else "demonstration",
                        id=samples[place].id,
                        where=sample.id,
                        share=share,
                    ),
                )


def _task_report(task: TaskData, best: dict[tuple[Kind, str], Finding]) -> TaskReport:
    ids = {sample.id for sample in task.samples}
    report = TaskReport(
        task=task.card.name,
        rows=len(task.samples),
        findings=[finding for finding in best.values() if finding.id in ids],
        warnings=task.warnings,
    )
    first: dict[tuple[str, str], str] = {}
    for sample in task.samples:
        key = (sample.instruction, " ".join(words(sample.input)))
        if key in first:
            report.duplicates.append((sample.id, first[key]))
        first.setdefault(key, sample.id)
        _check_gold(task.card, sample, report)
    return report


def _check_gold(card: TaskCard, sample: Sample, report: TaskReport) -> None:
    context = ParseContext(
        input=sample.input,
        labels=card.labels,
        options=parsers.options_from_input(sample.input) if card.form == "choice" else (),
        scale=card.scale,
    )
    parsed = parsers.parse_gold(card.form, sample.gold, context)
    if parsed.status == "unparsed":
        report.unparsed_golds.append(sample.id)
        return
    known = {label.casefold() for label in card.labels}
    if not known or parsed.value is None:
        return
    if card.form in BRACKET_FORMS and isinstance(parsed.value, tuple):
        place = {"entities": 1, "relations": 1, "events": 0}.get(card.form)
        if place is not None:
            for item in parsed.value:
                if item[place].casefold() not in known:
                    report.odd_labels[item[place]] += 1
    elif card.form == "label" and str(parsed.value).casefold() not in known:
        report.odd_labels[str(parsed.value)] += 1
    elif card.form == "labels" and isinstance(parsed.value, tuple):
        for label in parsed.value:
            if str(label).casefold() not in known:
                report.odd_labels[str(label)] += 1
