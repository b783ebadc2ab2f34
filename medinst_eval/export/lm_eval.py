"""Results and samples in the layout and keys of lm-evaluation-harness.

Written against `lm_eval` 0.4 (`result_schema.py`, `loggers/evaluation_tracker.py`): one
`results_<date>.json` and one `samples_<task>_<date>.jsonl` per task in a folder named after the
model.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from medinst_eval import store
from medinst_eval.export.rows import (
    SETS,
    by_task,
    cards,
    clean,
    config_name,
    model_name,
    part,
    prompt_text,
    row_number,
)  # fmt: skip
from medinst_eval.files import write_atomic, write_json
from medinst_eval.store import FinishedRun
from medinst_eval.tasks.card import TaskCard
from medinst_eval.types import Prediction

FILTER = "none"
_DATED = "%Y-%m-%dT%H-%M-%S.%f"
VERSION = 1.0
"""Task version in the harness's sense; ours follow the benchmark, which has one."""


def export(run: FinishedRun, output: Path) -> list[Path]:
    """Write a run as lm-evaluation-harness would have.

    Metrics keep our names, as `<name>,none`. Samples that ended in an engine error have no
    response; they are left out and missing from `n-samples`' `effective`.

    Args:
        run: A finished run.
        output: The folder that holds one folder per model.

    Returns:
        The files written, results first.
    """
    folder = output / re.sub(r"[\"<>:/|\\?*\[\]]+", "__", model_name(run))
    date = _date(run)
    stamp = date.strftime(_DATED)
    predictions = store.load_predictions(run.path / store.PREDICTIONS).predictions
    hashes: dict[str, str] = {}
    written: list[Path] = []
    for task, records in by_task(run):
        lines = [
            _sample(run, record, predictions.get(str(record["id"])))
            for record in records
            if record["status"] != "error"
        ]
        hashes[task] = _sha(
            "".join(s["doc_hash"] + s["prompt_hash"] + s["target_hash"] for s in lines)
        )
        path = folder / f"samples_{task}_{stamp}.jsonl"
        text = "".join(json.dumps(clean(s), ensure_ascii=False) + "\n" for s in lines)
        write_atomic(path, text)
        written.append(path)
    path = folder / f"results_{stamp}.json"
    write_json(path, clean(results(run, hashes)))
    return [path, *written]


def results(run: FinishedRun, hashes: Mapping[str, str]) -> dict[str, Any]:
    """The content of `results_<date>.json` (`lm_eval.result_schema.EvalResults`)."""
    tasks: Mapping[str, Any] = run.results["tasks"]
    groups, members = _groups(run)
    scores = {task: _task_scores(task, result) for task, result in tasks.items()}
    shots = run.results.get("shots") or 0
    known = cards(run)
    return {
        "results": {**groups, **scores},
        "groups": groups,
        "group_subtasks": {**members, **{task: [] for task in tasks}},
        "configs": {task: _config(run, task, known.get(task)) for task in tasks},
        "versions": dict.fromkeys((*groups, *tasks), VERSION),
        "n-shot": dict.fromkeys(tasks, shots),
        "higher_is_better": {
            task: {name: bool(m["higher_is_better"]) for name, m in result["metrics"].items()}
            for task, result in tasks.items()
        },
        "n-samples": {
            task: {"original": _rows_total(run, task, result), "effective": result["n_scored"]}
            for task, result in tasks.items()
        },
        "config": _model_config(run),
        "git_hash": part(run, "package").get("git_commit"),
        "date": _date(run).timestamp(),
        "medinst_eval_version": part(run, "package").get("version"),
        "task_hashes": dict(hashes),
        "model_source": str(part(run, "backend").get("name") or ""),
        "model_name": model_name(run),
        "model_name_sanitized": re.sub(r"[\"<>:/|\\?*\[\]]+", "__", model_name(run)),
        "system_instruction": part(run, "prompt").get("system_prompt"),
        "system_instruction_sha": _sha_or_none(part(run, "prompt").get("system_prompt")),
        "fewshot_as_multiturn": part(run, "prompt").get("layout") == "chat",
        "chat_template": None,
        "chat_template_sha": None,
        "total_evaluation_time_seconds": str(_seconds(run)),
    }


def _task_scores(task: str, result: Mapping[str, Any]) -> dict[str, Any]:
    scores: dict[str, Any] = {"name": task, "alias": task, "sample_len": result["n_scored"]}
    for name, metric in result["metrics"].items():
        if metric["value"] is None:
            continue
        scores[f"{name},{FILTER}"] = metric["value"]
        error = metric.get("stderr")
        scores[f"{name}_stderr,{FILTER}"] = "N/A" if error is None else error
    return scores


