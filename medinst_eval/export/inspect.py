"""Inspect logs (`.eval`), one per task, written through `inspect_ai`'s own API."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from medinst_eval.config import safe_name
from medinst_eval.errors import InputError, StoreError
from medinst_eval.export.rows import (
    by_task,
    clean,
    model_name,
    part,
    prompt_text,
    show_answer,
)  # fmt: skip
from medinst_eval.store import FinishedRun

if TYPE_CHECKING:
    from inspect_ai.log import EvalLog, EvalResults, EvalSample

_STOP = {"truncated": "max_tokens"}


def export(run: FinishedRun, output: Path) -> list[Path]:
    """Write `<date>_<task>_<run>.eval` per task; `inspect view --log-dir` opens the folder.

    Each metric is a scorer with its value and standard error; metrics that mean something for a
    single row are the sample's scores. Engine errors are samples with an error and no score.

    Raises:
        InputError: `inspect-ai` is not installed.
        StoreError: A file cannot be written.
    """
    try:
        from inspect_ai.log import write_eval_log
    except ImportError as error:
        raise InputError(
            "Inspect logs need inspect-ai; install it with `pip install 'medinst-eval[inspect]'`"
        ) from error
    stamp = str(run.manifest.get("ended") or "undated")[:19].replace(":", "-")
    written = []
    for task, records in by_task(run):
        path = output / f"{stamp}_{task}_{safe_name(run.name)}.eval"
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            write_eval_log(_log(run, task, clean(records)), str(path), format="eval")
        except OSError as error:
            raise StoreError(f"cannot write {path}: {error.strerror}") from error
        written.append(path)
    return written


def _log(run: FinishedRun, task: str, records: Sequence[Mapping[str, Any]]) -> EvalLog:
    from inspect_ai.log import EvalConfig, EvalDataset, EvalLog, EvalSpec, EvalStats

    result = run.results["tasks"][task]
    data = part(run, "data")
    started = str(run.manifest.get("started") or "")
    version = part(run, "package").get("version")
    return EvalLog(
        status="success",
        eval=EvalSpec(
            created=started or "1970-01-01T00:00:00+00:00",
            task=task,
            task_id=task,
            task_args={
                "shots": run.results.get("shots"),
                "layout": part(run, "prompt").get("layout"),
            },
            dataset=EvalDataset(
                name=task,
                location=data.get("source"),
                samples=len(records),
                sample_ids=[str(record["id"]) for record in records],
            ),
            model=_model(run),
            config=EvalConfig(limit=data.get("limit")),
            packages={"medinst_eval": str(version)} if version else {},
            metadata={"category": result["category"], "level": result["level"], "run": run.name},
        ),
        results=_results(result),
        stats=EvalStats(started_at=started, completed_at=str(run.manifest.get("ended") or "")),
        samples=[_sample(run, record) for record in records],
    )


def _model(run: FinishedRun) -> str:
    backend = str(part(run, "backend").get("name") or "unknown")
    return f"{backend}/{model_name(run)}"


def _results(result: Mapping[str, Any]) -> EvalResults:
    from inspect_ai.log import EvalMetric, EvalResults, EvalScore

    scores = []
    for name, metric in result["metrics"].items():
        if metric["value"] is None:
            continue
        values = {"score": metric["value"], "stderr": metric.get("stderr")}
        scores.append(
            EvalScore(
                name=name,
                scorer=name,
                scored_samples=result["n_scored"],
                unscored_samples=result["n_errors"],
                metrics={
                    key: EvalMetric(name=key, value=value)
                    for key, value in values.items()
                    if value is not None
                },
                metadata={"signature": metric.get("signature"), "ci95": metric.get("ci95")},
            )
        )
    return EvalResults(
        total_samples=result["n"], completed_samples=result["n_scored"], scores=scores
    )


def _sample(run: FinishedRun, record: Mapping[str, Any]) -> EvalSample:
    from inspect_ai.log import EvalError, EvalSample
    from inspect_ai.model import ChatMessageAssistant, ChatMessageUser, ModelOutput
    from inspect_ai.scorer import Score

    prompt, output = prompt_text(record), str(record.get("output") or "")
    failed = record["status"] == "error"
    answer = show_answer(record.get("answer"))
    scores = {
        name: Score(value=float(value), answer=answer)
        for name, value in (record.get("metrics") or {}).items()
    }
    note = str(record.get("note") or "engine error")
    return EvalSample(
        id=str(record["id"]),
        epoch=1,
        input=prompt,
        target=str(record["gold"]),
        messages=[ChatMessageUser(content=prompt)]
        + ([] if failed else [ChatMessageAssistant(content=output)]),
        output=ModelOutput.from_content(
            _model(run), output, stop_reason=_STOP.get(record["status"], "stop")
        ),
        scores=None if failed else scores,
        metadata={"status": record["status"], "note": record.get("note"), "key": record["key"]},
        error=EvalError(message=note, traceback=note, traceback_ansi=note) if failed else None,
    )
