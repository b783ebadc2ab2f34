"""The report: finished runs as one self-contained HTML page, and charts for papers."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from medinst_eval.files import write_atomic
from medinst_eval.manifest import package_version
from medinst_eval.report.comparison import Comparison, view
from medinst_eval.report.content import ReportData
from medinst_eval.report.data import collect
from medinst_eval.store import FinishedRun

__all__ = ["ReportData", "build_report", "collect", "write_page"]


def build_report(
    runs: Sequence[FinishedRun],
    output: Path,
    *,
    comparisons: Sequence[Comparison] = (),
    refusal: str = "",
) -> int:
    """Read finished runs and write the page.

    Args:
        runs: One or more finished runs; the first is the base that others are set against.
        output: The HTML file.
        comparisons: The second run against the first (`compare.compare`), one per metric set.
        refusal: Why they could not be compared; shown instead.

    Returns:
        Size of the page in bytes.
    """
    return write_page(collect(runs), output, comparisons=comparisons, refusal=refusal)


def write_page(
    data: ReportData,
    output: Path,
    *,
    comparisons: Sequence[Comparison] = (),
    refusal: str = "",
) -> int:
    """Write the page of collected runs; see `build_report`."""
    from medinst_eval.report.page import render

    text = render(
        data,
        version=package_version(),
        comparisons=[view(comparison) for comparison in comparisons],
        refusal=refusal,
    )
    # Lone surrogates of broken outputs cannot be encoded: they become "?".
    raw = text.encode("utf-8", "replace")
    write_atomic(output, raw)
    return len(raw)
