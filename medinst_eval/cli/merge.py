"""`medinst-eval merge`: join the shards of a run."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def command(
    runs: Annotated[list[Path], typer.Argument(help="Run folders made with --shard 1/n … n/n.")],
    output: Annotated[Path, typer.Option(help="Folder for the joined run folder.")] = Path(
        "results"
    ),
    run_name: Annotated[
        str | None,
        typer.Option(help="Name of the joined run; default the first shard's without its shard."),
    ] = None,
    fresh: Annotated[bool, typer.Option("--fresh", help="Overwrite a run of that name.")] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print results.json instead of the table.")
    ] = False,
) -> int:
    """Join the shards of a run into one, equal to a run that was never split."""
    import re

    from medinst_eval.cli.run import show
    from medinst_eval.config import safe_name
    from medinst_eval.rescore import merge

    name = run_name or re.sub(r"_shard\d+of\d+", "", runs[0].resolve().name) or "merged"
    folder = output / safe_name(name)
    show(folder, merge(runs, folder, fresh=fresh), as_json=as_json)
    return 0
