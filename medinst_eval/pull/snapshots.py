"""Models and encoders: the files of a repository that are needed, each counted."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from medinst_eval.errors import InputError

_LABELS = {"model": "model", "bertscore": "BERTScore encoder"}
_WEIGHTS = (
    ".bin", ".pt", ".pth", ".ckpt", ".h5", ".msgpack", ".ot", ".onnx", ".onnx_data", ".tflite",
    ".mlmodel", ".gguf", ".npz",
)  # fmt: skip
"""Weights in other formats than the one that is read where there is one."""
_OTHER_ENGINES = ("original/", "onnx/", "openvino/", "coreml/", "metal/", "tflite/", "runs/")


@dataclass(frozen=True, kw_only=True)
class Found:
    """Something that is there."""

    detail: str
    size: int
    """Bytes."""


@dataclass(frozen=True, kw_only=True)
class Snapshot:
    """A model's repository at one commit."""

    kind: str
    name: str
    """Hub id or folder."""
    revision: str | None
    commit: str | None = None
    files: Mapping[str, int] = field(default_factory=dict)
    """Path -> size in bytes of what was fetched."""

    @property
    def label(self) -> str:
        """The kind, in words."""
        return _LABELS[self.kind]

    def fetch(self, folder: Path) -> Snapshot:
        """Download settings, tokenizer and weights; weights in one format only."""
        if self._is_folder():
            return self
        from huggingface_hub import HfApi, snapshot_download
        from huggingface_hub.utils.tqdm import disable_progress_bars

        from medinst_eval.data.hub_client import http_error, resolve

        found = resolve("model", self.name, self.revision, offline=False)
        if not found.reachable:
            raise InputError("the Hub cannot be reached; pull again where there is a network")
        if not sys.stderr.isatty():
            disable_progress_bars()
        try:
            chosen = needed(HfApi().list_repo_files(self.name, revision=found.commit))
            # By name, not by commit: that is how the cache learns what the name stands for.
            snapshot = Path(
                snapshot_download(
                    self.name,
                    revision=self.revision,
                    cache_dir=folder / "hub",
                    allow_patterns=chosen,
                )
            )
        except (OSError, ValueError, http_error()) as error:
            line = str(error).strip().splitlines()[0] if str(error).strip() else repr(error)
            raise InputError(f"{line}; pull again to go on") from error
        sizes = {name: (snapshot / name).stat().st_size for name in chosen}
        return replace(self, commit=snapshot.name, files=sizes)

    def look(self, folder: Path) -> Found:
        """Look for every file that was fetched, with its size."""
        if self._is_folder():
            return Found(detail="a folder of its own: take it along", size=0)
        if self.commit is None:
            raise InputError("never fetched; pull again where there is a network")
        repo = folder / "hub" / f"models--{self.name.replace('/', '--')}"
        snapshot = repo / "snapshots" / self.commit
        missing = [name for name, size in self.files.items() if _size(snapshot / name) != size]
        if missing:
            raise InputError(
                f"{len(missing)} of {len(self.files)} files are missing or cut off "
                f"({missing[0]}); pull again, and copy the folder with its links (tar, rsync -a)"
            )
        if not (repo / "refs" / (self.revision or "main")).is_file() and (
            self.revision != self.commit
        ):
            raise InputError("the file refs/main of its folder is missing; copy the folder whole")
        return Found(
            detail=f"{len(self.files)} files, commit {self.commit[:8]}",
            size=sum(self.files.values()),
        )

    def record(self) -> dict[str, Any]:
        """Id, revision, commit and files."""
        return {"what": "snapshot", **vars(self), "files": dict(self.files)}

    def _is_folder(self) -> bool:
        return Path(self.name).expanduser().is_dir()


def needed(files: Sequence[str]) -> list[str]:
    """Files of a repository that an engine reads.

    Where there are safetensors, no weights in other formats; no copies for other engines.

    Raises:
        InputError: The repository has no `config.json`, nor an adapter's.
    """
    kept = [name for name in files if not name.startswith((".git", *_OTHER_ENGINES))]
    if not {"config.json", "adapter_config.json", "params.json"} & set(kept):
        raise InputError("the repository has no config.json, so it is no model; check the id")
    safe = [name for name in kept if name.endswith(".safetensors")]
    if safe:
        kept = [name for name in kept if not name.endswith(_WEIGHTS)]
    if any(not name.startswith("consolidated") for name in safe):
        kept = [name for name in kept if not name.startswith("consolidated")]
    return kept


def size_of(folder: Path) -> int:
    """Bytes in a folder, links not followed."""
    files = (path for path in folder.rglob("*") if path.is_file() and not path.is_symlink())
    return sum(path.stat().st_size for path in files)


def _size(path: Path) -> int | None:
    try:
        return path.stat().st_size
    except OSError:
        return None
