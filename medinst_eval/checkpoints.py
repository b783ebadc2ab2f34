"""Checkpoints of a training run: which are there, and which are written to the end."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from medinst_eval.errors import InputError

SETTLE_SECONDS = 5.0
"""A folder without the trainer's closing file counts as written once it is unchanged so long."""
TOKENIZER_FILES = (
    "tokenizer.json", "tokenizer.model", "tokenizer_config.json", "vocab.json", "vocab.txt",
    "spiece.model", "tekken.json",
)  # fmt: skip
_NAME = re.compile(r"checkpoint-(\d+)")
_LAST_FILE = "trainer_state.json"
_INDEX = "model.safetensors.index.json"
_SHARD = re.compile(r"-\d+-of-\d+\.safetensors$")
_MAX_HEADER = 100_000_000
"""Bytes; the limit of the safetensors format."""


@dataclass(frozen=True, kw_only=True)
class Checkpoint:
    """One `checkpoint-<step>` folder of a training run."""

    path: Path
    step: int
    missing: str | None
    """Why it cannot be evaluated yet; None: it is complete."""
    settling: bool = False
    """Only young: complete by its files, but something may still be written."""

    @property
    def name(self) -> str:
        """Name of the folder."""
        return self.path.name

    @property
    def mark(self) -> str:
        """Changes when weights or configuration are written anew (size and time, no reading)."""
        try:
            files = sorted(p for p in self.path.iterdir() if _counts(p))
            stats = [(p.name, p.stat()) for p in files]
        except OSError:
            return "gone"
        return "|".join(f"{name}:{s.st_size}:{s.st_mtime_ns}" for name, s in stats)


def _counts(path: Path) -> bool:
    return path.suffix == ".safetensors" or path.name in ("config.json", _INDEX)


def scan(folder: Path) -> list[Checkpoint]:
    """The checkpoints of a training run, by step.

    Args:
        folder: The training's output folder, with `checkpoint-<step>` folders in it. It need not
            exist yet: a training that has not begun has no checkpoints.

    Raises:
        InputError: The folder is a file, or cannot be read.
    """
    try:
        entries = list(folder.iterdir())
    except FileNotFoundError:
        return []
    except OSError as error:
        raise InputError(
            f"cannot read {folder}: {error.strerror}; give the folder that holds checkpoint-*"
        ) from error
    found = [
        _look(path, int(match[1]))
        for path in entries
        if (match := _NAME.fullmatch(path.name)) and path.is_dir()
    ]
    return sorted(found, key=lambda checkpoint: checkpoint.step)


def _look(path: Path, step: int) -> Checkpoint:
    try:
        missing = missing_part(path)
        settling = missing is None and not _closed(path)
    except FileNotFoundError:  # trainings delete old checkpoints while somebody looks at them
        missing, settling = "being deleted or renamed", False
    except OSError as error:
        missing, settling = f"cannot be read: {error.strerror}", False
    if settling:
        missing = "written a moment ago"
    return Checkpoint(path=path, step=step, missing=missing, settling=settling)


def missing_part(path: Path) -> str | None:
    """What a model folder lacks to be whole; None where nothing is missing.

    Looks at names, sizes and headers, never at the weights themselves: the header of a safetensors
    file says how long the file is.
    """
    if not (path / "config.json").is_file():
        if (path / "adapter_config.json").is_file():
            return "a LoRA adapter without its model; use `run --model BASE --lora` on it"
        return "no config.json yet"
    if _json(path / "config.json") is None:
        return "config.json is half written"
    return _missing_weights(path) or _missing_tokenizer(path)


def _missing_weights(path: Path) -> str | None:
    weights = sorted(p.name for p in path.glob("*.safetensors"))
    if (path / _INDEX).is_file():
        index = _json(path / _INDEX)
        names = index.get("weight_map") if isinstance(index, dict) else None
        if not isinstance(names, dict) or not names:
            return f"{_INDEX} is half written"
        weights = sorted({str(name) for name in names.values()})
    elif any(_SHARD.search(name) for name in weights):
        return f"no {_INDEX} yet"
    if not weights:
        return "no .safetensors weights yet"
    for name in weights:
        if not (path / name).is_file():
            return f"no {name} yet"
        if not whole_safetensors(path / name):
            return f"{name} is half written"
    return None


def _missing_tokenizer(path: Path) -> str | None:
    """A tokenizer file that is begun and not ended; that there is none at all is said later."""
    for name in TOKENIZER_FILES:
        file = path / name
        if name.endswith(".json") and file.is_file() and _json(file) is None:
            return f"{name} is half written"
    return None


def whole_safetensors(path: Path) -> bool:
    """Whether a safetensors file is as long as its header says.

    The file is 8 bytes of header length (little endian), the header as JSON, and the tensors, of
    which the last ends the file (https://huggingface.co/docs/safetensors).
    """
    size = path.stat().st_size
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        if size < 8 or not 0 < length <= min(size - 8, _MAX_HEADER):
            return False
        raw = file.read(length)
    try:
        ends = list(_ends(json.loads(raw)))
    except (ValueError, TypeError, KeyError, IndexError, AttributeError):
        return False
    return 8 + length + max(ends, default=0) == size


def _ends(header: Any) -> Iterator[int]:
    for name, tensor in header.items():
        if name != "__metadata__":
            yield int(tensor["data_offsets"][1])


def _closed(path: Path) -> bool:
    """Whether the trainer wrote its last file, or nothing was written for a while."""
    if _json(path / _LAST_FILE) is not None:
        return True
    newest = max(file.stat().st_mtime for file in path.iterdir())
    # a clock of another machine may be ahead, which must not stop the watch for ever
    return abs(time.time() - newest) >= SETTLE_SECONDS


def lacks_tokenizer(path: Path) -> bool:
    """Whether a model folder has no file that a tokenizer could be made from."""
    return not any((path / name).is_file() for name in TOKENIZER_FILES)


def _json(path: Path) -> Any | None:
    """A JSON file's content; None where it is absent or not JSON (yet)."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        return None
