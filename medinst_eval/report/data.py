"""Collects from finished run folders what the page and the charts show. No HTML here."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from medinst_eval.data import DEMO
from medinst_eval.report.breakdown import by_type, confusion, scatter
from medinst_eval.report.content import (
    FAILURES,
    LETTERS,
    SETS,
    ChartRow,
    ReportData,
    RunFacts,
    Score,
    TaskRun,
    TaskView,
)  # fmt: skip
from medinst_eval.report.forms import form_of
from medinst_eval.report.reference import Reference, reference
from medinst_eval.report.samples import TaskSamples, view_task
from medinst_eval.store import FinishedRun
from medinst_eval.suites import MEDINST32, manifest_cards
from medinst_eval.tasks.card import TaskCard


def collect(runs: Sequence[FinishedRun], inputs: Mapping[str, str] | None = None) -> ReportData:
    """Read finished runs.

    Args:
        runs: One or more runs; the first is the one that the others are set against.
        inputs: Sample id -> input text, for runs whose samples do not carry it.
    """
    suite = str(runs[0].results.get("suite") or MEDINST32)
    cards = {card.name: card for run in runs for card in manifest_cards(run.manifest)}
    records = [_by_task(run.samples()) for run in runs]
    names = _task_order(runs, cards)
    # The built-in data are a handful of made-up rows: published scores have no place beside them.
    made_up = any(run.manifest.get("data", {}).get("source") == DEMO for run in runs)
    known = reference("" if made_up else suite)
    tasks = tuple(
        _task_view(
            name, runs, [r.get(name, ()) for r in records], cards.get(name), inputs or {}, known
        )
        for name in names
    )
    used = [w for w in SETS if any(_has_headline(run, w) for run in runs)]
    return ReportData(
        runs=tuple(_facts(run, LETTERS[i % len(LETTERS)]) for i, run in enumerate(runs)),
        tasks=tasks,
        charts={which: _chart(which, runs, known) for which in used},
        reference=known,
    )


def _has_headline(run: FinishedRun, which: str) -> bool:
    return any((task.get("primary") or {}).get(which) for task in run.results["tasks"].values())


def _by_task(samples: Iterable[Mapping[str, Any]]) -> dict[str, list[Mapping[str, Any]]]:
    groups: dict[str, list[Mapping[str, Any]]] = {}
    for record in samples:
        groups.setdefault(str(record["task"]), []).append(record)
    return groups


def _task_order(runs: Sequence[FinishedRun], cards: Mapping[str, TaskCard]) -> list[str]:
    """The order of the cards, own tasks after them in the order of the runs."""
    present = dict.fromkeys(name for run in runs for name in run.results["tasks"])
    return [n for n in cards if n in present] + [n for n in present if n not in cards]


# -- scores -------------------------------------------------------------------------------------


def read_score(metric: str, record: Mapping[str, Any] | None) -> Score | None:
    """A score of `results.json`, scaled for showing."""
    if not record:
        return None
    higher = bool(record.get("higher_is_better", True))
    factor = 100.0 if higher else 1.0
    value = record.get("value")
    low, high = record.get("ci95") or (None, None)
    return Score(
        metric=metric,
        value=None if value is None else factor * value,
        low=None if low is None else factor * low,
        high=None if high is None else factor * high,
        higher_is_better=higher,
        reason=str(record.get("reason") or ""),
        signature=str(record.get("signature") or ""),
        tasks=len(record.get("tasks") or ()),
        of=int(record.get("of") or 0),
    )


def _headline(result: Mapping[str, Any], which: str) -> Score | None:
    name = (result.get("primary") or {}).get(which)
    return read_score(str(name), result["metrics"].get(name)) if name else None


def _chart(which: str, runs: Sequence[FinishedRun], known: Reference) -> tuple[ChartRow, ...]:
    rows = []
    groups = dict.fromkeys(g for run in runs for g in run.results.get("categories", {}))
    for group in groups:
        found = [run.results.get("categories", {}).get(group, {}).get(which) for run in runs]
        rows.append(_chart_row(group, which, found, _metric_of(group, which, runs), known))
    overall = [run.results.get("overall", {}).get(which) for run in runs]
    rows.append(_chart_row("All tasks", which, overall, which, known, strong=True))
    return tuple(rows)


def _metric_of(group: str, which: str, runs: Sequence[FinishedRun]) -> str:
    """The headline metric that all tasks of a category share, else the name of the set."""
    names = {
        (task.get("primary") or {}).get(which)
        for run in runs
        for task in run.results["tasks"].values()
        if task.get("category") == group
    }
    return str(names.pop()) if len(names) == 1 else which


def _chart_row(
    name: str,
    which: str,
    found: Sequence[Mapping[str, Any] | None],
    metric: str,
    known: Reference,
    *,
    strong: bool = False,
) -> ChartRow:
    scores = tuple(read_score(metric, record) for record in found)
    tasks = list(dict.fromkeys(t for record in found if record for t in record.get("tasks") or ()))
    count = max((s.tasks for s in scores if s), default=0)
    of = max((s.of for s in scores if s), default=0)
    note = f"{count} of {of} tasks" if of > count else f"{count} task{'s' * (count != 1)}"
    points: list[tuple[str, float]] = []
    if which == known.which and all(s is None or s.scaled for s in scores):
        for model in known.models:
            if (value := known.mean(model, tasks)) is not None:
                points.append((model.name, value))
    return ChartRow(name=name, note=note, scores=scores, published=tuple(points), strong=strong)


# -- runs and tasks -----------------------------------------------------------------------------


def _facts(run: FinishedRun, letter: str) -> RunFacts:
    manifest, results = run.manifest, run.results
    tasks = results["tasks"].values()
    prompt = manifest.get("prompt") or {}
    data = manifest.get("data") or {}
    counts = {key: sum(int(t.get(key) or 0) for t in tasks) for key in ("n", "n_scored", *FAILURES)}
    return RunFacts(
        letter=letter,
        name=run.name,
        model=str(results.get("model") or (manifest.get("model") or {}).get("name") or ""),
        shots=results.get("shots", prompt.get("shots")),
        layout=str(prompt.get("layout") or ""),
        source=str(data.get("source") or ""),
        complete=bool(results.get("complete", True)),
        overall={
            w: read_score(w, (results.get("overall") or {}).get(w)) for w in (*SETS, "pooled")
        },
        counts=counts,
        n_tasks=len(results["tasks"]),
        absent=tuple(map(str, results.get("absent") or ())),
        warnings=_warnings(results),
        settings=_settings(manifest, results),
    )


def _warnings(results: Mapping[str, Any]) -> tuple[str, ...]:
    found = [str(w) for w in results.get("warnings") or ()]
    for name, task in results["tasks"].items():
        found += [f"{name}: {w}" for w in task.get("warnings") or ()]
    return tuple(found)


# `settings` are the options as given; the other sections hold what came of them.
_LEFT_OUT = ("data.tasks", "cards", "run", "schema_version", "settings")


def _settings(manifest: Mapping[str, Any], results: Mapping[str, Any]) -> dict[str, str]:
    """The manifest and timing as `a.b.c` -> value; nothing that is not set."""
    flat: dict[str, str] = {}

    def walk(prefix: str, value: Any) -> None:
        if prefix in _LEFT_OUT or value in (None, "", [], {}):
            return
        if isinstance(value, Mapping):
            for key, inner in value.items():
                walk(f"{prefix}.{key}" if prefix else str(key), inner)
        elif isinstance(value, list):
            flat[prefix] = ", ".join(map(str, value))
        else:
            flat[prefix] = f"{value:,}" if type(value) is int else str(value)

    walk("", dict(manifest))
    walk("timing", dict(results.get("timing") or {}))
    return flat


def _task_view(
    name: str,
    runs: Sequence[FinishedRun],
    records: Sequence[Sequence[Mapping[str, Any]]],
    card: TaskCard | None,
    inputs: Mapping[str, str],
    known: Reference,
) -> TaskView:
    results = [run.results["tasks"].get(name) for run in runs]
    first = next(r for r in results if r is not None)
    answers = [r.get("answer") for r in next((r for r in records if r), ())[:50]]
    form = form_of(first, answers, card.form if card else None)
    labels = card.labels if card else ()
    view = view_task(name, form, first, records, inputs, labels)
    task_runs = tuple(
        None if result is None else _task_run(result, view, index, card)
        for index, result in enumerate(results)
    )
    return TaskView(
        name=name,
        title=card.title if card else "",
        category=str(first.get("category", "")),
        level=first.get("level"),
        runs=task_runs,
        behind={w: _behind(name, w, task_runs, known) for w in SETS},
        printed=known.printed(name),
        samples=view,
    )


def _task_run(
    result: Mapping[str, Any], view: TaskSamples, index: int, card: TaskCard | None
) -> TaskRun:
    return TaskRun(
        n=int(result.get("n", 0)),
        n_scored=int(result.get("n_scored", 0)),
        failures={key: int(result.get(key) or 0) for key in FAILURES},
        headline={which: _headline(result, which) for which in SETS},
        metrics=tuple(
            score for n, m in result["metrics"].items() if (score := read_score(n, m)) is not None
        ),
        warnings=tuple(map(str, result.get("warnings") or ())),
        confusion=confusion(view, index),
        types=by_type(view, index),
        scatter=scatter(view, index, card.scale if card else None),
    )


def _behind(
    task: str, which: str, runs: Sequence[TaskRun | None], known: Reference
) -> tuple[tuple[str, float], ...]:
    scores = [run.headline[which] for run in runs if run]
    scaled = all(score is None or score.scaled for score in scores)
    return known.on(task, which) if scaled else ()
