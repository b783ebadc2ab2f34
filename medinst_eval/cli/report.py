"""`medinst-eval report`: finished runs as one page, and charts for papers."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from medinst_eval.cli.console import err, out, printable

if TYPE_CHECKING:
    from medinst_eval.compare import Comparison
    from medinst_eval.store import FinishedRun


def command(
    runs: Annotated[
        list[Path],
        typer.Argument(metavar="RUN", help="Run folders; of two, the second is compared."),
    ],
    output: Annotated[
        Path | None,
        typer.Option(help="The HTML file; default report.html in the (last) run folder."),
    ] = None,
    png: Annotated[
        bool, typer.Option("--png", help="Also write the charts as PNG, beside the page.")
    ] = False,
    pdf: Annotated[
        bool, typer.Option("--pdf", help="Also write the charts as PDF, beside the page.")
    ] = False,
    allow: Annotated[
        str,
        typer.Option(help="Compare two runs in spite of differences, as `compare --allow`."),
    ] = "",
) -> int:
    """One self-contained HTML page of finished runs: scores, charts, every sample."""
    from medinst_eval import report
    from medinst_eval.store import read_run

    opened = [read_run(path) for path in runs]
    page = output or opened[-1].path / "report.html"
    comparisons, refusal = _compare(opened, allow)
    data = report.collect(opened)
    size = report.write_page(data, page, comparisons=comparisons, refusal=refusal)
    out().print(f"{page} ({size / 1e6:.1f} MB)", markup=False, soft_wrap=True)
    formats = [name for name, wanted in (("png", png), ("pdf", pdf)) if wanted]
    if formats:
        from medinst_eval.report.charts import write_charts

        for path in write_charts(data, page.with_suffix(""), formats):
            out().print(str(path), markup=False, soft_wrap=True)
    return 0


def _compare(runs: list[FinishedRun], allow: str) -> tuple[list[Comparison], str]:
    """The second of two runs against the first on both metric sets, or why not."""
    from medinst_eval import compare
    from medinst_eval.errors import NotComparableError

    if len(runs) != 2:
        return [], ""
    try:
        return [
            compare.compare(
                runs[0],
                runs[1],
                options=compare.AnalysisOptions(metrics=metrics),
                allow=compare.parse_allow(allow),
            )
            for metrics in ("paper", "standard")
        ], ""
    except NotComparableError as error:
        err().print(printable(f"not compared: {error}"), markup=False, soft_wrap=True)
        return [], str(error)
