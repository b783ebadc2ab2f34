"""`medinst-eval export`: a finished run in another tool's format."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from medinst_eval.cli.console import out


def command(
    run: Annotated[Path, typer.Argument(help="Run folder.")],
    to: Annotated[str, typer.Option(help="lm-eval, hub, inspect, csv or parquet.")],
    output: Annotated[
        Path | None,
        typer.Option(help="Folder to write in; default export/FORMAT in the run folder."),
    ] = None,
    dataset: Annotated[
        str | None,
        typer.Option(help="hub: data set on the Hub; default the one that the run read."),
    ] = None,
) -> int:
    """Write a finished run for lm-evaluation-harness, the Hub, Inspect, or as tables."""
    from medinst_eval import export
    from medinst_eval.store import read_run

    opened = read_run(run)
    folder = output or opened.path / "export" / to
    for path in export.export(opened, to, folder, dataset=dataset):
        out().print(str(path), markup=False, soft_wrap=True)
    return 0
