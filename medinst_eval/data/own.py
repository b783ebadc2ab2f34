"""Rows of tasks of one's own: JSON Lines, CSV, TSV or Parquet files, or any Hub data set."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from medinst_eval.data.local import read_jsonl
from medinst_eval.data.rows import Row, check_row
from medinst_eval.errors import InputError
from medinst_eval.tasks.card import DataSource, TaskCard

_FIELDS = ("instruction", "input", "output", "history")
_ENDINGS = ".jsonl, .json (one object per line), .csv, .tsv or .parquet"


def read(card: TaskCard, *, shots: int, offline: bool) -> list[Row]:
    """Rows of a card that brings its own data, fields mapped by name.

    A field that the card's `data.fields` does not map is read from the column of its own name.
    `data.instruction` stands for the column where there is none. Numbers are taken as their text.
    `history` may be left out by rows without demonstrations; in text columns it is JSON.

    Args:
        card: A card with a `data` stanza.
        shots: Demonstrations wanted; with 0 the column is not read.
        offline: Hub data sets come from the local cache or not at all.

    Raises:
        InputError: Unreadable file, missing column or malformed row: file, line, field, remedy.
    """
    data = card.data
    assert data is not None
    unknown = sorted(set(data.fields) - set(_FIELDS))
    if unknown:
        raise InputError(
            f"task {card.name}: 'data.fields' maps '{unknown[0]}', which is no field of a row; "
            f"map {', '.join(_FIELDS)}"
        )
    rows = [
        check_row(mapped, number=number, where=where, history="history" in mapped)
        for number, (where, raw) in enumerate(_raw_rows(data, offline))
        for mapped in [_map(raw, data, where, with_history=shots > 0)]
    ]
    if not rows:
        raise InputError(f"task {card.name}: {data.path or data.hub} has no rows; add some")
    return rows


def _map(raw: Any, data: DataSource, where: str, *, with_history: bool) -> Any:
    """A row of the source with our field names."""
    if not isinstance(raw, dict):
        return raw
    mapped: dict[str, Any] = {}
    for name in _FIELDS:
        column = data.fields.get(name, name)
        if column in raw:
            value = raw[column]
            number = isinstance(value, int | float) and not isinstance(value, bool)
            mapped[name] = str(value) if number else value
        elif name in data.fields:
            raise InputError(
                f"{where}: no column '{column}' for field '{name}' (there: {', '.join(raw)}); "
                "correct 'data.fields' of the card"
            )
    if data.instruction is not None and "instruction" not in data.fields:
        mapped["instruction"] = data.instruction
    if "instruction" not in mapped:
        raise InputError(
            f"{where}: field 'instruction' is missing; give 'data.instruction' in the card or map "
            f"a column to it in 'data.fields' (there: {', '.join(raw)})"
        )
    if not with_history or mapped.get("history") in (None, ""):
        mapped.pop("history", None)
    elif isinstance(mapped["history"], str):
        mapped["history"] = _history_of_text(mapped["history"], where)
    return mapped


def _history_of_text(text: str, where: str) -> Any:
    """Demonstrations from a cell of a CSV file, which can hold nothing but text."""
    try:
        return json.loads(text)
    except ValueError as error:
        raise InputError(
            f"{where}: field 'history' must be JSON in a cell of its own, "
            '[["user", "assistant"], …]; correct it or leave it empty'
        ) from error


def _raw_rows(data: DataSource, offline: bool) -> Iterator[tuple[str, Any]]:
    """Rows as the source has them, each with how an error calls its place."""
    if data.path is None:
        yield from _hub_rows(data, offline)
        return
    path = Path(data.path)
    if not path.is_file():
        raise InputError(f"no data file {path}; correct 'data.path' of the card")
    ending = path.suffix.lower()
    if ending in (".jsonl", ".json", ".ndjson"):
        yield from ((f"{path}:{line}", raw) for line, raw in read_jsonl(path))
    elif ending in (".csv", ".tsv"):
        yield from _csv_rows(path, "\t" if ending == ".tsv" else ",")
    elif ending in (".parquet", ".pq"):
        yield from _parquet_rows(path)
    else:
        raise InputError(f"{path}: '{ending}' files are not read; give {_ENDINGS}")


def _csv_rows(path: Path, delimiter: str) -> Iterator[tuple[str, Any]]:
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file, delimiter=delimiter, strict=True)
            for raw in reader:
                where = f"{path}:{reader.line_num}"
                if None in raw or None in raw.values():
                    raise InputError(
                        f"{where}: the row has not as many values as the header has columns; "
                        "quote values that hold the separator"
                    )
                yield where, raw
    except (csv.Error, UnicodeDecodeError) as error:
        raise InputError(f"{path}: not valid CSV in UTF-8 ({error}); save it again") from error
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror}; check its permissions") from error


def _parquet_rows(path: Path) -> Iterator[tuple[str, Any]]:
    import pyarrow
    import pyarrow.parquet

    try:
        table = pyarrow.parquet.read_table(path)
    except (pyarrow.ArrowException, OSError) as error:
        raise InputError(f"{path}: not a Parquet file ({error}); write it again") from error
    yield from _numbered(str(path), table.to_pylist())


def _hub_rows(data: DataSource, offline: bool) -> Iterator[tuple[str, Any]]:
    from medinst_eval.data.hub import HubSource

    assert data.hub is not None
    source = HubSource.open(data.hub, data.revision, offline=offline)
    yield from _numbered(f"{data.hub} {data.split}", source.raw_rows(data.config, data.split))


def _numbered(label: str, rows: Iterable[Any]) -> Iterator[tuple[str, Any]]:
    return ((f"{label} row {number}", raw) for number, raw in enumerate(rows))
