"""`medinst-eval data`: what is asked for on a machine without a network, and checks of data."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from medinst_eval.cli import data_check
from medinst_eval.cli.console import err, out, printable

app = typer.Typer(
    help="Fetch data, models and word lists for a machine without a network.",
    no_args_is_help=True,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)


@app.command("pull")
def pull(
    to: Annotated[Path, typer.Option(help="Folder to fill, or to look into.")],
    suite: Annotated[
        str | None, typer.Option(help="medinst32 (default), mmlu-medicine, or own.")
    ] = None,
    tasks: Annotated[
        str | None,
        typer.Option(help="Names, categories or level:3, separated by commas; default all."),
    ] = None,
    task_file: Annotated[
        list[str] | None,
        typer.Option(help="Card of tasks of your own; repeatable. Alone unless --suite is given."),
    ] = None,
    data: Annotated[
        str | None, typer.Option(help="Hub id of the data; default the suite's.")
    ] = None,
    revision: Annotated[str | None, typer.Option(help="Revision of the data set.")] = None,
    model: Annotated[
        list[str] | None, typer.Option(help="Hub id of a model or adapter; repeatable.")
    ] = None,
    model_revision: Annotated[
        str | None, typer.Option(help="Revision of the (first) model.")
    ] = None,
    bertscore_model: Annotated[
        str | None, typer.Option(help="Encoder of BERTScore; default roberta-large.")
    ] = None,
    skip: Annotated[
        list[str] | None,
        typer.Option(help="Leave out data, model, bertscore or wordnet; repeatable."),
    ] = None,
    check: Annotated[
        bool,
        typer.Option("--check", help="Fetch nothing: look for what was pulled into the folder."),
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="The checklist as JSON.")] = False,
) -> int:
    """Fetch everything that a machine without a network will need, with a checklist.

    The folder is then given to `medinst-eval --pulled FOLDER …` there.

    Exit codes: 0 everything is there, 1 something is missing.
    """
    from medinst_eval import pull as room
    from medinst_eval.errors import InputError

    asked = (suite, tasks, task_file, data, revision, model, model_revision, bertscore_model, skip)
    if check:
        if any(asked):
            raise InputError(
                "--check looks for what was pulled into the folder; give --to alone with it"
            )
        states = room.check(to)
    else:
        wanted = room.Wanted(
            suite=suite or ("own" if task_file else "medinst32"),
            tasks=tasks,
            task_files=tuple(task_file or ()),
            data=data,
            revision=revision,
            models=tuple(model or ()),
            model_revision=model_revision,
            bertscore_model=bertscore_model,
            skip=tuple(skip or ()),
        )
        states = room.pull(
            to, wanted, lambda what: err().print(f"{printable(what)} …", markup=False)
        )
    missing = sum(not state.there for state in states)
    if as_json:
        print(json.dumps([asdict(state) for state in states], ensure_ascii=False, indent=2))
    else:
        _checklist(states, to)
    return 1 if missing else 0


def _checklist(states: tuple[object, ...], folder: Path) -> None:
    from medinst_eval.pull import State

    console = out()
    missing = 0
    for state in states:
        assert isinstance(state, State)
        missing += not state.there
        size = f", {_readable(state.size)}" if state.size else ""
        mark = "there  " if state.there else "MISSING"
        console.print(
            f"{mark}  {state.kind} {printable(state.name)}: {printable(state.detail)}{size}",
            markup=False,
            soft_wrap=True,
        )
    shown = printable(str(folder))
    if missing:
        console.print(f"\n{missing} of {len(states)} missing", markup=False)
    else:
        console.print(
            f"\nall there; where there is no network: medinst-eval --pulled {shown} --model …",
            markup=False,
            soft_wrap=True,
        )


def _readable(size: int) -> str:
    """Bytes as people read them: `410 kB`, `16.1 GB`."""
    number = float(size)
    for unit in ("B", "kB", "MB"):
        if number < 1000:
            return f"{number:.0f} {unit}"
        number /= 1000
    return f"{number:.1f} GB"


app.command("check")(data_check.command)
