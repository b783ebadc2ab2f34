"""Scores and samples as two tables, in CSV or Parquet."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from medinst_eval import escapes
from medinst_eval.export.rows import SETS, clean, model_name
from medinst_eval.files import write_atomic
from medinst_eval.store import FinishedRun

SCORE_COLUMNS: dict[str, type] = {
    "run": str, "model": str, "shots": int, "scope": str, "name": str, "category": str,
    "level": int, "metric": str, "headline": str, "value": float, "ci95_low": float,
    "ci95_high": float, "stderr": float, "higher_is_better": bool, "n": int, "n_scored": int,
    "n_errors": int, "unparsed": int, "empty": int, "truncated": int, "signature": str,
    "reason": str,
}  # fmt: skip
"""`scope` is task, category or overall; `headline` names the set that a metric heads."""

SAMPLE_COLUMNS: dict[str, type] = {
    "run": str, "task": str, "id": str, "key": str, "status": str, "instruction": str,
    "input": str, "gold": str, "gold_answer": str, "output": str, "answer": str, "note": str,
}  # fmt: skip
"""Metric values follow, one column each, prefixed with `metric_`."""

CELL_LIMIT = 32_000
"""Characters of a CSV cell; spreadsheets take 32,767 and break the table beyond."""

_COUNTS = ("n", "n_scored", "n_errors", "unparsed", "empty", "truncated")


def export_csv(run: FinishedRun, output: Path) -> list[Path]:
    """Write `scores.csv` and `samples.csv`, safe to open in a spreadsheet.

    No cell is taken for a formula; line ends inside cells become spaces and cells end at
    `CELL_LIMIT` characters (Parquet keeps texts as they are). UTF-8 with a byte order mark, so
    that Excel reads Greek and Chinese.
    """
    written = []
    for name, columns, rows in _tables(run):
        buffer = io.StringIO(newline="")
        writer = csv.writer(buffer)
        writer.writerow(columns)
        for row in rows:
            writer.writerow([_cell(row.get(column)) for column in columns])
        path = output / f"{name}.csv"
        write_atomic(path, buffer.getvalue().encode("utf-8-sig"))
        written.append(path)
    return written


def _cell(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    text = clean(escapes.csv_cell(value))
    return text if len(text) <= CELL_LIMIT else f"{text[:CELL_LIMIT]} …"


def export_parquet(run: FinishedRun, output: Path) -> list[Path]:
    """Write `scores.parquet` and `samples.parquet`, texts as they are, columns typed."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    types = {str: pa.string(), int: pa.int64(), float: pa.float64(), bool: pa.bool_()}
    written = []
    for name, columns, rows in _tables(run):
        kept = list(rows)
        schema = pa.schema([(column, types[kind]) for column, kind in columns.items()])
        data = {
            column: [_typed(row.get(column), kind) for row in kept]
            for column, kind in columns.items()
        }
        sink = pa.BufferOutputStream()
        pq.write_table(pa.table(data, schema=schema), sink, compression="zstd")
        path = output / f"{name}.parquet"
        write_atomic(path, sink.getvalue().to_pybytes())
        written.append(path)
    return written


def _typed(value: Any, kind: type) -> Any:
    return None if value is None else clean(kind(value))


def _tables(
    run: FinishedRun,
) -> Iterator[tuple[str, Mapping[str, type], Iterable[Mapping[str, Any]]]]:
    yield "scores", SCORE_COLUMNS, score_rows(run)
    metrics = dict.fromkeys(
        name for result in run.results["tasks"].values() for name in result["metrics"]
    )
    columns = SAMPLE_COLUMNS | {f"metric_{name}": float for name in metrics}
    yield "samples", columns, sample_rows(run)


def score_rows(run: FinishedRun) -> Iterator[dict[str, Any]]:
    """One row per task and metric, per category and set, and for the whole."""
    base = {"run": run.name, "model": model_name(run), "shots": run.results.get("shots")}
    for task, result in run.results["tasks"].items():
        facts = {"category": result["category"], "level": result["level"]}
        counts = {name: result.get(name) for name in _COUNTS}
        for name, metric in result["metrics"].items():
            heads = [which for which in SETS if result["primary"].get(which) == name]
            yield (
                {**base, "scope": "task", "name": task, **facts, "headline": " ".join(heads)}
                | counts
                | _score(name, metric)
            )
    groups = [("category", g, s) for g, s in (run.results.get("categories") or {}).items()]
    for scope, name, sets in (*groups, ("overall", "all", run.results.get("overall") or {})):
        category = name if scope == "category" else None
        for which, metric in sets.items():
            row = {**base, "scope": scope, "name": name, "category": category, "headline": which}
            yield row | _score("mean" if which in SETS else which, metric)


def _score(name: str, metric: Mapping[str, Any]) -> dict[str, Any]:
    low, high = metric.get("ci95") or (None, None)
    kept = ("value", "stderr", "higher_is_better", "signature", "reason")
    return {
        "metric": name, "ci95_low": low, "ci95_high": high,
        **{key: metric.get(key) for key in kept},
    }  # fmt: skip


def sample_rows(run: FinishedRun) -> Iterator[dict[str, Any]]:
    """One row per sample; parsed answers as JSON."""
    for record in run.samples():
        row = {name: record.get(name) for name in SAMPLE_COLUMNS}
        row |= {"run": run.name, "answer": _json(record.get("answer"))}
        row["gold_answer"] = _json(record.get("gold_answer"))
        row |= {f"metric_{name}": v for name, v in (record.get("metrics") or {}).items()}
        yield row


def _json(value: Any) -> str | None:
    return None if value is None else json.dumps(value, ensure_ascii=False)


__all__: Sequence[str] = [
    "CELL_LIMIT", "SAMPLE_COLUMNS", "SCORE_COLUMNS", "export_csv", "export_parquet",
]  # fmt: skip
