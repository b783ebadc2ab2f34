"""The page's charts as PNG or PDF files for papers (Matplotlib, no display needed)."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from medinst_eval import escapes
from medinst_eval.errors import InputError
from medinst_eval.files import write_atomic
from medinst_eval.report.breakdown import Confusion, Scatter
from medinst_eval.report.content import ChartRow, ReportData, Score

COLOURS = ("#0072b2", "#c2500a", "#00795a", "#586069")
MARKERS = ("o", "D", "s", "^")
PUBLISHED = "#a9b0b7"
INK = "#1d2126"
WIDTH = 6.8
"""Inches: the text width of a two-column page."""


def write_charts(data: ReportData, stem: Path, formats: Sequence[str]) -> list[Path]:
    """Write every chart in every format, as `<stem>-<chart>.<format>`.

    Charts: categories and tasks on both metric sets, a confusion matrix per label task, a
    scatter per number task.

    Args:
        data: What `data.collect` found.
        stem: Path of the page without its suffix.
        formats: `png` (300 dpi), `pdf` (fonts embedded).

    Raises:
        InputError: Matplotlib is not installed.
        StoreError: A file cannot be written.
    """
    try:
        import matplotlib as mpl
    except ImportError as error:
        raise InputError(
            "charts need Matplotlib; install it with `pip install 'medinst-eval[report]'`"
        ) from error
    style = {
        "font.size": 8, "axes.labelcolor": INK, "text.color": INK, "xtick.color": INK,
        "ytick.color": INK, "axes.edgecolor": "#8b939b", "axes.linewidth": 0.6,
        "pdf.fonttype": 42, "svg.fonttype": "none", "text.parse_math": False,
        "font.family": "sans-serif",
    }  # fmt: skip
    written = []
    with mpl.rc_context(style):
        for name, figure in _figures(data):
            for kind in formats:
                path = stem.with_name(f"{stem.name}-{name}.{kind}")
                buffer = io.BytesIO()
                # No date inside: the same runs give the same file.
                metadata = {"CreationDate": None} if kind == "pdf" else {"Software": None}
                figure.savefig(buffer, format=kind, dpi=300, bbox_inches="tight", metadata=metadata)
                write_atomic(path, buffer.getvalue())
                written.append(path)
    return written


def _figures(data: ReportData) -> Iterator[tuple[str, Any]]:
    names = [escapes.one_line(run.name) for run in data.runs]
    for which in data.sets:
        yield f"categories-{which}", dot_plot(data.charts[which], names, f"{which} metrics")
        rows = [
            ChartRow(
                name=task.name,
                note="",
                scores=tuple(run.headline[which] if run else None for run in task.runs),
                published=task.behind[which],
            )
            for task in data.tasks
        ]
        yield f"tasks-{which}", dot_plot(rows, names, f"{which} metrics")
    for task in data.tasks:
        for index, run in enumerate(task.runs):
            suffix = f"-{data.runs[index].letter}" if len(data.runs) > 1 else ""
            if run and run.confusion:
                yield f"confusion-{task.name}{suffix}", confusion_plot(run.confusion, task.name)
            if run and run.scatter:
                yield f"scatter-{task.name}{suffix}", scatter_plot(run.scatter, task.name)


def _new(width: float, height: float) -> tuple[Any, Any]:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height))
    FigureCanvasAgg(figure)
    return figure, figure.add_subplot()


def dot_plot(rows: Sequence[ChartRow], runs: Sequence[str], title: str) -> Any:
    """Scores with intervals, one line per row, published models behind.

    Rows whose score is an error measure have no place on the 0 to 100 axis; their value is
    written instead.
    """
    figure, axes = _new(WIDTH, 0.55 + 0.24 * len(rows) * (1 + 0.25 * (len(runs) - 1)))
    for y, row in enumerate(rows):
        for _, value in row.published:
            axes.plot([value, value], [y - 0.3, y + 0.3], color=PUBLISHED, lw=1.1, zorder=1)
        if not row.scaled:
            _error_values(axes, row, y)
            continue
        for index, score in enumerate(row.scores):
            offset = (index - (len(runs) - 1) / 2) * 0.26
            _dot(axes, score, y + offset, index)
    axes.set_yticks(range(len(rows)), [escapes.one_line(row.name) for row in rows])
    axes.set_ylim(len(rows) - 0.5, -0.5)
    axes.set_xlim(0, 100)
    axes.set_xlabel(f"score × 100, {title}")
    axes.grid(axis="x", color="#dcdfe2", lw=0.6)
    axes.set_axisbelow(True)
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.tick_params(axis="y", length=0)
    _legend(axes, rows, runs)
    return figure


def _dot(axes: Any, score: Score | None, y: float, index: int) -> None:
    if score is None or score.value is None:
        return
    colour = COLOURS[index % len(COLOURS)]
    if score.low is not None and score.high is not None:
        axes.plot([score.low, score.high], [y, y], color=colour, lw=1.6, zorder=2)
    axes.plot(
        [score.value], [y], MARKERS[index % len(MARKERS)], color=colour, ms=4.5, mec="white",
        mew=0.6, zorder=3, clip_on=False,
    )  # fmt: skip


def _error_values(axes: Any, row: ChartRow, y: float) -> None:
    """The values of a row that has no place on the axis, one beside the other."""
    x = 1.0
    for index, score in enumerate(row.scores):
        if score is not None and score.value is not None:
            colour = COLOURS[index % len(COLOURS)]
            axes.text(x, y, f"{score.value:.2f}", va="center", color=colour)
            x += 7
    axes.text(x, y, "(error: lower is better)", va="center", color=INK)


def _legend(axes: Any, rows: Sequence[ChartRow], runs: Sequence[str]) -> None:
    from matplotlib.lines import Line2D

    handles: list[Any] = [
        Line2D([], [], color=COLOURS[i % 4], marker=MARKERS[i % 4], ms=4.5, lw=1.6, label=name)
        for i, name in enumerate(runs)
    ]
    if any(row.published for row in rows):
        handles.append(
            Line2D([], [], color=PUBLISHED, marker="|", ms=8, lw=0, label="published models")
        )
    axes.legend(
        handles=handles, loc="lower left", bbox_to_anchor=(0, 1), ncols=3, frameon=False,
        borderaxespad=0.2,
    )  # fmt: skip


def confusion_plot(confusion: Confusion, title: str) -> Any:
    """Counts per gold and predicted label, shaded by the share of the gold label."""
    rows, columns = len(confusion.golds), len(confusion.answers)
    figure, axes = _new(1.6 + 0.55 * columns, 1.0 + 0.4 * rows)
    shares = [[confusion.share(i, j) for j in range(columns)] for i in range(rows)]
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1, aspect="auto")
    for i, counts in enumerate(confusion.counts):
        for j, count in enumerate(counts):
            colour = "white" if shares[i][j] > 0.55 else INK
            axes.text(j, i, str(count), ha="center", va="center", color=colour)
    axes.set_xticks(range(columns), [escapes.one_line(a) for a in confusion.answers], rotation=30)
    axes.set_yticks(range(rows), [escapes.one_line(g) for g in confusion.golds])
    axes.set_xlabel("predicted")
    axes.set_ylabel("gold")
    axes.set_title(title, fontsize=8)
    axes.spines[:].set_visible(False)
    axes.tick_params(length=0)
    return figure


def scatter_plot(scatter: Scatter, title: str) -> Any:
    """Gold against predicted numbers; area grows with the number of equal pairs."""
    figure, axes = _new(3.3, 3.3)
    axes.plot(
        [scatter.low, scatter.high], [scatter.low, scatter.high], "--", color="#8b939b", lw=0.8
    )
    axes.scatter(
        [p.gold for p in scatter.points],
        [p.answer for p in scatter.points],
        s=[24 * p.count for p in scatter.points],
        color=COLOURS[0], alpha=0.6, linewidths=0,
    )  # fmt: skip
    margin = 0.06 * ((scatter.high - scatter.low) or 1)
    axes.set_xlim(scatter.low - margin, scatter.high + margin)
    axes.set_ylim(scatter.low - margin, scatter.high + margin)
    axes.set_xlabel("gold")
    axes.set_ylabel("predicted")
    axes.set_title(title, fontsize=8)
    axes.grid(color="#dcdfe2", lw=0.6)
    axes.set_axisbelow(True)
    return figure
