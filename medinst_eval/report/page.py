"""Renders the report: one HTML file that loads nothing and runs nothing but its own script."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping, Sequence
from importlib import resources
from typing import Any

from medinst_eval import numbers
from medinst_eval.report import svg
from medinst_eval.report.comparison import ComparisonView
from medinst_eval.report.content import ReportData, Score, TaskRun, TaskView, headlines
from medinst_eval.report.labels import metric_label
from medinst_eval.report.reference import setting
from medinst_eval.report.samples import MAX_TEXT, pack

SIZE_LIMIT = 24_000_000
"""Bytes of packed samples that a page may carry; longer texts are shortened until they fit."""
_TEXT_LIMITS = (MAX_TEXT, 8_000, 3_000, 1_200, 400)


def render(
    data: ReportData,
    *,
    version: str,
    comparisons: Sequence[ComparisonView] = (),
    refusal: str = "",
) -> str:
    """The page as text.

    Args:
        data: What `data.collect` found.
        version: Of this package, for the foot of the page.
        comparisons: The second run against the first, one per metric set.
        refusal: Why the runs could not be compared.
    """
    from jinja2 import Environment, StrictUndefined
    from markupsafe import Markup

    assets = resources.files("medinst_eval.report").joinpath("assets")
    css = assets.joinpath("page.css").read_text(encoding="utf-8")
    js = assets.joinpath("page.js").read_text(encoding="utf-8")
    blobs, limit = pack_all(data)
    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters.update(_FILTERS)
    template = environment.from_string(assets.joinpath("page.html.j2").read_text(encoding="utf-8"))
    return template.render(
        data=data,
        title=" and ".join(run.name for run in data.runs),
        many=len(data.runs) > 1,
        categories=list(dict.fromkeys(task.category for task in data.tasks)),
        levels=sorted({task.level for task in data.tasks if task.level is not None}),
        comparisons=comparisons,
        refusal=refusal,
        csp=content_policy(css, js),
        css=Markup(css),  # our own files
        js=Markup(js),
        blobs=[Markup(blob) for blob in blobs],  # base64: nothing to escape
        shortened=limit if limit < MAX_TEXT else None,
        version=version,
    )


def content_policy(css: str, js: str) -> str:
    """A policy under which only this page's own style and script count."""
    return (
        "default-src 'none'; "
        f"script-src '{_sha(js)}'; style-src '{_sha(css)}'; "
        "base-uri 'none'; form-action 'none'; require-trusted-types-for 'script'"
    )


def _sha(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def pack_all(data: ReportData) -> tuple[list[str], int]:
    """Packed samples of every task, texts cut as little as the size limit allows.

    Returns:
        The packed tasks, and the number of characters at which texts were cut.
    """
    blobs: list[str] = []
    for limit in _TEXT_LIMITS:
        blobs = [pack(task.samples, max_text=limit) for task in data.tasks]
        if sum(map(len, blobs)) <= SIZE_LIMIT:
            return blobs, limit
    return blobs, _TEXT_LIMITS[-1]


# -- filters ------------------------------------------------------------------------------------


def points(value: float, score: Score | None = None) -> str:
    """A score as it is printed: one decimal on the 0 to 100 scale, two for error measures."""
    digits = 2 if score is not None and not score.scaled else 1
    return numbers.points(value, digits, factor=1)


def headline_name(task: TaskView, which: str) -> str:
    """Name of a task's headline metric."""
    for run in task.runs:
        if run and (score := run.headline[which]):
            return metric_label(score.metric.removeprefix("paper_"))
    return "–"


def gap(task: TaskView, which: str) -> float | None:
    """Second run's headline minus the first's; positive is better."""
    scores = headlines(task, which)
    if len(scores) != 2:
        return None
    first, second = scores
    if first is None or second is None or first.value is None or second.value is None:
        return None
    difference = second.value - first.value
    return difference if first.scaled else -difference


def difference(task: TaskView, which: str) -> str:
    """The gap in print, signed as the values are."""
    first = headlines(task, which)[0]
    value = gap(task, which)
    if value is None or first is None:
        return numbers.NOTHING
    if first.scaled:
        return numbers.signed_points(value, factor=1)
    return numbers.signed_points(-value, 2, factor=1)


def rows(task: TaskView) -> int:
    """Number of samples, of the run that has most."""
    return max((run.n for run in task.runs if run), default=0)


def sort_keys(task: TaskView) -> str:
    """What the table sorts and filters by, as JSON."""
    keys: dict[str, Any] = {
        "name": task.name,
        "category": task.category,
        "level": task.level,
        "n": rows(task),
        "metric": {w: headline_name(task, w) for w in ("paper", "standard")},
        "difference": {w: gap(task, w) for w in ("paper", "standard")},
        "failed": sum(run.failed for run in task.runs if run),
        "text": f"{task.name} {task.category} {task.title}".lower(),
    }
    for index, run in enumerate(task.runs):
        keys[f"score-{index}"] = {
            which: score.value if run and (score := run.headline[which]) else None
            for which in ("paper", "standard")
        }
        keys[f"failed-{index}"] = run.failed if run else None
    if task.runs[0]:
        keys |= task.runs[0].failures
    return json.dumps(keys)


def metric_names(task: TaskView) -> list[str]:
    """Metrics of a task over all runs, in table order."""
    return list(dict.fromkeys(s.metric for run in task.runs if run for s in run.metrics))


def metric(run: TaskRun | None, name: str) -> Score | None:
    """One metric of one run."""
    return next((s for s in run.metrics if s.metric == name), None) if run else None


def first_metric(runs: Sequence[TaskRun | None], name: str) -> Score | None:
    """One metric of the first run that has it."""
    return next((score for run in runs if (score := metric(run, name))), None)


_FILTERS: Mapping[str, Any] = {
    "points": points, "count": numbers.count, "share": numbers.percent,
    "metric_label": metric_label,
    "headline_name": headline_name, "headlines": headlines,
    "difference": difference, "rows": rows, "sort_keys": sort_keys,
    "metric_names": metric_names, "metric": metric, "first_metric": first_metric,
    "place": svg.place, "lane": svg.lane, "heat": svg.heat, "shape": svg.shape,
    "scatter_plot": svg.scatter_plot, "setting": setting, "describe": svg.describe,
}  # fmt: skip
