"""`medinst-eval verify`: generate some samples of a run again and compare."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from medinst_eval.cli.console import err, out, printable

_SHOWN = 160


def command(
    run: Annotated[Path, typer.Argument(help="Run folder.")],
    sample: Annotated[int, typer.Option(help="How many samples to generate again.")] = 50,
    seed: Annotated[int, typer.Option(help="Seed of the draw.")] = 0,
    model: Annotated[
        str | None, typer.Option(help="Where the model lies now; default where it was.")
    ] = None,
    pulled: Annotated[
        str | None,
        typer.Option(help="Folder of `data pull` that holds what is needed; no network then."),
    ] = None,
    show: Annotated[int, typer.Option(help="How many differences to print.")] = 5,
) -> int:
    """Generate some samples of a run again and report how many outputs differ.

    Exit codes: 0 all equal, 1 some differ.
    """
    from medinst_eval.verify import verify

    given = {"model": model, "pulled": pulled}
    changes = {name: value for name, value in given.items() if value is not None}
    found = verify(run, sample=sample, seed=seed, **changes)
    for line in found.changed_settings:
        err().print(f"note: changed since: {printable(line)}", markup=False, soft_wrap=True)
    for difference in found.differences[:show]:
        prompt = "" if difference.same_prompt else " (the prompt differs too)"
        out().print(f"{difference.id}{prompt}", style="bold", markup=False)
        for label, text in (("before", difference.before), ("now", difference.now)):
            out().print(f"  {label:<7}{printable(text)[:_SHOWN]}", markup=False, soft_wrap=True)
    out().print(f"{len(found.differences)} of {found.asked} outputs differ, {found.errors} errors")
    return 1 if found.differences or found.errors else 0