def _groups(run: FinishedRun) -> tuple[dict[str, Any], dict[str, list[str]]]:
    """Averages as groups: the whole suite, and each category below it."""
    suite = str(run.results.get("suite") or "medinst32")
    tasks: Mapping[str, Any] = run.results["tasks"]
    groups = {suite: _group(suite, run.results.get("overall") or {}, tasks, list(tasks))}
    members: dict[str, list[str]] = {suite: []}
    for category, averages in (run.results.get("categories") or {}).items():
        name = f"{suite}_{category}"
        own = [task for task, result in tasks.items() if result["category"] == category]
        groups[name] = _group(name, averages, tasks, own)
        members[name] = own
        members[suite].append(name)
    return groups, members


def _group(
    name: str, averages: Mapping[str, Any], tasks: Mapping[str, Any], own: Sequence[str]
) -> dict[str, Any]:
    size = sum(tasks[task]["n_scored"] for task in own)
    group: dict[str, Any] = {"name": name, "alias": name, "sample_len": size, "sample_count": {}}
    for which in SETS:
        average = averages.get(which) or {}
        if average.get("value") is None:
            continue
        key = f"{which},{FILTER}"
        group[key] = average["value"]
        group[f"{which}_stderr,{FILTER}"] = average.get("stderr", "N/A")
        group["sample_count"][key] = sum(
            tasks[t]["n_scored"] for t in average["tasks"] if t in tasks
        )
    return group


def _config(run: FinishedRun, task: str, card: TaskCard | None) -> dict[str, Any]:
    data = part(run, "data")
    return {
        "task": task,
        "dataset_path": data.get("source"),
        "dataset_name": config_name(run, card, task),
        "test_split": "test",
        "doc_to_text": "{{instruction}}\n{{input}}",
        "doc_to_target": "{{output}}",
        "num_fewshot": run.results.get("shots") or 0,
        "output_type": "generate_until",
        "generation_kwargs": _generation(run),
        "metadata": {"version": VERSION, "revision": data.get("revision")},
    }


def _generation(run: FinishedRun) -> dict[str, Any]:
    sampling = part(run, "sampling")
    return {
        "until": [],
        "do_sample": bool(sampling.get("temperature")),
        "temperature": sampling.get("temperature"),
        "max_gen_toks": sampling.get("max_tokens"),
    }


def _model_config(run: FinishedRun) -> dict[str, Any]:
    model, backend = part(run, "model"), part(run, "backend")
    return {
        "model": backend.get("name"),
        "model_args": {"pretrained": model_name(run)},
        "model_revision": model.get("revision") or "",
        "model_sha": model.get("fingerprint") or "",
        "batch_size": None,
        "device": None,
        "use_cache": None,
        "limit": part(run, "data").get("limit"),
        "bootstrap_iters": part(run, "scoring").get("resamples"),
        "gen_kwargs": _generation(run),
        "random_seed": part(run, "sampling").get("seed"),
    }


def _sample(
    run: FinishedRun, record: Mapping[str, Any], prediction: Prediction | None
) -> dict[str, Any]:
    """A line of `samples_<task>_<date>.jsonl` (`lm_eval.result_schema.SampleResult`)."""
    prompt, gold = prompt_text(record), str(record["gold"])
    doc = {
        "id": record["id"],
        "instruction": record.get("instruction") or "",
        "input": record.get("input") or "",
        "output": gold,
    }
    metrics: Mapping[str, Any] = record.get("metrics") or {}
    return {
        "doc_id": row_number(record),
        "doc": doc,
        "target": gold,
        "arguments": {"gen_args_0": {"arg_0": prompt, "arg_1": _generation(run)}},
        "resps": [[record["output"]]],
        "filtered_resps": [record["output"]],
        "filter": FILTER,
        "metrics": list(metrics),
        "doc_hash": _sha(json.dumps(doc, indent=2, ensure_ascii=False)),
        "prompt_hash": prediction.prompt_sha if prediction else _sha(prompt),
        "target_hash": _sha(gold),
        **{name: float(value) for name, value in metrics.items()},
    }


def _sha(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def _sha_or_none(text: str | None) -> str | None:
    return _sha(text) if text else None


def _date(run: FinishedRun) -> datetime:
    """When the run ended (or began); the same run is always given the same file names."""
    for name in ("ended", "started"):
        try:
            return datetime.fromisoformat(str(run.manifest.get(name)))
        except ValueError:
            continue
    return datetime.fromtimestamp(0, UTC)


def _seconds(run: FinishedRun) -> float:
    timing: Mapping[str, Any] = run.results.get("timing") or {}
    return sum(float(value) for name, value in timing.items() if name.endswith("_s"))


def _rows_total(run: FinishedRun, task: str, result: Mapping[str, Any]) -> int:
    tasks = part(run, "data").get("tasks") or {}
    return int((tasks.get(task) or {}).get("rows_total") or result["n"])
