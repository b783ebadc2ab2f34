"""Is the new run worse? Two finished runs compared row by row, with evidence and a verdict."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path
from typing import Any

from medinst_eval.compare.analysis import (
    OVERALL,
    AnalysisOptions,
    Change,
    Unit,
    analyse_task,
    average,
    judge,
)
from medinst_eval.compare.checks import (
    ALLOWABLE,
    Difference,
    parse_allow,
    refuse,
    settings,
)
from medinst_eval.compare.flips import Flip, flips, worst_first
from medinst_eval.compare.gate import (
    Failure,
    GateOptions,
    gate,
    parse_levels,
    parse_min_scores,
)
from medinst_eval.compare.pairing import ROWS, PairedTask, load, pair_task
from medinst_eval.compare.sides import LoadedRun
from medinst_eval.errors import InputError, NotComparableError
from medinst_eval.store import FinishedRun, read_run
from medinst_eval.suites import manifest_cards
from medinst_eval.tasks.card import TaskCard

__all__ = [
    "ALLOWABLE",
    "AnalysisOptions",
    "Change",
    "Comparison",
    "Failure",
    "Flip",
    "GateOptions",
    "Unit",
    "compare",
    "compare_all",
    "parse_allow",
    "parse_levels",
    "parse_min_scores",
]


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """What two runs' difference looks like, and whether the gate lets the new one pass.

    Attributes:
        units: Lines in table order: tasks, categories, overall.
        flips: Rows that changed, worst first.
        notes: What a reader must know: differences that were allowed, tasks without a score.
        failures: Why the gate is closed; empty: no regression.
    """

    base: str
    new: str
    options: AnalysisOptions
    gate: GateOptions
    units: tuple[Unit, ...]
    flips: tuple[Flip, ...]
    notes: tuple[str, ...]
    failures: tuple[Failure, ...]

    @property
    def regression(self) -> bool:
        """The new run is refused."""
        return bool(self.failures)

    def level(self, level: str) -> list[Unit]:
        """The lines of one level."""
        return [unit for unit in self.units if unit.level == level]


def compare(
    base: FinishedRun | Path | str,
    new: FinishedRun | Path | str,
    *,
    options: AnalysisOptions | None = None,
    gate_options: GateOptions | None = None,
    allow: Collection[str] = (),
) -> Comparison:
    """Compare a run with a base run on the samples they share.

    Args:
        base: Run folder, or an opened run.
        new: The run in question.
        options: Metric set, correction, number of resamples, seed.
        gate_options: What counts as a regression.
        allow: Fields in which the runs may differ (`ALLOWABLE`).

    Raises:
        NotComparableError: The runs differ in a field that is not allowed, or share no rows.
        StoreError: A run folder cannot be read.
    """
    loaded = [load(run if isinstance(run, FinishedRun) else read_run(run)) for run in (base, new)]
    return _compare(loaded[0], loaded[1], options, gate_options, allow)


def compare_all(
    base: Path | str,
    news: Sequence[Path | str],
    *,
    options: AnalysisOptions | None = None,
    gate_options: GateOptions | None = None,
    allow: Collection[str] = (),
) -> list[Comparison]:
    """Compare several runs with one base, each on its own; the base is read once."""
    first = load(read_run(base))
    return [_compare(first, load(read_run(new)), options, gate_options, allow) for new in news]


def _compare(
    base: LoadedRun,
    new: LoadedRun,
    options: AnalysisOptions | None,
    gate_options: GateOptions | None,
    allow: Collection[str],
) -> Comparison:
    options, gate_options = options or AnalysisOptions(), gate_options or GateOptions()
    differences = settings(base.run, new.run)
    changed = {difference.field for difference in differences}
    pairs: list[PairedTask] = []
    for card in _cards(base.run, new.run):
        pair, found = pair_task(
            card,
            base,
            new,
            by_content="shots" in changed,
            options=_metric_options(base.run),
        )
        pairs.append(pair)
        differences += _relevant(found, card, options)
    notes = refuse(base.run.name, new.run.name, _merged(differences, changed), allow)
    notes += _backend_note(base.run, new.run)
    pairs = [pair for pair in pairs if pair.rows]
    if not pairs:
        raise NotComparableError(
            f"{base.run.name} and {new.run.name} share no samples; run both on the same --data"
        )
    units = _units(pairs, base.run, options)
    notes += [f"{unit.name}: {unit.note}" for unit in units if unit.score is None]
    changed_rows = chain.from_iterable(flips(p, base, new, options.metrics) for p in pairs)
    return Comparison(
        base=base.run.name,
        new=new.run.name,
        options=options,
        gate=gate_options,
        units=tuple(units),
        flips=tuple(sorted(changed_rows, key=worst_first)),
        notes=tuple(notes),
        failures=gate(units, gate_options),
    )


def _units(pairs: Sequence[PairedTask], base: FinishedRun, options: AnalysisOptions) -> list[Unit]:
    """Lines of tasks, categories and the whole; each level corrected on its own."""
    evidence = [analyse_task(pair, options) for pair in pairs]
    tasks = judge([e.unit for e in evidence], options.correction)
    members = _suite_tasks(base, options)
    suite = [e for e in evidence if members is None or e.unit.name in members]
    groups = dict.fromkeys(e.unit.category for e in suite)
    found = [
        average("category", group, [e for e in suite if e.unit.category == group], options)
        for group in groups
    ]
    categories = judge([unit for unit in found if unit is not None], options.correction)
    whole = average("overall", OVERALL, suite, options)
    overall = [] if whole is None else judge([whole], options.correction)
    return [*tasks, *categories, *overall]


def _suite_tasks(base: FinishedRun, options: AnalysisOptions) -> set[str] | None:
    """Tasks of the base's averages; tasks of one's own are in none of the benchmark's."""
    average = base.results.get("overall", {}).get(options.metrics) or {}
    listed = [*average.get("tasks", ()), *average.get("left_out", ())]
    return set(listed) if listed else None


