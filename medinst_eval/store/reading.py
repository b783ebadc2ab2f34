"""Finished run folders, opened for reading."""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from medinst_eval.errors import StoreError
from medinst_eval.files import read_json
from medinst_eval.store.names import MANIFEST, RESULTS, SAMPLES, STATS, Manifest


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
