"""The learning curve of a training run: scores and gate verdicts of its checkpoints, by step."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from medinst_eval.compare import Comparison, render
from medinst_eval.errors import InputError
from medinst_eval.files import read_json, write_json

SCHEMA_VERSION = 1
FILE, CHART = "curve.json", "curve.png"
SETS = ("paper", "standard")
OVERALL = "overall"
REGRESSION, PASSED, NOT_COMPARABLE = "regression", "no regression", "not comparable"

Point = dict[str, Any]
"""A checkpoint in `curve.json`: `step`, `checkpoint`, and `tasks`, or `error` where it failed."""


@dataclass(kw_only=True)
class Curve:
    """What `curve.json` holds.

    Attributes:
        settings: What every checkpoint was asked.
        points: Checkpoints by step.
        baseline: Scores of the run compared with, as a point; None without one.
    """

    path: Path
    training: str
    settings: Mapping[str, Any]
    points: list[Point]
    baseline: Point | None = None

    def at(self, step: int) -> Point | None:
        """The checkpoint of a step."""
        return next((point for point in self.points if point["step"] == step), None)

    def put(self, point: Point) -> None:
        """Add a checkpoint, or replace what was known of it, and save the curve."""
        others = [known for known in self.points if known["step"] != point["step"]]
        self.points = sorted([*others, point], key=lambda known: int(known["step"]))
        self.save()

    def save(self) -> None:
        """Write the file, whole or not at all."""
        record = {
            "schema_version": SCHEMA_VERSION,
            "training": self.training,
            "settings": self.settings,
            "baseline": self.baseline,
            "points": self.points,
        }
        write_json(self.path, record)

    @property
    def scored(self) -> list[Point]:
        """Checkpoints with scores."""
        return [point for point in self.points if "tasks" in point]


def open_curve(path: Path, training: str, settings: Mapping[str, Any]) -> Curve:
    """A curve to go on with, or an empty one.

    Args:
        path: `curve.json`.
        training: The training's folder.
        settings: What every checkpoint is asked, as JSON values.

    Raises:
        InputError: The curve there is of another training, or its checkpoints were asked
            otherwise, so that the new points could not be compared with the old ones.
        StoreError: The file cannot be read.
    """
    if not path.is_file():
        return Curve(path=path, training=training, settings=settings, points=[])
    record = read_json(path, "curve")
    if not isinstance(record, dict) or record.get("schema_version") != SCHEMA_VERSION:
        raise InputError(f"{path} is not a curve of this version; give another --output")
    if record.get("training") != training:
        raise InputError(f"{path} is the curve of {record.get('training')}; give another --output")
    before = record.get("settings") or {}
    differing = [
        f"{name}: {before.get(name)} -> {settings.get(name)}"
        for name in sorted({*before, *settings})
        if before.get(name) != settings.get(name)
    ]
    if differing:
        raise InputError(
            f"{path} was made with other options ({'; '.join(differing[:4])}); "
            "give the same options, or another --output"
        )
    return Curve(
        path=path,
        training=training,
        settings=settings,
        points=list(record["points"]),
        baseline=record.get("baseline"),
    )


def scores(results: Mapping[str, Any]) -> Point:
    """Headline scores of a run: of its tasks, and over all of them.

    Args:
        results: Content of `results.json`.

    Returns:
        `run`, `complete`, `overall` (`paper`, `standard`) and `tasks`; each score with `metric`,
        `value` (0 to 1, error measures as they are), `ci95` and `higher_is_better`, and for tasks
        the number of rows `n` and of those `not_in_form`.
    """
    return {
        "run": results["run"],
        "complete": results["complete"],
        OVERALL: {
            which: _score(which, results[OVERALL][which])
            for which in SETS
            if which in results[OVERALL]
        },
        "tasks": {name: _task(task) for name, task in results["tasks"].items()},
    }


def _task(task: Mapping[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {
        which: _score(metric, task["metrics"][metric])
        for which, metric in task["primary"].items()
        if metric in task["metrics"]
    }
    failures = ("unparsed", "empty", "truncated", "n_errors")
    return {**found, "n": task["n"], "not_in_form": sum(task[name] for name in failures)}


def _score(metric: str, score: Mapping[str, Any]) -> dict[str, Any]:
    kept = {name: score[name] for name in ("value", "ci95", "higher_is_better")}
    return {"metric": metric, **kept}


def score_at(point: Mapping[str, Any], name: str, which: str) -> Mapping[str, Any] | None:
    """The score of a task, or `overall`, at a point; None where it has none."""
    owner = point.get(OVERALL) if name == OVERALL else point.get("tasks", {}).get(name)
    score = (owner or {}).get(which)
    return score if score is not None and score["value"] is not None else None


def verdict(comparison: Comparison) -> dict[str, Any]:
    """What the gate says of a checkpoint, as `curve.json` keeps it."""
    return {
        "verdict": REGRESSION if comparison.regression else PASSED,
        "reasons": render.reasons(comparison),
        "tasks": {unit.name: unit.verdict for unit in comparison.level("task")},
        OVERALL: next((unit.verdict for unit in comparison.level(OVERALL)), None),
    }


def answers(kept: Mapping[str, Any] | None, asked: Mapping[str, Any]) -> bool:
    """Whether a kept verdict answers the question."""
    return kept is not None and all(kept.get(name) == value for name, value in asked.items())


def names(curve: Curve) -> list[str]:
    """Tasks of the curve in table order, then `overall`."""
    return [*dict.fromkeys(name for point in curve.scored for name in point["tasks"]), OVERALL]


def task_verdict(point: Mapping[str, Any], name: str) -> str | None:
    """*better*, *worse*, *no evidence*, or None where nothing was compared."""
    gate = point.get("gate") or {}
    found = gate.get(OVERALL) if name == OVERALL else gate.get("tasks", {}).get(name)
    return None if found is None else str(found)


def series(
    points: Sequence[Point], name: str, which: str
) -> Iterator[tuple[int, Mapping[str, Any], str | None]]:
    """Step, score and verdict of the points that have a score."""
    for point in points:
        if (score := score_at(point, name, which)) is not None:
            yield int(point["step"]), score, task_verdict(point, name)
