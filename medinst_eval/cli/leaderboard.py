"""`medinst-eval leaderboard`: many models in one table."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from medinst_eval.cli.console import out, printable
from medinst_eval.errors import InputError

if TYPE_CHECKING:
    from rich.text import Text

    from medinst_eval.leaderboard import Board, Grid
    from medinst_eval.leaderboard.grid import GridCell


def command(
    paths: Annotated[
        list[Path] | None,
        typer.Argument(help="Run folders, or folders that hold some; default: results."),
    ] = None,
    rows: Annotated[str, typer.Option(help="What the rows are: task or model.")] = "task",
    by: Annotated[str, typer.Option(help="One line per task, category or level.")] = "task",
    metrics: Annotated[
        str | None,
        typer.Option(help="paper or standard; default standard, paper with published models."),
    ] = None,
    suite: Annotated[
        str | None, typer.Option(help="medinst32 or mmlu-medicine; default: that of the runs.")
    ] = None,
    intervals: Annotated[bool, typer.Option("--intervals", help="Show 95 % intervals.")] = False,
    paired: Annotated[
        bool,
        typer.Option(
            "--paired",
            help="Mark what is not significantly worse than the best by paired tests on the "
            "samples (slower) instead of by overlapping intervals.",
        ),
    ] = False,
    with_published: Annotated[
        bool, typer.Option("--with-published", help="Add the paper's models.")
    ] = False,
    published_only: Annotated[
        bool, typer.Option("--published-only", help="The paper's table by itself.")
    ] = False,
    format_: Annotated[
        str | None,
        typer.Option(
            "--format",
            help="markdown, latex, html, csv or json; default: by the ending of --output, "
            "else a table on the terminal.",
        ),
    ] = None,
    output: Annotated[Path | None, typer.Option(help="Write to this file.")] = None,
    digits: Annotated[int, typer.Option(help="Decimals of a score.", min=0, max=4)] = 2,
) -> int:
    """Set models side by side."""
    from medinst_eval import leaderboard as engine
    from medinst_eval.files import write_atomic

    shown = "runs"
    if with_published or published_only:
        shown = "published" if published_only else "both"
    if published_only and paths:
        raise InputError("--published-only takes no runs; use --with-published for both")
    which = metrics or ("standard" if shown == "runs" else "paper")
    board = engine.leaderboard(
        paths or [Path("results")],
        options=engine.BoardOptions(
            metrics=_choice("--metrics", which, "paper", "standard"),  # type: ignore[arg-type]
            by=_choice("--by", by, "task", "category", "level"),  # type: ignore[arg-type]
            digits=digits,
        ),
        models=shown,  # type: ignore[arg-type]
        suite=suite,
        paired=paired,
    )
    orientation = _choice("--rows", rows, "task", "model")
    grid = engine.lay_out(board, orientation, intervals=intervals)  # type: ignore[arg-type]
    chosen = _format(format_, output)
    if chosen is None:
        _print(grid)
        return 0
    text = _render(board, grid, chosen)
    if output is None:
        typer.echo(text, nl=False)
    else:
        write_atomic(output, text)
        out().print(f"wrote {printable(str(output))}", markup=False, soft_wrap=True)
    return 0


def _choice(option: str, value: str, *known: str) -> str:
    if value.lower() not in known:
        raise InputError(f"{option} takes {', '.join(known[:-1])} or {known[-1]}, not '{value}'")
    return value.lower()


def _format(given: str | None, output: Path | None) -> str | None:
    from medinst_eval.leaderboard import FORMATS, SUFFIXES

    if given is not None:
        return _choice("--format", given, *FORMATS, "json")
    if output is None:
        return None
    found = SUFFIXES.get(output.suffix.lower())
    if found is None:
        endings = ", ".join(SUFFIXES)
        raise InputError(f"--output {output}: give --format, or an ending among {endings}")
    return found


def _render(board: Board, grid: Grid, chosen: str) -> str:
    from medinst_eval.leaderboard import FORMATS, as_json

    if chosen == "json":
        return json.dumps(as_json(board), ensure_ascii=False, indent=2, allow_nan=False) + "\n"
    return FORMATS[chosen](grid)


def _print(grid: Grid) -> None:
    from rich import box
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD, title=Text(printable(grid.title)), pad_edge=False)
    for number, cell in enumerate(grid.header):
        right = any(row[number].kind == "number" for row in grid.rows)
        header = Text(printable(cell.text))
        table.add_column(header, justify="right" if right else "left", no_wrap=not right)
    for number, row in enumerate(grid.rows):
        if number in grid.breaks and number:
            table.add_section()
        table.add_row(*(_text(cell) for cell in row))
    console = out()
    console.print(table)
    for note in grid.notes:
        console.print(printable(note), style="dim", markup=False, soft_wrap=True)


def _text(cell: GridCell) -> Text:
    from rich.text import Text

    from medinst_eval.leaderboard.grid import EQUAL

    style = "bold" if cell.bold else "underline" if cell.underlined else ""
    text = Text(printable(cell.text), style=style)
    if cell.equal:
        text.append(f" {EQUAL}", style="not bold not underline")
    if cell.interval:
        text.append(f" {cell.interval}", style="dim not bold not underline")
    return text
