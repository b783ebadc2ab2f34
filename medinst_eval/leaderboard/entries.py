"""The models of a leaderboard: finished runs and published columns, in one shape."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from medinst_eval import published
from medinst_eval.errors import InputError
from medinst_eval.store import FinishedRun, read_run
from medinst_eval.tasks import OWN_SUITE

MetricSet = Literal["paper", "standard"]
MEDINST32 = "medinst32"
MMLU = "mmlu-medicine"
CONDITIONS = ("shots", "layout", "prompt", "rows", "data")
"""Settings under which models must agree before their scores are set side by side."""
UNKNOWN = "not stated"
_DEPTH = 3


@dataclass(frozen=True, kw_only=True)
class Score:
    """A model's score on a task; shares of 1, errors as they are."""

    value: float
    ci95: tuple[float, float] | None = None
    stderr: float | None = None
    rows: int | None = None


@dataclass(frozen=True, kw_only=True)
class TaskInfo:
    """What a table says of a task."""

    name: str
    label: str
    """Shown instead of the name (the paper's abbreviations of MMLU subjects)."""
    category: str
    level: int | None
    metric: str
    higher_is_better: bool
    averaged: bool = True
    """False for tasks of one's own beside a benchmark: they are in no average of it."""


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One model.

    Attributes:
        name: As shown: the model's name, or the run's where two runs share a model.
        trained: Trained on the tasks' training sets (the dagger).
        conditions: `CONDITIONS` -> what held for this model.
        tasks: The tasks it has a score or a reason for, in its own order.
        scores: Task -> score; tasks without a value are left out.
        averages: Tasks -> stored average with its interval.
        failures: Rows not answered in form, and all rows; None for published models.
        run: The run folder; None for published models.
    """

    name: str
    trained: bool = False
    conditions: Mapping[str, str]
    tasks: Mapping[str, TaskInfo]
    scores: Mapping[str, Score]
    averages: Mapping[frozenset[str], Score] = field(default_factory=dict)
    digests: Mapping[str, str] = field(default_factory=dict)
    failures: tuple[int, int] | None = None
    errors: int = 0
    run: FinishedRun | None = None
    suite: str = MEDINST32
    pooled: Score | None = None
    """Average over all questions of MMLU-Medicine, as in the paper's table."""


def find_runs(paths: Sequence[Path]) -> list[FinishedRun]:
    """Run folders among the paths and in folders up to three levels below them, by name.

    Raises:
        InputError: A path is missing, or there is no finished run at all.
    """
    found: dict[Path, None] = {}
    for path in paths:
        if not path.is_dir():
            raise InputError(f"no folder {path}; give run folders, or a folder that holds some")
        patterns = ("/".join(["*"] * depth + ["results.json"]) for depth in range(_DEPTH + 1))
        below = [p for pattern in patterns for p in path.glob(pattern)]
        if not below:
            raise InputError(f"no finished run in {path}; `medinst-eval --model …` makes one")
        found.update(dict.fromkeys(sorted(p.parent.resolve() for p in below)))
    return [read_run(path) for path in found]


def from_runs(runs: Sequence[FinishedRun], which: MetricSet) -> list[Entry]:
    """Entries of runs; named by their model where that tells them apart."""
    models = [str(run.results.get("model", run.name)) for run in runs]
    short = [model.rstrip("/").rsplit("/", 1)[-1] for model in models]
    names = [
        model if short.count(model) == 1 else run.name
        for model, run in zip(short, runs, strict=True)
    ]
    names = [
        name if names.count(name) == 1 else str(run.path)
        for name, run in zip(names, runs, strict=True)
    ]
    return [_from_run(run, name, which) for run, name in zip(runs, names, strict=True)]


def from_published(suite: str) -> list[Entry]:
    """The paper's models: seven on MedINST32, six on MMLU-Medicine; never with an interval."""
    if suite == MMLU:
        return [_from_mmlu(model) for model in published.mmlu()]
    tasks = {
        task.name: TaskInfo(
            name=task.name, label=task.name, category=task.category, level=task.level,
            metric=task.metric, higher_is_better=task.higher_is_better,
        )
        for task in published.medinst32_tasks()
    }  # fmt: skip
    return [
        Entry(
            name=model.name,
            trained=model.trained,
            conditions={**_paper_conditions(), "shots": str(model.shots), "layout": "chat"},
            tasks=tasks,
            scores={task: Score(value=value) for task, value in model.scores.items()},
        )
        for model in published.medinst32()
    ]


def mark_published(entries: Sequence[Entry], taken: Sequence[Entry]) -> list[Entry]:
    """Published entries whose name a run also has are told apart by their source."""
    names = {entry.name for entry in taken}
    return [replace(e, name=f"{e.name} (paper)") if e.name in names else e for e in entries]


