"""A grid as Markdown, LaTeX, HTML or CSV; names escaped by each format's own rules."""

from __future__ import annotations

import csv
import io
import itertools
from collections.abc import Callable, Iterator, Mapping

from medinst_eval import escapes
from medinst_eval.leaderboard.grid import EQUAL, Grid, GridCell

_NARROW = 8
"""Columns that fit a page in small type."""
_STYLE = """\
body { font: 16px/1.5 system-ui, sans-serif; margin: 2rem; color: #1a1a1a; background: #fff; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
caption { text-align: left; font-weight: 600; padding-bottom: .5rem; }
th, td { padding: .2rem .6rem; text-align: left; white-space: nowrap; }
td.n { text-align: right; }
thead th { border-bottom: 2px solid currentColor; }
tr.rule > * { border-top: 1px solid #8888; }
small { color: #666; }
p { max-width: 60rem; margin: .3rem 0; font-size: .85rem; }
@media (prefers-color-scheme: dark) {
  body { color: #e8e8e8; background: #16181c; } small { color: #aaa; }
}"""


def markdown(grid: Grid) -> str:
    """A table of pipes, then the notes."""
    lines = [f"**{escapes.markdown(grid.title)}**", ""]
    lines.append(_pipes([escapes.markdown(cell.text) for cell in grid.header]))
    first = grid.rows[0] if grid.rows else ()
    numeric = [any(row[n].kind == "number" for row in grid.rows) for n in range(len(first))]
    lines.append(_pipes(["--:" if is_number else "---" for is_number in numeric]))
    lines += [_pipes([_markdown_cell(cell) for cell in row]) for row in grid.rows]
    lines.append("")
    lines += [f"{escapes.markdown(note)}  " for note in grid.notes]
    return "\n".join(lines).rstrip() + "\n"


