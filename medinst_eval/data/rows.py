"""One row: what it must hold, its key, and how it becomes a sample."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from medinst_eval.errors import InputError
from medinst_eval.types import Sample

_KINDS = {str: "a string", bool: "true or false", int: "a number", float: "a number"}
_KINDS |= {list: "a list", dict: "an object", type(None): "null"}


@dataclass(frozen=True, kw_only=True, slots=True)
class Row:
    """A checked row of a source."""

    number: int
    """Row in the source, from 0."""
    instruction: str
    input: str
    output: str
    history: tuple[tuple[str, str], ...] = ()


class Source(Protocol):
    """Somewhere that rows of the benchmark's configs come from."""

    @property
    def label(self) -> str:
        """How errors call the source."""

    @property
    def revision(self) -> str | None:
        """Commit of a Hub data set."""

    @property
    def warnings(self) -> tuple[str, ...]:
        """What is odd about the source as a whole."""

    def has(self, config: str) -> bool:
        """Whether the source holds this config."""

    def names(self) -> list[str]:
        """Configs that the source holds, few-shot and zero-shot alike."""

    def rows(self, config: str, *, history: bool) -> list[Row]:
        """All rows of a config, checked; `history`: each must carry demonstrations."""


def check_row(raw: object, *, number: int, where: str, history: bool) -> Row:
    """Check one row as it came from a file or a data set.

    Args:
        raw: The row.
        number: Its number in the source, from 0.
        where: File and line (or data set and row) for the error.
        history: Whether demonstrations are required; without it the field is ignored.

    Raises:
        InputError: A missing, wrongly typed or broken field, or a blank instruction.
    """
    if not isinstance(raw, dict):
        raise InputError(
            f"{where}: a row must be a JSON object with instruction, input and output, "
            f"not {_kind(raw)}; the files are JSON Lines, one object per line"
        )
    fields = {name: _text(raw, name, where) for name in ("instruction", "input", "output")}
    if not fields["instruction"].strip():
        raise InputError(f"{where}: field 'instruction' is empty; restore it or remove the row")
    demonstrations = _history(raw, where) if history else ()
    return Row(number=number, history=demonstrations, **fields)


def _text(raw: dict[str, Any], name: str, where: str) -> str:
    if name not in raw:
        raise InputError(
            f"{where}: field '{name}' is missing; every row needs instruction, input and output"
        )
    return _string(raw[name], f"field '{name}'", where)


def _string(value: object, name: str, where: str) -> str:
    if not isinstance(value, str):
        raise InputError(
            f"{where}: {name} must be a string, not {_kind(value)}; correct or remove the row"
        )
    try:
        value.encode()
    except UnicodeEncodeError as error:
        # JSON may spell half of a surrogate pair; no tokenizer and no file can take it.
        raise InputError(
            f"{where}: {name} holds half a character (lone surrogate, position {error.start}); "
            "write the text again from its source"
        ) from error
    return value


def _history(raw: dict[str, Any], where: str) -> tuple[tuple[str, str], ...]:
    value = raw.get("history")
    if not isinstance(value, list):
        raise InputError(
            f"{where}: field 'history' must be a list of [user, assistant] pairs, not "
            f"{'missing' if 'history' not in raw else _kind(value)}; use the few-shot files, or "
            "--shots 0"
        )
    pairs = []
    for number, pair in enumerate(value):
        if not isinstance(pair, list | tuple) or len(pair) != 2:
            raise InputError(
                f"{where}: field 'history', pair {number + 1}: must be [user, assistant], two "
                "strings; correct or remove the row"
            )
        name = f"field 'history', pair {number + 1}"
        pairs.append((_string(pair[0], name, where), _string(pair[1], name, where)))
    return tuple(pairs)


def _kind(value: object) -> str:
    return _KINDS.get(type(value), type(value).__name__)


def row_key(instruction: str, text: str, output: str, history: Iterable[Sequence[str]] = ()) -> str:
    """Key of a sample: SHA-256 over the JSON array of instruction, input, output and history."""
    content = [instruction, text, output, [list(pair) for pair in history]]
    return hashlib.sha256(json.dumps(content, separators=(",", ":")).encode()).hexdigest()


def to_sample(task: str, row: Row, shots: int) -> Sample:
    """A row as a sample with its first `shots` demonstrations; the key covers what is kept."""
    history = row.history[:shots]
    return Sample(
        task=task,
        id=f"{task}/{row.number}",
        key=row_key(row.instruction, row.input, row.output, history),
        instruction=row.instruction,
        input=row.input,
        gold=row.output,
        history=history,
    )


def short_of_shots(samples: Sequence[Sample], shots: int) -> list[str]:
    """A warning that counts the samples with fewer demonstrations than asked for."""
    short = [len(item.history) for item in samples if len(item.history) < shots]
    if not short:
        return []
    return [
        f"{len(short)} of {len(samples)} rows have fewer than {shots} demonstrations "
        f"(the fewest: {min(short)})"
    ]
