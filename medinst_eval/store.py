"""A run folder: manifest, append-only predictions, resume, lock, and the finished files.

`predictions.jsonl` is written line by line and flushed, each line with a checksum, so that
whatever was finished before a crash is kept and whatever was damaged is noticed. All other files
are written whole or not at all.
"""

from __future__ import annotations

import fcntl
import io
import json
import os
import time
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

import numpy as np
import numpy.typing as npt

from medinst_eval.errors import StoreError
from medinst_eval.files import read_json, write_atomic, write_json
from medinst_eval.types import Prediction

MANIFEST = "manifest.json"
PREDICTIONS = "predictions.jsonl"
SAMPLES = "samples.jsonl"
RESULTS = "results.json"
STATS = "stats.npz"
SCHEMA_VERSION = 1

_CRC_KEY = ', "crc": "'
_SYNC_SECONDS = 2.0
_NAMES = frozenset(f.name for f in fields(Prediction))
_REQUIRED = ("task", "id", "key", "prompt_sha", "output", "finish_reason")

Manifest = dict[str, Any]
FloatArray = npt.NDArray[np.float64]


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


# -- reading ------------------------------------------------------------------------------------


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


@dataclass(frozen=True, kw_only=True)
class FinishedRun:
    """A scored run folder, opened for reading."""

    path: Path
    manifest: Manifest
    results: dict[str, Any]

    @property
    def name(self) -> str:
        """Name of the run."""
        return str(self.results.get("run") or self.path.name)

    def samples(self) -> Iterator[dict[str, Any]]:
        """Lines of `samples.jsonl`, in task and row order.

        Raises:
            StoreError: Missing or damaged; the message says how to make it again.
        """
        path = self.path / SAMPLES
        try:
            with path.open(encoding="utf-8") as lines:
                for number, line in enumerate(lines, start=1):
                    try:
                        yield json.loads(line)
                    except ValueError as error:
                        raise StoreError(
                            f"{path}:{number}: not valid JSON; "
                            f"`medinst-eval score {self.path}` writes it again"
                        ) from error
        except OSError as error:
            raise StoreError(
                f"cannot read {path}: {error.strerror}; "
                f"`medinst-eval score {self.path}` writes it again"
            ) from error

    def stats(self) -> dict[str, npt.NDArray[Any]]:
        """Statistics of every scored sample: `"<task>|<metric>"` -> (rows, stats)."""
        path = self.path / STATS
        try:
            with np.load(path, allow_pickle=False) as arrays:
                return {name: arrays[name] for name in arrays.files}
        except (OSError, ValueError, EOFError, zlib.error) as error:
            raise StoreError(
                f"cannot read {path} ({error}); `medinst-eval score {self.path}` writes it again"
            ) from error


def read_run(path: Path | str) -> FinishedRun:
    """Open a scored run folder.

    Raises:
        StoreError: No run folder, or one that was never scored.
    """
    folder = Path(path)
    if not folder.is_dir():
        raise StoreError(f"no run folder at {folder}; `medinst-eval --model …` makes one")
    if not (folder / RESULTS).is_file():
        if (folder / MANIFEST).is_file():
            raise StoreError(
                f"{folder} has no {RESULTS}: the run is unfinished; run the same command again to "
                f"finish it, or `medinst-eval score {folder}` to score what is there"
            )
        raise StoreError(f"{folder} is not a run folder (no {RESULTS})")
    manifest_path = folder / MANIFEST
    manifest = read_json(manifest_path, "manifest") if manifest_path.is_file() else {}
    results = read_json(folder / RESULTS, "results")
    if not isinstance(results, dict) or not isinstance(results.get("tasks"), dict):
        raise StoreError(f"{folder / RESULTS} is not a results file (no 'tasks')")
    return FinishedRun(path=folder, manifest=manifest, results=results)


# -- writing ------------------------------------------------------------------------------------

_IDENTITY = ("suite", "model", "backend", "sampling", "prompt", "data")
# What may differ between two starts of one run: it says how fast, not what is asked.
_NOT_IDENTITY = {
    "backend.version", "backend.arguments", "model.name", "data.source", "data.revision",
    "sampling.max_tokens_source",
}  # fmt: skip


def identity(manifest: Manifest) -> dict[str, str]:
    """The fields that two starts of one run must share, flattened to `a.b.c` -> JSON text."""
    flat: dict[str, str] = {}

    def walk(prefix: str, value: Any) -> None:
        if prefix in _NOT_IDENTITY:
            return
        if isinstance(value, dict) and value:
            for key, inner in value.items():
                walk(f"{prefix}.{key}", inner)
        else:
            flat[prefix] = json.dumps(value, ensure_ascii=False, sort_keys=True)

    for name in _IDENTITY:
        walk(name, manifest.get(name))
    return flat


def differing_fields(old: Manifest, new: Manifest) -> list[str]:
    """Fields of the identity that differ, as `prompt.shots: 2 -> 0`; long values shortened."""
    before, after = identity(old), identity(new)
    lines = []
    for name in sorted(before.keys() | after.keys()):
        one, two = before.get(name, "absent"), after.get(name, "absent")
        if one != two:
            lines.append(f"{name}: {_short(one)} -> {_short(two)}")
    return lines


def _short(text: str) -> str:
    return text if len(text) <= 40 else f"{text[:18]}…{text[-18:]}"


