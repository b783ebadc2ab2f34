"""`medinst-eval demo`: the main job on the built-in data and model."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def command(
    output: Annotated[Path, typer.Option(help="Folder for run folders.")] = Path("results"),
    run_name: Annotated[str | None, typer.Option(help="Name of the run; default demo.")] = None,
    shots: Annotated[int, typer.Option(help="Demonstrations per prompt: 0, 1 or 2.")] = 2,
    limit: Annotated[int | None, typer.Option(help="First N rows of each task.")] = None,
    fresh: Annotated[
        bool, typer.Option("--fresh", help="Forget what an earlier demo left.")
    ] = False,
    quiet: Annotated[bool, typer.Option("--quiet", help="No progress and no notes.")] = False,
) -> int:
    """Evaluate the built-in model on the built-in data with transformers on the CPU."""
    from medinst_eval.cli.run import execute
    from medinst_eval.config import RunConfig
    from medinst_eval.demo import model_folder

    config = RunConfig(
        model=str(model_folder()),
        backend="transformers",
        data="demo",
        shots=shots,
        limit=limit,
        max_tokens=160,
        output=output,
        run_name=run_name or "demo",
        fresh=fresh,
    )
    return execute(config, quiet=quiet, as_json=False)