def _cards(base: FinishedRun, new: FinishedRun) -> list[TaskCard]:
    """Cards of the tasks in both runs, in table order: those kept in the base come first."""
    common = [name for name in base.results["tasks"] if name in new.results["tasks"]]
    known = {card.name: card for card in manifest_cards(base.manifest)}
    missing = [name for name in common if name not in known]
    if missing:
        raise InputError(
            f"no card of task '{missing[0]}' in {base.path}; it was made by a newer version"
        )
    order = {name: place for place, name in enumerate(known)}
    return [known[name] for name in sorted(common, key=order.__getitem__)]


def _metric_options(run: FinishedRun) -> dict[str, Any]:
    options = run.manifest.get("scoring", {}).get("metric_options", {})
    return options if isinstance(options, dict) else {}


def _relevant(
    found: Sequence[Difference], card: TaskCard, options: AnalysisOptions
) -> list[Difference]:
    """Only a headline that cannot be compared keeps two runs apart."""
    names = card.metrics.paper if options.metrics == "paper" else card.metrics.standard
    return [
        difference
        for difference in found
        if difference.field != "metrics"
        or (names and difference.what.startswith(f"{card.name}: {names[0]} "))
    ]


def _merged(differences: Sequence[Difference], changed: Collection[str]) -> list[Difference]:
    """Rows in one run only are the doing of another limit, else of other data; named once."""
    field = "limit" if "limit" in changed else "data"
    rows = [d for d in differences if d.field == ROWS]
    texts = [d for d in differences if d.field == "data"]
    rest = [d for d in differences if d.field not in (ROWS, "data")]
    for group, name in ((texts, "data"), (rows, field)):
        if group:
            more = f" and in {len(group) - 1} more tasks" if len(group) > 1 else ""
            rest.append(replace(group[0], field=name, what=f"{group[0].what}{more}"))
    return rest


def _backend_note(base: FinishedRun, new: FinishedRun) -> list[str]:
    """Engines may differ: rounding alone changes some outputs."""
    names = [run.manifest.get("backend", {}).get("name") for run in (base, new)]
    if names[0] == names[1]:
        return []
    return [f"the runs used other backends ({names[0]} and {names[1]})"]
