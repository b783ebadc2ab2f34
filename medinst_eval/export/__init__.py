"""Finished runs in other tools' formats."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from medinst_eval.errors import InputError, closest
from medinst_eval.export import hub, inspect, lm_eval, tabular
from medinst_eval.export.loggers import LOGGERS, log_to
from medinst_eval.store import FinishedRun

__all__ = ["FORMATS", "LOGGERS", "export", "log_to"]

_WRITERS: dict[str, Callable[[FinishedRun, Path], list[Path]]] = {
    "lm-eval": lm_eval.export,
    "hub": hub.export,
    "inspect": inspect.export,
    "csv": tabular.export_csv,
    "parquet": tabular.export_parquet,
}
FORMATS = tuple(_WRITERS)


def export(run: FinishedRun, to: str, output: Path, *, dataset: str | None = None) -> list[Path]:
    """Write a run in another tool's format.

    Args:
        run: A finished run.
        to: One of `FORMATS`.
        output: The folder to write in.
        dataset: `hub` only: Hub id of the data set that the scores belong to.

    Returns:
        The files written.

    Raises:
        InputError: Unknown format, or a package or setting that it needs is missing.
        StoreError: A file cannot be written, or the run folder is damaged.
    """
    if to not in _WRITERS:
        raise InputError(f"no format '{to}'{closest(to, FORMATS)} (known: {', '.join(FORMATS)})")
    if to == "hub":
        return hub.export(run, output, dataset=dataset)
    if dataset is not None:
        raise InputError(f"--dataset belongs to --to hub, not to {to}")
    return _WRITERS[to](run, output)
