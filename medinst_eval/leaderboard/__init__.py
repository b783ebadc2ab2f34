"""Many models in one table: finished runs, and the paper's models beside them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

from medinst_eval import published
from medinst_eval.errors import InputError
from medinst_eval.leaderboard.board import Board, BoardOptions, Line, Summary, build
from medinst_eval.leaderboard.entries import (
    MEDINST32,
    MMLU,
    Entry,
    Score,
    find_runs,
    from_published,
    from_runs,
    mark_published,
)
from medinst_eval.leaderboard.formats import FORMATS, SUFFIXES
from medinst_eval.leaderboard.grid import Grid, Orientation, lay_out
from medinst_eval.leaderboard.marks import Cell
from medinst_eval.leaderboard.significance import PairedTests
from medinst_eval.tasks import load_cards

__all__ = [
    "FORMATS",
    "MEDINST32",
    "MMLU",
    "SUFFIXES",
    "Board",
    "BoardOptions",
    "Cell",
    "Entry",
    "Grid",
    "Line",
    "Orientation",
    "Score",
    "Summary",
    "as_json",
    "lay_out",
    "leaderboard",
]

With = Literal["runs", "both", "published"]


def leaderboard(
    paths: Sequence[Path] = (),
    *,
    options: BoardOptions | None = None,
    models: With = "runs",
    suite: str | None = None,
    paired: bool = False,
) -> Board:
    """A leaderboard of finished runs.

    Args:
        paths: Run folders, or folders that hold some.
        options: Metric set, lines, decimals.
        models: Runs, published models, or both.
        suite: Only runs of this suite; None: that of the runs.
        paired: Mark as equal by paired tests on stored statistics instead of by intervals.

    Raises:
        InputError: No runs, runs of several suites, or published models beside standard metrics.
    """
    options = options or BoardOptions()
    entries: list[Entry] = []
    if models != "published":
        entries = from_runs(find_runs(paths), options.metrics)
        suites = list(dict.fromkeys(entry.suite for entry in entries))
        suite = suite or (suites[0] if len(suites) == 1 else None)
        if suite is None:
            raise InputError(f"runs of several suites ({', '.join(suites)}); choose with --suite")
        entries = [entry for entry in entries if entry.suite == suite]
        if not entries:
            raise InputError(f"no run of suite {suite}; there are runs of {', '.join(suites)}")
    suite = suite or MEDINST32
    if models != "runs":
        entries += mark_published(_published(suite, options), entries)
    tests = PairedTests() if paired else None
    return build(entries, options, order=_order(suite, models), paired=tests)


def as_json(board: Board) -> dict[str, Any]:
    """A board for programs; values as in run folders (0 to 1, errors as they are)."""
    lines = [*board.lines, *board.averages]
    return {
        "schema_version": 1,
        "suite": board.suite,
        "metrics": board.options.metrics,
        "by": board.options.by,
        "models": [
            {
                "name": entry.name,
                "run": str(entry.run.path) if entry.run is not None else None,
                "published": entry.run is None,
                "trained_on_tasks": entry.trained,
                "conditions": dict(entry.conditions),
                "rank": summary.rank,
                "win_rate": summary.win_rate,
                "not_in_form": summary.failures,
                "errors": entry.errors,
            }
            for entry, summary in zip(board.entries, board.summaries, strict=True)
        ],
        "lines": [_line_json(line) for line in lines],
        "notes": list(board.notes),
    }


def _line_json(line: Line) -> dict[str, Any]:
    return {
        "name": line.name,
        "group": line.group,
        "metric": line.metric,
        "tasks": list(line.tasks),
        "higher_is_better": line.higher_is_better,
        "scores": [
            None
            if cell.score is None
            else {
                "value": cell.score.value,
                "ci95": list(cell.score.ci95) if cell.score.ci95 else None,
                "best": cell.best,
                "second": cell.second,
                "not_worse_than_best": cell.best or cell.equal,
            }
            for cell in line.cells
        ],
    }


def _published(suite: str, options: BoardOptions) -> list[Entry]:
    if suite not in (MEDINST32, MMLU):
        raise InputError(f"no published scores for suite {suite}")
    if suite == MEDINST32 and options.metrics != "paper":
        raise InputError("published scores exist for the paper's metrics: add --metrics paper")
    return from_published(suite)


def _order(suite: str, models: With) -> list[str]:
    """The paper's order for the paper's tables, else that of the cards."""
    if suite == MMLU:
        return list(published.MMLU_SUBJECTS)
    if models == "published":
        return [task.name for task in published.medinst32_tasks()]
    return [card.name for card in load_cards()]
