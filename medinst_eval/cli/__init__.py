"""The command line: one file per command; options in, exit code out, no logic."""

from __future__ import annotations

from typing import Annotated

import typer

from medinst_eval.cli import (
    compare,
    data,
    demo,
    export,
    leaderboard,
    merge,
    report,
    run,
    score,
    tasks,
    verify,
    watch,
)

app = typer.Typer(
    name="medinst-eval",
    help="How good is a language model on biomedical tasks, and is it worse than the last one?\n\n"
    "`medinst-eval --model PATH` evaluates a model (the same as `medinst-eval run --model PATH`; "
    "options: `medinst-eval run --help`).",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    rich_markup_mode=None,
)


def _version(wanted: bool) -> None:
    if wanted:
        from medinst_eval.manifest import package_version

        typer.echo(f"medinst-eval {package_version()}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", help="Print the version.", callback=_version, is_eager=True)
    ] = False,
) -> None:
    pass


app.command("run")(run.command)
app.command("demo")(demo.command)
app.command("watch")(watch.command)
app.add_typer(tasks.app, name="tasks")
app.command("compare")(compare.command)
app.command("leaderboard")(leaderboard.command)
app.command("report")(report.command)
app.command("export")(export.command)
app.command("score")(score.command)
app.command("merge")(merge.command)
app.command("verify")(verify.command)
app.add_typer(data.app, name="data")
