"""The regression gate: which differences fail a pipeline."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, get_args

from medinst_eval.compare.analysis import Change, Level, Unit
from medinst_eval.errors import InputError
from medinst_eval.numbers import p_equals, points

FailOn = Literal["significant", "threshold", "both"]
LEVELS: tuple[Level, ...] = get_args(Level)
_ROUNDING = 1e-9
"""Points; a drop of exactly the limit is allowed in spite of binary fractions."""


@dataclass(frozen=True, kw_only=True)
class GateOptions:
    """What counts as a regression.

    Attributes:
        fail_on: `significant`: a line whose verdict is *worse*. `threshold`: a drop of more than
            `max_drop` points, in score or in the share of answers in form. `both`: the two
            together. None: `threshold` where `max_drop` is given, else `significant`.
        max_drop: Points.
        on: Levels looked at; empty: `overall` for a threshold, else `overall` and `task`.
        min_scores: Task, category or `overall` -> lowest score allowed, in points (highest error
            for error measures, as they are).
    """

    fail_on: FailOn | None = None
    max_drop: float | None = None
    on: tuple[Level, ...] = ()
    min_scores: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.fail_on in ("threshold", "both") and self.max_drop is None:
            raise InputError(f"--fail-on {self.fail_on} needs --max-drop POINTS")
        if self.max_drop is not None and not 0 <= self.max_drop <= 100:
            raise InputError(f"--max-drop is in points, 0 to 100, not {self.max_drop:g}")
        if self.fail_on == "significant" and self.max_drop is not None:
            raise InputError("--max-drop has no effect with --fail-on significant; use both")

    @property
    def rule(self) -> FailOn:
        """The rule in force."""
        if self.fail_on is not None:
            return self.fail_on
        return "significant" if self.max_drop is None else "threshold"

    @property
    def levels(self) -> tuple[Level, ...]:
        """The levels in force."""
        if self.on:
            return self.on
        return ("overall",) if self.rule == "threshold" else ("overall", "task")

    def describe(self) -> str:
        """The gate in one line."""
        limit = f"{self.max_drop:g} points" if self.max_drop is not None else ""
        what = {
            "significant": "significantly worse",
            "threshold": f"a drop of more than {limit}",
            "both": f"a significant drop of more than {limit}",
        }[self.rule]
        floors = "".join(f"; {name} at least {v:g}" for name, v in self.min_scores.items())
        return f"fails on {what} ({', '.join(self.levels)}){floors}"


@dataclass(frozen=True, kw_only=True)
class Failure:
    """One reason why the gate is closed."""

    level: Level
    name: str
    reason: str


def parse_levels(spec: str) -> tuple[Level, ...]:
    """Levels of a comma-separated `--on`.

    Raises:
        InputError: An unknown level.
    """
    given = [part.strip().lower() for part in spec.split(",") if part.strip()]
    for part in given:
        if part not in LEVELS:
            raise InputError(f"--on: unknown level '{part}'; give {', '.join(LEVELS)}")
    return tuple(level for level in LEVELS if level in given)


def parse_min_scores(specs: Sequence[str]) -> dict[str, float]:
    """`--min-score NAME=POINTS`, several.

    Raises:
        InputError: Not of that form, or not a number.
    """
    found: dict[str, float] = {}
    for spec in specs:
        name, sign, value = spec.rpartition("=")
        try:
            found[name.strip()] = float(value)
        except ValueError:
            sign = ""
        if not sign or not name.strip() or not 0 <= found[name.strip()] <= 100:
            raise InputError(f"--min-score '{spec}': give NAME=POINTS, e.g. MedQA=45")
    return found


def gate(units: Sequence[Unit], options: GateOptions) -> tuple[Failure, ...]:
    """Reasons to refuse the new run; empty: no regression.

    Raises:
        InputError: A minimum for a task or category that was not compared, or one below 1 point.
    """
    failures = [
        Failure(level=unit.level, name=unit.name, reason=reason)
        for unit in units
        if unit.level in options.levels
        for reason in _drops(unit, options)
    ]
    return (*failures, *_floors(units, options.min_scores))


def _drops(unit: Unit, options: GateOptions) -> Iterator[str]:
    """Why one line fails, by score and by form.

    The limit is on the score as shown; that tasks weighted by their rows fell is evidence of a
    drop, not another amount of it.
    """
    because = unit.because if unit.verdict == "worse" else ()
    if unit.score is not None and unit.gain is not None:
        drop, change, name = -unit.gain, unit.score, unit.metric
        significant = bool({"score", "rows"} & set(because))
        if _fails(drop, significant, options):
            if options.rule == "significant" and "score" not in because and unit.weighted:
                drop, change = -unit.points(unit.weighted), unit.weighted
                name = f"{name} with tasks weighted by their rows"
            verb = "fell" if unit.higher_is_better else "got worse"
            yield _fell(f"{name} {verb}", drop, change, options)
    lost_form = -100 * unit.form.difference
    if _fails(lost_form, "form" in because, options):
        yield _fell("share of answers in form fell", lost_form, unit.form, options)


def _fails(drop: float, significant: bool, options: GateOptions) -> bool:
    beyond = options.max_drop is not None and drop > options.max_drop + _ROUNDING
    return {
        "significant": significant,
        "threshold": beyond,
        "both": significant and beyond,
    }[options.rule]


def _fell(what: str, drop: float, change: Change, options: GateOptions) -> str:
    limit = "" if options.max_drop is None else f", more than {options.max_drop:g}"
    return f"{what} by {drop:.1f} points{limit} ({p_equals(change.corrected)})"


def _floors(units: Sequence[Unit], floors: Mapping[str, float]) -> Iterator[Failure]:
    known = {unit.name.lower(): unit for unit in units}
    for name, floor in floors.items():
        unit = known.get(name.lower())
        if unit is None:
            close = difflib.get_close_matches(name.lower(), known, n=1, cutoff=0.5)
            hint = f"; did you mean '{known[close[0]].name}'?" if close else ""
            raise InputError(f"--min-score: '{name}' is not among the compared{hint}")
        if unit.higher_is_better and 0 < floor < 1:
            raise InputError(
                f"--min-score {name}={floor:g} is below one point; scores are in points: "
                f"{name}={100 * floor:g}"
            )
        if unit.score is None:
            yield Failure(level=unit.level, name=unit.name, reason=f"no score: {unit.note}")
            continue
        value = unit.score.new * (100 if unit.higher_is_better else 1)
        if unit.higher_is_better and value < floor - _ROUNDING:
            reason = f"{unit.metric} is {points(unit.score.new)}, below the minimum {floor:g}"
        elif not unit.higher_is_better and value > floor + _ROUNDING:
            reason = f"{unit.metric} is {value:.2f}, above the maximum {floor:g}"
        else:
            continue
        yield Failure(level=unit.level, name=unit.name, reason=reason)
