"""Files that survive: written whole or not at all; a failure to save is fatal."""

from __future__ import annotations

import json
import os
import tempfile
from pathlib import Path
from typing import Any

from medinst_eval.errors import StoreError


def write_atomic(path: Path, data: str | bytes) -> None:
    """Write a file by temp file, fsync and rename, so that readers never see half of it.

    Raises:
        StoreError: The file cannot be written (full disk, read-only folder).
    """
    raw = data.encode() if isinstance(data, str) else data
    tmp: str | None = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, tmp = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        with os.fdopen(handle, "wb") as out:
            out.write(raw)
            out.flush()
            os.fsync(out.fileno())
        Path(tmp).chmod(0o644)
        Path(tmp).replace(path)
    except OSError as error:
        if tmp is not None:
            Path(tmp).unlink(missing_ok=True)
        raise StoreError(
            f"cannot write {path}: {error.strerror}; free space or choose another --output"
        ) from error


def write_json(path: Path, value: Any) -> None:
    """Write a value as indented JSON, atomically; NaN and infinity are refused."""
    text = json.dumps(value, ensure_ascii=False, indent=2, allow_nan=False)
    write_atomic(path, text + "\n")


def read_json(path: Path, what: str) -> Any:
    """Read a JSON file; `what` names it in the error.

    Raises:
        StoreError: Missing, unreadable or not JSON.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise StoreError(f"cannot read {what} {path}: {error.strerror}") from error
    except ValueError as error:
        raise StoreError(
            f"{what} {path} is not valid JSON ({error}); restore or delete it"
        ) from error
