"""Scores for a model's page on the Hub: `.eval_results/*.yaml` and a `model-index` block.

Formats: https://huggingface.co/docs/hub/eval-results and the model card's `model-index`.
Nothing is uploaded.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from medinst_eval import escapes, numbers
from medinst_eval.errors import InputError
from medinst_eval.export.rows import cards, clean, config_name, model_name, part
from medinst_eval.files import write_atomic
from medinst_eval.store import FinishedRun
from medinst_eval.suites import is_own
from medinst_eval.tasks.card import TaskCard

_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[\w.-]+")
_COMMIT = re.compile(r"[0-9a-f]{40}")
_TASK_TYPES = {
    "NER": "token-classification", "NED": "token-classification", "RE": "text-generation",
    "COREF": "token-classification", "EE": "text-generation", "QA": "question-answering",
    "TE": "text-classification", "TXTCLASS": "text-classification", "STS": "sentence-similarity",
    "SUM": "summarization", "TRANSL": "translation",
}  # fmt: skip
"""Category -> the Hub's name of the kind of task."""


def export(run: FinishedRun, output: Path, *, dataset: str | None = None) -> list[Path]:
    """Write `.eval_results/medinst-eval.yaml` and `model-index.md`.

    Values are x100 as in the paper's tables, squared errors as they are. `.eval_results` holds
    one value per task, the headline on the paper's metrics (on the standard ones where a suite
    has no others); the model index holds every metric.

    Tasks of one's own are left out.

    Args:
        run: A finished run.
        output: The folder; a checkout of the model's repository will do.
        dataset: Hub id of the data set; default: the run's data source.

    Raises:
        InputError: The run's data came from a folder and no Hub id is given.
    """
    dataset = dataset or _hub_id(run)
    known = cards(run)
    # A task of one's own is no part of the data set that the others belong to.
    tasks = {
        task: result
        for task, result in run.results["tasks"].items()
        if task not in known or not is_own(known[task])
    }
    entries = [
        entry
        for task, result in tasks.items()
        if (entry := _entry(run, dataset, task, result)) is not None
    ]
    listed = output / ".eval_results" / "medinst-eval.yaml"
    write_atomic(listed, _yaml(entries))
    card = output / "model-index.md"
    write_atomic(card, _card(run, dataset, tasks, known))
    return [listed, card]


def _hub_id(run: FinishedRun) -> str:
    source = str(part(run, "data").get("source") or "")
    if _HUB_ID.fullmatch(source) and not Path(source).exists():
        return source
    raise InputError(
        f"the data of this run ({source or 'unknown'}) is no data set on the Hub; "
        "name the one that the scores belong to with --dataset OWNER/NAME"
    )


def _yaml(value: Any) -> str:
    return str(yaml.safe_dump(clean(value), sort_keys=False, allow_unicode=True, width=100))


def shown(metric: Mapping[str, Any]) -> float | None:
    """A score as the Hub is given it: x100 with two decimals, squared errors as they are."""
    if metric.get("value") is None:
        return None
    factor = numbers.factor_of(bool(metric.get("higher_is_better", True)))
    return round(factor * float(metric["value"]), 2)


def _entry(
    run: FinishedRun, dataset: str, task: str, result: Mapping[str, Any]
) -> dict[str, Any] | None:
    primary: Mapping[str, Any] = result["primary"]
    name = primary.get("paper") or primary.get("standard")
    value = shown(result["metrics"].get(name) or {})
    if value is None:
        return None
    place: dict[str, Any] = {"id": dataset, "task_id": task}
    if revision := _revision(run):
        place["revision"] = revision
    entry: dict[str, Any] = {"dataset": place, "value": value}
    if run.manifest.get("ended"):
        entry["date"] = str(run.manifest["ended"])
    entry["notes"] = _notes(run, str(name), result)
    return entry


def _revision(run: FinishedRun) -> str | None:
    revision = str(part(run, "data").get("revision") or "")
    return revision if _COMMIT.fullmatch(revision) else None


def _notes(run: FinishedRun, metric: str, result: Mapping[str, Any]) -> str:
    layout = part(run, "prompt").get("layout")
    parts = [
        metric,
        f"{run.results.get('shots', 0)}-shot",
        f"{layout} layout" if layout else "",
        f"{result['n_scored']} samples",
        f"medinst-eval {part(run, 'package').get('version') or ''}".strip(),
    ]
    return ", ".join(p for p in parts if p)


# -- model card ---------------------------------------------------------------------------------


def _card(
    run: FinishedRun, dataset: str, tasks: Mapping[str, Any], known: Mapping[str, TaskCard]
) -> str:
    """A model card that holds nothing but the scores: front matter and a table."""
    from huggingface_hub import EvalResult
    from huggingface_hub.repocard_data import eval_results_to_model_index

    found = [
        EvalResult(
            task_type=_TASK_TYPES.get(result["category"], "text-generation"),
            task_name=str(result["category"]),
            dataset_type=dataset,
            dataset_name=f"MedINST32 {task}" if _is_medinst(run) else task,
            dataset_config=config_name(run, known.get(task), task),
            dataset_split="test",
            dataset_revision=_revision(run),
            dataset_args={"num_few_shot": run.results.get("shots", 0)},
            metric_type=name,
            metric_name=name,
            metric_value=value,
        )
        for task, result in tasks.items()
        for name, metric in result["metrics"].items()
        if (value := shown(metric)) is not None
    ]
    index = eval_results_to_model_index(model_name(run).rstrip("/").rpartition("/")[2], found)
    return f"---\n{_yaml({'model-index': index})}---\n\n{clean(_table(run, tasks))}"


def _is_medinst(run: FinishedRun) -> bool:
    return str(run.results.get("suite") or "medinst32") == "medinst32"


def _table(run: FinishedRun, tasks: Mapping[str, Any]) -> str:
    lines = [
        f"# Scores of {escapes.markdown(model_name(run))}",
        "",
        f"{run.results.get('shots', 0)} shots; scores × 100, squared errors as they are; "
        f"made by medinst-eval {part(run, 'package').get('version') or ''}.".replace(" .", "."),
        "",
        "| task | samples | paper metric | | standard metric | |",
        "| --- | --: | --- | --: | --- | --: |",
    ]
    for task, result in tasks.items():
        cells = [escapes.markdown(task), numbers.count(result["n_scored"])]
        for which in ("paper", "standard"):
            name = result["primary"].get(which)
            value = shown(result["metrics"].get(name) or {}) if name else None
            cells += [name or "", numbers.points(value, 2, factor=1)]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"