def _from_mmlu(model: published.PublishedModel) -> Entry:
    tasks = {
        subject: TaskInfo(
            name=subject, label=label, category="MMLU", level=None, metric="accuracy",
            higher_is_better=True,
        )
        for subject, (label, _) in published.MMLU_SUBJECTS.items()
    }  # fmt: skip
    return Entry(
        name=model.name,
        conditions={**_paper_conditions(), "shots": UNKNOWN, "layout": UNKNOWN},
        tasks=tasks,
        scores={
            subject: Score(value=value, rows=published.MMLU_SUBJECTS[subject][1])
            for subject, value in model.scores.items()
        },
        suite=MMLU,
        pooled=None if model.average is None else Score(value=model.average),
    )


def _paper_conditions() -> dict[str, str]:
    return {"prompt": "default", "rows": "all", "data": "paper"}


def _from_run(run: FinishedRun, name: str, which: MetricSet) -> Entry:
    tasks: dict[str, TaskInfo] = {}
    scores: dict[str, Score] = {}
    failed = rows = errors = 0
    suite = str(run.results.get("suite") or run.manifest.get("suite") or MEDINST32)
    which = "standard" if suite == MMLU else which
    for task, record in run.results["tasks"].items():
        rows += int(record.get("n", 0))
        errors += int(record.get("n_errors", 0))
        failed += sum(
            int(record.get(key, 0)) for key in ("unparsed", "empty", "truncated", "n_errors")
        )
        metric = record.get("primary", {}).get(which)
        if not metric:
            continue
        entry = record["metrics"].get(metric) or {}
        tasks[task] = TaskInfo(
            name=task,
            label=_label(task, suite),
            category=str(record.get("category", "")),
            level=record.get("level"),
            metric=metric,
            higher_is_better=bool(entry.get("higher_is_better", True)),
            averaged=suite == OWN_SUITE or not record.get("own", False),
        )
        if (score := _score(entry, record.get("n_scored"))) is not None:
            scores[task] = score
    return Entry(
        name=name,
        conditions=_conditions(run),
        tasks=tasks,
        scores=scores,
        averages=_averages(run, which),
        digests=_digests(run),
        failures=(failed, rows),
        errors=errors,
        run=run,
        suite=suite,
        pooled=_score(run.results.get("overall", {}).get("pooled") or {}),
    )


def _label(task: str, suite: str) -> str:
    if suite != MMLU:
        return task
    subject = task.lower().replace("-", "_").removeprefix("mmlu_")
    return published.MMLU_SUBJECTS.get(subject, (task, 0))[0]


def _score(entry: Mapping[str, Any], rows: int | None = None) -> Score | None:
    if entry.get("value") is None:
        return None
    ci95 = entry.get("ci95")
    return Score(
        value=float(entry["value"]),
        ci95=(float(ci95[0]), float(ci95[1])) if ci95 else None,
        stderr=entry.get("stderr"),
        rows=rows,
    )


def _averages(run: FinishedRun, which: MetricSet) -> dict[frozenset[str], Score]:
    """Stored averages by the tasks they are over, so that each is used only where it fits."""
    groups = [*run.results.get("categories", {}).values(), run.results.get("overall", {})]
    found: dict[frozenset[str], Score] = {}
    for group in groups:
        average = group.get(which) or {}
        score = _score(average)
        if score is not None and average.get("tasks"):
            found[frozenset(average["tasks"])] = score
    return found


def _digests(run: FinishedRun) -> dict[str, str]:
    tasks = run.manifest.get("data", {}).get("tasks") or {}
    return {
        name: str(entry["digest"])
        for name, entry in tasks.items()
        if isinstance(entry, dict) and "digest" in entry
    }


def _conditions(run: FinishedRun) -> dict[str, str]:
    prompt = run.manifest.get("prompt", {})
    data = run.manifest.get("data", {})
    shots = run.results.get("shots", prompt.get("shots"))
    extras = [
        word
        for word, given in (
            ("system prompt", prompt.get("system_prompt")),
            ("template arguments", prompt.get("template_args")),
        )
        if given
    ]
    source = str(data.get("source") or UNKNOWN).rstrip("/").rsplit("/", 1)[-1]
    return {
        "shots": UNKNOWN if shots is None else str(shots),
        "layout": str(prompt.get("layout") or UNKNOWN),
        "prompt": ", ".join(extras) or "default",
        "rows": _rows(data),
        "data": source,
    }


def _rows(data: Mapping[str, Any]) -> str:
    if data.get("limit") is not None:
        return f"first {data['limit']}"
    if data.get("sample") is not None:
        return f"{data['sample']} random"
    if data.get("shard"):
        return "one shard"
    return "all"
