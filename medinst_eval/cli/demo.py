"""`medinst-eval demo`: the main job on the built-in data and model, from scores to a report."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from medinst_eval.cli.console import out

_MAX_TOKENS = 200
"""Enough for the longest gold answer of the built-in data."""


def command(
    output: Annotated[Path, typer.Option(help="Folder for run folders.")] = Path("results"),
    shots: Annotated[int, typer.Option(help="Demonstrations per prompt: 0, 1 or 2.")] = 2,
    limit: Annotated[int | None, typer.Option(help="First N rows of each task.")] = None,
    fresh: Annotated[
        bool, typer.Option("--fresh", help="Forget what an earlier demo left.")
    ] = False,
    quiet: Annotated[bool, typer.Option("--quiet", help="No progress and no notes.")] = False,
) -> int:
    """Evaluate two checkpoints of the built-in model on the built-in data, compare and report.

    With transformers on the CPU; a few minutes. The table is that of the later checkpoint.
    """
    from medinst_eval.cli import compare, report
    from medinst_eval.cli.run import execute
    from medinst_eval.config import RunConfig
    from medinst_eval.demo import model_folder

    paths = []
    for which in ("early", "final"):
        config = RunConfig(
            model=str(model_folder(which)),
            backend="transformers",
            data="demo",
            shots=shots,
            limit=limit,
            max_tokens=_MAX_TOKENS,
            output=output,
            run_name=f"demo-{which}",
            fresh=fresh,
        )
        if code := execute(config, quiet=quiet, as_json=False, table=which == "final"):
            return code
        paths.append(output / f"demo-{which}")
    out().print("\nIs the later checkpoint worse than the early one?\n", style="bold")
    compare.command(base=paths[0], new=paths[1:])
    out().print("\nThe same as a page to open in a browser:", style="bold")
    return report.command(runs=paths, output=None)