@dataclass(kw_only=True)
class RunFolder:
    """A run folder opened by its only writer. Use as a context manager."""

    path: Path
    manifest: Manifest
    predictions: dict[str, Prediction]
    notes: list[str] = field(default_factory=list)
    """What was found on opening: damaged lines, a half-written last line."""
    _lock: IO[str] | None = None
    _file: IO[bytes] | None = None
    _synced: float = 0.0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def append(self, prediction: Prediction) -> None:
        """Add one finished sample; it is in the operating system's hands on return.

        Raises:
            StoreError: It cannot be saved; the run must stop.
        """
        path = self.path / PREDICTIONS
        try:
            if self._file is None:
                self._file = path.open("ab", buffering=0)
            self._file.write(encode_prediction(prediction).encode())
            now = time.monotonic()
            if now - self._synced > _SYNC_SECONDS:
                os.fsync(self._file.fileno())
                self._synced = now
        except OSError as error:
            raise StoreError(
                f"cannot write {path}: {error.strerror}; nothing finished is lost: free space, "
                "then run the same command again"
            ) from error
        self.predictions[prediction.id] = prediction

    def write_manifest(self, **changes: Any) -> None:
        """Save the manifest, with changes to its top level."""
        self.manifest = {**self.manifest, **changes}
        write_json(self.path / MANIFEST, self.manifest)

    def write_scores(
        self,
        *,
        results: Mapping[str, Any],
        samples: Sequence[Mapping[str, Any]],
        stats: Mapping[str, npt.NDArray[Any]],
    ) -> None:
        """Save samples and statistics, and last the results: they mark the run as scored."""
        lines = [json.dumps(s, ensure_ascii=False, allow_nan=False) for s in samples]
        text = "".join(f"{line}\n" for line in lines)
        write_atomic(self.path / SAMPLES, text.encode("utf-8", "backslashreplace"))
        buffer = io.BytesIO()
        np.savez_compressed(buffer, allow_pickle=False, **stats)
        write_atomic(self.path / STATS, buffer.getvalue())
        write_json(self.path / RESULTS, results)

    def close(self) -> None:
        """Flush to disk and give the lock back."""
        if self._file is not None:
            try:
                os.fsync(self._file.fileno())
            except OSError as error:
                raise StoreError(f"cannot save {self.path / PREDICTIONS}: {error}") from error
            finally:
                self._file.close()
                self._file = None
        if self._lock is not None:
            self._lock.close()
            self._lock = None


def open_run(path: Path, manifest: Manifest, *, fresh: bool = False) -> RunFolder:
    """Create a run folder, or continue one that asks the same.

    Args:
        path: The folder.
        manifest: What is about to be asked, and with what.
        fresh: Forget what is there (the old predictions are deleted).

    Raises:
        StoreError: Another process writes it, it asks something else, or it cannot be written.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StoreError(
            f"cannot create {path}: {error.strerror}; choose another --output"
        ) from error
    lock = _take_lock(path)
    try:
        return _open_locked(path, manifest, lock, fresh=fresh)
    except BaseException:
        lock.close()
        raise


def _open_locked(path: Path, manifest: Manifest, lock: IO[str], *, fresh: bool) -> RunFolder:
    notes: list[str] = []
    manifest_path = path / MANIFEST
    if fresh:
        for name in (RESULTS, SAMPLES, STATS, PREDICTIONS, MANIFEST):
            (path / name).unlink(missing_ok=True)
    if manifest_path.is_file():
        old = read_json(manifest_path, "manifest")
        if differs := differing_fields(old, manifest):
            shown = "; ".join(differs[:5]) + ("; …" if len(differs) > 5 else "")
            raise StoreError(
                f"{path} holds another run ({shown}); use --run-name for a new one, "
                "or --fresh to overwrite it"
            )
        manifest = {**manifest, "started": old.get("started", manifest.get("started"))}
    elif (path / PREDICTIONS).is_file():
        raise StoreError(
            f"{path} holds predictions but no {MANIFEST}: what made them is not known; "
            "use --run-name for a new run, or --fresh to overwrite them"
        )
    loaded = load_predictions(path / PREDICTIONS)
    if loaded.damaged:
        shown = "; ".join(loaded.damaged[:3]) + ("; …" if len(loaded.damaged) > 3 else "")
        notes.append(
            f"{path / PREDICTIONS}: {len(loaded.damaged)} damaged line(s) will be asked again "
            f"({shown})"
        )
    if loaded.needs_rewrite:
        text = "".join(encode_prediction(p) for p in loaded.predictions.values())
        write_atomic(path / PREDICTIONS, text)
    run = RunFolder(
        path=path, manifest=manifest, predictions=loaded.predictions, notes=notes, _lock=lock
    )
    run.write_manifest()
    return run


def _take_lock(path: Path) -> IO[str]:
    try:
        lock = (path / ".lock").open("a+", encoding="utf-8")
    except OSError as error:
        raise StoreError(
            f"cannot write in {path}: {error.strerror}; choose another --output"
        ) from error
    try:
        # A record lock, since it is not inherited by an engine's forked processes, which may
        # outlive a killed parent by some seconds.
        fcntl.lockf(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        lock.seek(0)
        holder = lock.read().strip() or "unknown"
        lock.close()
        raise StoreError(
            f"{path} is being written by another process ({holder}); wait for it, "
            "or use another --run-name"
        ) from error
    lock.truncate(0)
    lock.write(f"pid {os.getpid()}")
    lock.flush()
    return lock
