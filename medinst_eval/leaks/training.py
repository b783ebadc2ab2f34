"""Training files streamed past the index of test inputs, on all cores."""

from __future__ import annotations

import json
import multiprocessing
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

from medinst_eval.errors import InputError
from medinst_eval.leaks.overlap import Index, hits

_BLOCK = 8 << 20
"""Bytes of lines that one task of a worker holds."""
_AHEAD = 4
"""Blocks in flight per worker: enough to keep it busy, little enough to hold in memory."""

Found = tuple[int, float, str]
"""Number of the test input, share, `file:line`."""

Block = tuple[str, int, bytes]
"""Path, number of its first line, lines."""

_index: Index | None = None  # Set in the workers alone, once, by the pool's initialiser.


def scan(
    index: Index, paths: Sequence[Path], *, workers: int | None = None
) -> tuple[int, list[Found]]:
    """Read training files once; returns the number of rows and what gives test inputs away.

    Raises:
        InputError: A file cannot be read, or a line is no JSON object with a text `input`.
    """
    count = workers or len(os.sched_getaffinity(0))
    rows, found = 0, list[Found]()
    context = multiprocessing.get_context("fork")  # the index is shared, not copied
    with ProcessPoolExecutor(
        count, mp_context=context, initializer=_take, initargs=(index,)
    ) as pool:
        pending = []
        for block in _blocks(paths):
            pending.append(pool.submit(_search, block))
            if len(pending) >= count * _AHEAD:
                seen, more = pending.pop(0).result()
                rows += seen
                found += more
        for future in pending:
            seen, more = future.result()
            rows += seen
            found += more
    return rows, found


def _take(index: Index) -> None:
    global _index
    _index = index


def _blocks(paths: Sequence[Path]) -> Iterator[Block]:
    for path in paths:
        try:
            with path.open("rb") as file:
                number = 1
                while lines := file.readlines(_BLOCK):
                    yield str(path), number, b"".join(lines)
                    number += len(lines)
        except OSError as error:
            raise InputError(f"cannot read training file {path}: {error.strerror}") from error


def _search(block: Block) -> tuple[int, list[Found]]:
    assert _index is not None
    path, first, lines = block
    rows, found = 0, list[Found]()
    for number, line in enumerate(lines.split(b"\n"), start=first):
        if not line.strip():
            continue
        rows += 1
        text = _input(line, f"{path}:{number}")
        found += [(hit.place, hit.share, f"{path}:{number}") for hit in hits(_index, text)]
    return rows, found


def _input(line: bytes, where: str) -> str:
    try:
        row = json.loads(line)
    except ValueError as error:
        raise InputError(
            f"{where}: not valid JSON ({error}); training files are JSON Lines"
        ) from None
    text = row.get("input") if isinstance(row, dict) else None
    if not isinstance(text, str):
        raise InputError(f"{where}: a training row needs a text field 'input'")
    return text
