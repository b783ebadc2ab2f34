"""`medinst-eval compare`: the regression gate."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from medinst_eval.cli.console import out, printable
from medinst_eval.errors import InputError

if TYPE_CHECKING:
    from rich.table import Table

    from medinst_eval.compare import Comparison, Flip, Unit

_STYLES = {"worse": "red", "better": "green", "no evidence": ""}
_TEXT_LIMIT = 1_500
"""Characters of one text shown on the terminal."""


def command(
    base: Annotated[Path, typer.Argument(help="Run folder to compare with.")],
    new: Annotated[
        list[Path], typer.Argument(help="Run folder in question; several are each compared.")
    ],
    metrics: Annotated[
        str, typer.Option(help="Headline metrics the verdicts rest on: paper or standard.")
    ] = "standard",
    fail_on: Annotated[
        str | None,
        typer.Option(
            help="significant, threshold (a drop of more than --max-drop) or both together; "
            "default: threshold where --max-drop is given, else significant."
        ),
    ] = None,
    max_drop: Annotated[float | None, typer.Option(help="Largest drop allowed, in points.")] = None,
    on: Annotated[
        str | None,
        typer.Option(
            help="What the gate looks at: overall, category, task; several with commas; "
            "default: overall for a threshold, else overall,task."
        ),
    ] = None,
    min_score: Annotated[
        list[str] | None,
        typer.Option(help="NAME=POINTS: lowest score of a task, category or overall; repeatable."),
    ] = None,
    correction: Annotated[
        str, typer.Option(help="Of p-values for many tests: holm, bh or none.")
    ] = "holm",
    allow: Annotated[
        str,
        typer.Option(
            help="Compare in spite of differences: suite, tasks, data, limit, shots, layout, "
            "prompt, sampling, incomplete, metrics; several with commas."
        ),
    ] = "",
    show: Annotated[
        int, typer.Option(help="Show N rows that got worse and N that got better.", min=0)
    ] = 0,
    markdown: Annotated[
        Path | None, typer.Option(help="Write a page fit for a pull request comment.")
    ] = None,
    as_json: Annotated[
        Path | None, typer.Option("--json", help="Write everything as JSON.")
    ] = None,
    junit: Annotated[Path | None, typer.Option(help="Write JUnit XML, one case per task.")] = None,
    resamples: Annotated[
        int, typer.Option(help="Bootstrap resamples and permutations.", min=100)
    ] = 10_000,
    seed: Annotated[int, typer.Option(help="Seed of both.", min=0)] = 0,
    quiet: Annotated[bool, typer.Option("--quiet", help="Print the outcome only.")] = False,
) -> int:
    """Is NEW worse than BASE? Exit code 0: no regression, 1: regression, 3: not comparable."""
    from medinst_eval import compare as engine
    from medinst_eval.compare import render
    from medinst_eval.files import write_atomic, write_json

    options = engine.AnalysisOptions(
        metrics=_choice("--metrics", metrics, "paper", "standard"),  # type: ignore[arg-type]
        correction=_choice("--correction", correction, "holm", "bh", "none"),  # type: ignore[arg-type]
        resamples=resamples,
        permutations=resamples,
        seed=seed,
    )
    rule = None
    if fail_on is not None:
        rule = _choice("--fail-on", fail_on, "significant", "threshold", "both")
    gate = engine.GateOptions(
        fail_on=rule,  # type: ignore[arg-type]
        max_drop=max_drop,
        on=engine.parse_levels(on or ""),
        min_scores=engine.parse_min_scores(min_score or ()),
    )
    comparisons = engine.compare_all(
        base, new, options=options, gate_options=gate, allow=engine.parse_allow(allow)
    )
    for comparison in comparisons:
        _print(comparison, show, quiet=quiet)
    if markdown is not None:
        write_atomic(markdown, render.to_markdown(comparisons, show))
    if as_json is not None:
        write_json(as_json, render.to_json(comparisons, show))
    if junit is not None:
        write_atomic(junit, render.to_junit(comparisons))
    return int(any(comparison.regression for comparison in comparisons))


def _choice(option: str, value: str, *known: str) -> str:
    if value.lower() not in known:
        raise InputError(f"{option} takes {', '.join(known[:-1])} or {known[-1]}, not '{value}'")
    return value.lower()


def _print(comparison: Comparison, show: int, *, quiet: bool) -> None:
    from medinst_eval.compare import render

    console = out()
    if not quiet:
        console.print(_table(comparison))
        correction = render.CORRECTIONS[comparison.options.correction]
        console.print(render.LEGEND.format(correction=correction), style="dim", markup=False)
        _print_flips(comparison, show)
        for note in comparison.notes:
            console.print(printable(f"note: {note}"), markup=False, soft_wrap=True)
    style = "bold red" if comparison.regression else "bold green"
    title = f"{render.headline(comparison)}: {comparison.new} against {comparison.base}"
    console.print(printable(title), style=style, markup=False, soft_wrap=True)
    for reason in render.reasons(comparison):
        console.print(printable(f"  {reason}"), markup=False, soft_wrap=True)
    if not quiet:
        console.print(f"the gate {comparison.gate.describe()}", style="dim", markup=False)


def _table(comparison: Comparison) -> Table:
    from rich import box
    from rich.table import Table
    from rich.text import Text

    from medinst_eval.compare import render

    title = f"{comparison.new} against {comparison.base}"
    table = Table(box=box.SIMPLE_HEAD, title=Text(printable(title)), pad_edge=False)
    for number, name in enumerate(render.HEADER):
        left = number in (0, 2, len(render.HEADER) - 1)
        table.add_column(name, justify="left" if left else "right", no_wrap=number != 2)
    previous: Unit | None = None
    for unit in comparison.units:
        if previous and (previous.level, _group(previous)) != (unit.level, _group(unit)):
            table.add_section()
        cells = [Text(printable(cell)) for cell in render.row(unit)]
        table.add_row(*cells, style=_STYLES[unit.verdict])
        previous = unit
    return table


def _group(unit: Unit) -> str:
    return unit.category if unit.level == "task" else ""


def _print_flips(comparison: Comparison, show: int) -> None:
    from medinst_eval.compare import render

    console = out()
    counts = render.flip_counts(comparison)
    worse, better = (sum(pair[n] for pair in counts.values()) for n in (0, 1))
    hint = "" if show or not counts else " (--show N shows them)"
    console.print(f"rows: {worse:,} got worse, {better:,} got better{hint}", markup=False)
    if not show:
        return
    for title, chosen in zip(
        ("worse", "better"), render.shown_flips(comparison, show), strict=True
    ):
        for flip in chosen:
            _print_flip(title, flip)


def _print_flip(title: str, flip: Flip) -> None:
    from medinst_eval.compare import render

    console = out()
    head = f"{title}: {render.describe_flip(flip)}"
    console.print(printable(head), style="bold", markup=False, soft_wrap=True)
    for name, text in render.flip_texts(flip):
        cut = text if len(text) <= _TEXT_LIMIT else f"{text[:_TEXT_LIMIT]}…"
        shown = printable(cut).replace("\n", "\n         ")
        console.print(f"  {name:>5}: {shown}", markup=False, soft_wrap=True)