def _pipes(cells: list[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _markdown_cell(cell: GridCell) -> str:
    if cell.kind == "name":
        return escapes.markdown(cell.text)
    text = cell.text
    if cell.bold:
        text = f"**{text}**"
    if cell.underlined:
        text = f"<u>{text}</u>"
    if cell.equal:
        text += f" {EQUAL}"
    return f"{text} {cell.interval}".rstrip()


def latex(grid: Grid) -> str:
    """A `table` environment for booktabs, notes below; shrunk to the line if graphicx is loaded."""
    align = "".join("r" if _is_number(grid, n) else "l" for n in range(len(grid.header)))
    lines = [
        "% needs \\usepackage{booktabs}; a wide table fits the line with \\usepackage{graphicx}",
        "\\begin{table}",
        "\\providecommand{\\resizebox}[3]{#3}",
        "\\centering",
        f"\\caption{{{escapes.latex(grid.title)}}}",
        "\\small" if len(grid.header) <= _NARROW else "\\scriptsize\\setlength{\\tabcolsep}{3pt}",
        "\\resizebox{\\ifdim\\width>\\linewidth\\linewidth\\else\\width\\fi}{!}{%",
        f"\\begin{{tabular}}{{{align}}}",
        "\\toprule",
        " & ".join(escapes.latex(cell.text) for cell in grid.header) + " \\\\",
        "\\midrule",
    ]
    for number, row in enumerate(grid.rows):
        if number in grid.breaks and number:
            lines.append("\\midrule")
        lines.append(" & ".join(_latex_row(row)) + " \\\\")
    lines += ["\\bottomrule", "\\end{tabular}}", "", "\\smallskip", "\\footnotesize"]
    lines.append(" ".join(_latex_note(note) for note in grid.notes))
    lines.append("\\end{table}")
    return "\n".join(lines) + "\n"


def _latex_row(row: tuple[GridCell, ...]) -> Iterator[str]:
    """Cells; a name spans the empty names after it, so that it widens no column."""
    spare = 0
    for number, cell in enumerate(row):
        if spare:
            spare -= 1
            continue
        blank = (later.kind == "name" and not later.text for later in row[number + 1 :])
        spare = sum(1 for _ in itertools.takewhile(bool, blank))
        text = _latex_cell(cell)
        yield f"\\multicolumn{{{spare + 1}}}{{l}}{{{text}}}" if spare else text


def _latex_cell(cell: GridCell) -> str:
    text = escapes.latex(cell.text)
    if cell.kind == "name":
        # A bracket at the start of a row would be read as an argument of the line break above.
        return f"{{}}{text}" if text.startswith(("[", "*")) else text
    if cell.bold:
        text = f"\\textbf{{{text}}}"
    if cell.underlined:
        text = f"\\underline{{{text}}}"
    if cell.equal:
        text += "$^{\\approx}$"
    return f"{text} {{\\scriptsize {cell.interval}}}" if cell.interval else text


def _latex_note(note: str) -> str:
    return escapes.latex(note.replace(EQUAL, "\0")).replace(" ", " ").replace("\0", "$\\approx$")


def html(grid: Grid) -> str:
    """A page of its own with one table, without scripts."""
    lines = [
        "<!doctype html>",
        '<html lang="en"><head><meta charset="utf-8">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        f"<title>{escapes.markup(grid.title)}</title>",
        f"<style>\n{_STYLE}\n</style></head><body>",
        f'<div class="wide"><table><caption>{escapes.markup(grid.title)}</caption>',
        f"<thead><tr>{''.join(_html_head(cell) for cell in grid.header)}</tr></thead>",
        "<tbody>",
        *_html_rows(grid),
        "</tbody></table></div>",
        *(f"<p>{escapes.markup(note)}</p>" for note in grid.notes),
        "</body></html>",
    ]
    return "\n".join(lines) + "\n"


def _html_head(cell: GridCell) -> str:
    return f'<th scope="col">{escapes.markup(cell.text)}</th>'


def _html_rows(grid: Grid) -> Iterator[str]:
    for number, row in enumerate(grid.rows):
        rule = ' class="rule"' if number in grid.breaks and number else ""
        lead = next((n for n, cell in enumerate(row) if cell.text), 0)
        cells = (_html_cell(cell, head=n == lead) for n, cell in enumerate(row))
        yield f"<tr{rule}>{''.join(cells)}</tr>"


def _html_cell(cell: GridCell, *, head: bool) -> str:
    text = escapes.markup(cell.text)
    if head and cell.kind == "name":
        return f'<th scope="row">{text}</th>'
    if cell.kind == "name":
        return f"<td>{text}</td>"
    if cell.bold:
        text = f"<strong>{text}</strong>"
    if cell.underlined:
        text = f"<u>{text}</u>"
    if cell.equal:
        text += f'<sup title="not significantly worse than the best">{EQUAL}</sup>'
    if cell.interval:
        text += f" <small>{escapes.markup(cell.interval)}</small>"
    return f'<td class="n">{text}</td>'


def csv_text(grid: Grid) -> str:
    """Comma-separated values: numbers plain, texts safe in a spreadsheet, notes left out.

    Intervals, where the grid has them, stand in columns of their own after each score.
    """
    wide = [any(row[n].interval for row in grid.rows) for n in range(len(grid.header))]
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    header = []
    for cell, has_interval in zip(grid.header, wide, strict=True):
        header.append(escapes.csv_cell(cell.text))
        if has_interval:
            header.append(escapes.csv_cell(f"{cell.text} 95 %"))
    writer.writerow(header)
    for row in grid.rows:
        cells = []
        for cell, has_interval in zip(row, wide, strict=True):
            number = cell.kind == "number" and cell.value is not None
            blank = "" if cell.kind == "number" else escapes.csv_cell(cell.text)
            cells.append(cell.text if number else blank)
            if has_interval:
                cells.append(cell.interval)
        writer.writerow(cells)
    return out.getvalue()


def _is_number(grid: Grid, column: int) -> bool:
    return any(row[column].kind == "number" for row in grid.rows)


FORMATS: Mapping[str, Callable[[Grid], str]] = {
    "markdown": markdown,
    "latex": latex,
    "html": html,
    "csv": csv_text,
}
SUFFIXES = {
    ".md": "markdown",
    ".tex": "latex",
    ".html": "html",
    ".htm": "html",
    ".csv": "csv",
    ".json": "json",
}
"""File ending -> format, where `--format` does not say."""
