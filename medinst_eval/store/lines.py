"""`predictions.jsonl`: one line per finished sample, each with a checksum."""

from __future__ import annotations

import json
import zlib
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from medinst_eval.errors import StoreError
from medinst_eval.types import Prediction

_CRC_KEY = ', "crc": "'
_NAMES = frozenset(f.name for f in fields(Prediction))
_REQUIRED = ("task", "id", "key", "prompt_sha", "output", "finish_reason")


@dataclass(frozen=True, kw_only=True)
class Loaded:
    """What a `predictions.jsonl` holds."""

    predictions: dict[str, Prediction]
    """By sample id; where an id occurs twice, the later line counts."""
    damaged: tuple[str, ...] = ()
    """Lines that cannot be trusted, as `line 12: checksum differs`."""
    half_line: bool = False
    """The file ends in the middle of a line, as after a crash."""
    needs_rewrite: bool = False


def encode_prediction(prediction: Prediction) -> str:
    """One line of `predictions.jsonl`, checksum included, newline at the end."""
    record = asdict(prediction)
    for name in ("choice_logprobs", "dropped_shots", "cut_tokens"):
        if not record[name]:
            del record[name]
    body = json.dumps(record, ensure_ascii=False, allow_nan=False)
    # U+2028 and lone surrogates would break line-wise readers and UTF-8 encoding.
    body = body.encode("utf-8", "backslashreplace").decode()
    return f'{body[:-1]}{_CRC_KEY}{zlib.crc32(body.encode()):08x}"}}\n'


def decode_prediction(line: str) -> Prediction:
    """The prediction on a line.

    Raises:
        ValueError: Not JSON, a missing field, or a checksum that differs.
    """
    body, found, tail = line.rpartition(_CRC_KEY)
    if found:
        body += "}"
        if tail != f'{zlib.crc32(body.encode()):08x}"}}':
            raise ValueError("checksum differs")
    record = json.loads(body if found else line)
    if not isinstance(record, dict):
        raise ValueError("not an object")
    if missing := [name for name in _REQUIRED if not isinstance(record.get(name), str)]:
        raise ValueError(f"field '{missing[0]}' is missing or not text")
    if logprobs := record.get("choice_logprobs"):
        record["choice_logprobs"] = tuple(logprobs)
    known = {name: value for name, value in record.items() if name in _NAMES}
    known = {"reasoning": None, "prompt_tokens": 0, "output_tokens": 0, **known}
    return Prediction(**known)


def load_predictions(path: Path) -> Loaded:
    """Read `predictions.jsonl`; a damaged line is reported, never trusted and never fatal."""
    try:
        raw = path.read_bytes()
    except FileNotFoundError:
        return Loaded(predictions={})
    except OSError as error:
        raise StoreError(f"cannot read {path}: {error.strerror}") from error
    half_line = bool(raw) and not raw.endswith(b"\n")
    lines = raw.split(b"\n")
    tail = lines.pop() if lines else b""
    predictions: dict[str, Prediction] = {}
    damaged: list[str] = []
    for number, line in enumerate(lines, start=1):
        try:
            prediction = decode_prediction(line.decode())
        except ValueError as error:
            reason = "not UTF-8" if isinstance(error, UnicodeDecodeError) else str(error)
            damaged.append(f"line {number}: {reason}")
            continue
        predictions[prediction.id] = prediction
    if tail:
        # A complete record that only lost its newline is as good as any other.
        try:
            prediction = decode_prediction(tail.decode())
            predictions[prediction.id] = prediction
        except ValueError:
            pass
    rewrite = bool(damaged) or half_line or len(predictions) != len(lines)
    return Loaded(
        predictions=predictions,
        damaged=tuple(damaged),
        half_line=half_line,
        needs_rewrite=rewrite,
    )
