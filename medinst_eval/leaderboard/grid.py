"""A board laid out in rows and columns, still without a format."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from medinst_eval import numbers
from medinst_eval.leaderboard.board import Board, Line
from medinst_eval.leaderboard.marks import Cell

Orientation = Literal["task", "model"]
DAGGER = "†"
EQUAL = "≈"


@dataclass(frozen=True, kw_only=True)
class GridCell:
    """One cell: a text and how it stands out."""

    text: str
    kind: Literal["name", "number"] = "number"
    bold: bool = False
    underlined: bool = False
    equal: bool = False
    interval: str = ""
    value: float | None = None
    """The number behind the text, for formats that are read by programs."""


@dataclass(frozen=True, kw_only=True)
class Grid:
    """Rows of cells under a header; `breaks` are the rows before which a rule is drawn."""

    title: str
    header: tuple[GridCell, ...]
    rows: tuple[tuple[GridCell, ...], ...]
    breaks: frozenset[int]
    notes: tuple[str, ...]


def lay_out(board: Board, rows: Orientation = "task", *, intervals: bool = False) -> Grid:
    """Lay a board out with tasks (or groups) or with models as rows.

    Args:
        board: What to show.
        rows: What the rows are.
        intervals: Show 95 % intervals where they are known.
    """
    return (_by_task if rows == "task" else _by_model)(board, intervals)


def title(board: Board) -> str:
    """Suite, metric set and lines, e.g. `MedINST32, paper metrics, by category`."""
    suite = {"medinst32": "MedINST32", "mmlu-medicine": "MMLU-Medicine"}.get(board.suite)
    metrics = "accuracy" if board.suite == "mmlu-medicine" else f"{board.options.metrics} metrics"
    return f"{suite or board.suite}, {metrics}, by {board.options.by}"


def notes(board: Board, *, intervals: bool) -> tuple[str, ...]:
    """The board's notes, and what its marks mean where they occur."""
    cells = [cell for line in _all_lines(board) for cell in line.cells]
    found = ["Scores x100; mean squared errors as they are."]
    if any(cell.best for cell in cells):
        found.append("Best bold, second underlined; equal printed values share a mark.")
    if any(cell.equal for cell in cells):
        found.append(f"{EQUAL} not significantly worse than the best.")
    if board.macro_average is not None:
        found.append("Average: over all questions. Macro average: over subjects.")
    if intervals:
        found.append("In brackets: 95 % intervals.")
    return (*found, *board.notes)


def _by_task(board: Board, intervals: bool) -> Grid:
    tasks = board.options.by == "task"
    lead = ["category", "task", "metric"] if tasks else [board.options.by]
    header = [_name(text) for text in lead] + [_name(_label(board, n)) for n in _models(board)]
    rows: list[tuple[GridCell, ...]] = []
    breaks: set[int] = set()
    for condition in board.conditions:
        values = [_name(entry.conditions[condition]) for entry in board.entries]
        rows.append((*_padded(condition, len(lead)), *values))
    if rows:
        breaks.add(len(rows))
    group = None
    for line in board.lines:
        if tasks and group not in (None, line.group):
            breaks.add(len(rows))
        names = [_name(line.group), _name(line.name), _name(_metric(line))]
        rows.append((*(names if tasks else [_name(line.name)]), *_scores(line, board, intervals)))
        group = line.group
    breaks.add(len(rows))
    for average in board.averages:
        label = f"{average.name} of {len(average.tasks)} tasks"
        cells = _scores(average, board, intervals)
        rows.append((*_padded(label, len(lead)), *cells))
    for name, show in _SUMMARIES.items():
        values = [show(board, n) for n in _models(board)]
        if any(value.value is not None for value in values):
            rows.append((*_padded(name, len(lead)), *values))
    return Grid(
        title=title(board), header=tuple(header), rows=tuple(rows), breaks=frozenset(breaks),
        notes=notes(board, intervals=intervals),
    )  # fmt: skip


def _by_model(board: Board, intervals: bool) -> Grid:
    summaries = {
        name: show
        for name, show in _SUMMARIES.items()
        if any(show(board, n).value is not None for n in _models(board))
    }
    header = [_name("model"), *(_name(name) for name in board.conditions)]
    header += [_name(line.name) for line in board.lines]
    header += [_name(average.name) for average in board.averages]
    header += [_name(name) for name in summaries]
    columns = [_scores(line, board, intervals) for line in _all_lines(board)]
    rows = []
    for number, entry in enumerate(board.entries):
        rows.append(
            (
                _name(_label(board, number)),
                *(_name(entry.conditions[name]) for name in board.conditions),
                *(column[number] for column in columns),
                *(show(board, number) for show in summaries.values()),
            )
        )
    return Grid(
        title=title(board), header=tuple(header), rows=tuple(rows), breaks=frozenset(),
        notes=notes(board, intervals=intervals),
    )  # fmt: skip


def _models(board: Board) -> range:
    return range(len(board.entries))


def _all_lines(board: Board) -> list[Line]:
    return [*board.lines, *board.averages]


def _label(board: Board, number: int) -> str:
    entry = board.entries[number]
    return f"{entry.name} {DAGGER}" if entry.trained else entry.name


def _metric(line: Line) -> str:
    name = line.metric.removeprefix("paper_")
    return name if line.higher_is_better else f"{name} ↓"


def _name(text: str) -> GridCell:
    return GridCell(text=text, kind="name")


def _padded(label: str, width: int) -> list[GridCell]:
    return [_name(label), *[_name("")] * (width - 1)]


def _scores(line: Line, board: Board, intervals: bool) -> list[GridCell]:
    return [_score(cell, line, board.options.digits, intervals) for cell in line.cells]


def _score(cell: Cell, line: Line, digits: int, intervals: bool) -> GridCell:
    factor = numbers.factor_of(line.higher_is_better)
    if cell.score is None:
        return GridCell(text=numbers.NOTHING)
    ci95 = cell.score.ci95 if intervals else None
    return GridCell(
        text=numbers.points(cell.score.value, digits, factor=factor),
        bold=cell.best,
        underlined=cell.second,
        equal=cell.equal,
        interval=numbers.interval_points(ci95, digits, factor=factor) if ci95 else "",
        value=cell.score.value * factor,
    )


def _rank(board: Board, number: int) -> GridCell:
    rank = board.summaries[number].rank
    known = rank is not None and len(board.entries) > 1
    return GridCell(text=numbers.count(rank), value=rank if known else None)


def _win_rate(board: Board, number: int) -> GridCell:
    rate = board.summaries[number].win_rate
    return GridCell(text=numbers.points(rate), value=None if rate is None else 100 * rate)


def _failures(board: Board, number: int) -> GridCell:
    share = board.summaries[number].failures
    return GridCell(text=numbers.points(share), value=None if share is None else 100 * share)


_SUMMARIES: dict[str, Callable[[Board, int], GridCell]] = {
    "rank": _rank,
    "mean win rate": _win_rate,
    "not in form, %": _failures,
}
