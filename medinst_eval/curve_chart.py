"""A learning curve as a picture: one small panel per task, the average last."""

from __future__ import annotations

import io
import math
from pathlib import Path
from typing import Any

from medinst_eval import curve as curves
from medinst_eval import escapes, numbers
from medinst_eval.errors import InputError
from medinst_eval.files import write_atomic

COLUMNS = 4
PANEL = (2.4, 1.7)
"""Inches per panel."""
LINE, BASELINE, INK = "#0072b2", "#8b939b", "#1d2126"
VERDICTS = {"worse": ("v", "#c2500a"), "better": ("^", "#00795a")}
"""Marker and colour of a checkpoint by what the comparison with the baseline says."""


def write(curve: curves.Curve, which: str) -> None:
    """Draw the curve beside `curve.json`, as `curve.png` (150 dpi).

    Bands are 95 % intervals, the dashed line is the baseline, triangles are verdicts.

    Args:
        curve: What is drawn.
        which: Metric set, `paper` or `standard`.

    Raises:
        InputError: Matplotlib is not installed.
        StoreError: The file cannot be written.
    """
    try:
        import matplotlib as mpl
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError as error:
        raise InputError(
            "no picture without Matplotlib; install it with `pip install 'medinst-eval[report]'`"
        ) from error
    names = curves.names(curve)
    columns = min(COLUMNS, len(names))
    rows = math.ceil(len(names) / columns)
    style = {
        "font.size": 7, "text.color": INK, "axes.labelcolor": INK, "axes.linewidth": 0.6,
        "axes.edgecolor": BASELINE, "xtick.color": INK, "ytick.color": INK,
        "text.parse_math": False, "font.family": "sans-serif",
    }  # fmt: skip
    with mpl.rc_context(style):
        figure = Figure(figsize=(PANEL[0] * columns, PANEL[1] * rows + 0.4), layout="constrained")
        FigureCanvasAgg(figure)
        grid = figure.subplots(rows, columns, squeeze=False)
        for axes, name in zip(grid.flat, names, strict=False):
            _panel(axes, curve, name, which)
        for axes in grid.flat[len(names) :]:
            axes.set_visible(False)
        figure.supxlabel("training step")
        title = escapes.one_line(Path(curve.training).name)
        if curve.baseline:
            title += f" (dashed: {escapes.one_line(curve.baseline['run'])})"
        figure.suptitle(title)
        buffer = io.BytesIO()
        # no date inside: the same curve gives the same file
        figure.savefig(buffer, format="png", dpi=150, metadata={"Software": None})
    write_atomic(curve.path.with_name(curves.CHART), buffer.getvalue())


def _panel(axes: Any, curve: curves.Curve, name: str, which: str) -> None:
    points = list(curves.series(curve.points, name, which))
    bold = "bold" if name == curves.OVERALL else "normal"
    if not points:
        axes.set_title(f"{escapes.one_line(name)}: no score", fontweight=bold)
        axes.set_axis_off()
        return
    factor = numbers.factor_of(points[0][1]["higher_is_better"])
    steps = [step for step, _, _ in points]
    values = [factor * score["value"] for _, score, _ in points]
    bands = [score["ci95"] or (score["value"], score["value"]) for _, score, _ in points]
    low, high = ([factor * band[n] for band in bands] for n in (0, 1))
    axes.fill_between(steps, low, high, color=LINE, alpha=0.15, lw=0)
    axes.plot(steps, values, color=LINE, lw=1.2, marker="o", ms=2.5)
    for step, value, (_, _, verdict) in zip(steps, values, points, strict=True):
        if verdict in VERDICTS:
            marker, colour = VERDICTS[verdict]
            axes.plot([step], [value], marker=marker, color=colour, ms=6)
    base = curves.score_at(curve.baseline, name, which) if curve.baseline else None
    if base is not None:
        axes.axhline(factor * base["value"], color=BASELINE, lw=0.9, ls="--")
    metric = points[0][1]["metric"]
    shown = "" if metric in curves.SETS else f"\n{metric.removeprefix('paper_')}"
    axes.set_title(f"{escapes.one_line(name)}{shown}", fontweight=bold)
    axes.margins(y=0.15)
    axes.grid(axis="y", color="#dcdfe2", lw=0.5)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    axes.locator_params(axis="x", nbins=4, integer=True)
