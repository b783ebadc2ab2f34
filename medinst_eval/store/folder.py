"""A run folder opened by its only writer: resume, lock, append, finished files."""

from __future__ import annotations

import fcntl
import io
import json
import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

import numpy as np
import numpy.typing as npt

from medinst_eval.errors import StoreError
from medinst_eval.files import read_json, write_atomic, write_json
from medinst_eval.store.lines import encode_prediction, load_predictions
from medinst_eval.store.names import MANIFEST, PREDICTIONS, RESULTS, SAMPLES, STATS, Manifest
from medinst_eval.types import Prediction

_SYNC_SECONDS = 2.0

_IDENTITY = ("suite", "model", "backend", "sampling", "prompt", "data")
# What may differ between two starts of one run: it says how fast, not what is asked.
_NOT_IDENTITY = {
    "backend.version", "backend.arguments", "backend.engine", "model.name", "data.source",
    "data.revision",
}  # fmt: skip


def identity(manifest: Manifest) -> dict[str, str]:
    """The fields that two starts of one run must share, flattened to `a.b.c` -> JSON text."""
    flat: dict[str, str] = {}

    def walk(prefix: str, value: Any) -> None:
        if prefix in _NOT_IDENTITY or prefix.endswith(".warnings"):
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
    # A start that failed before the first answer leaves a manifest that binds nobody.
    if manifest_path.is_file() and any((path / name).exists() for name in (PREDICTIONS, RESULTS)):
        old = read_json(manifest_path, "manifest")
        if not isinstance(old, dict):
            raise StoreError(
                f"manifest {manifest_path} is not a JSON object; restore it, or use --fresh to "
                "overwrite the run"
            )
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
