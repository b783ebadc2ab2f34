"""What a user sees while a run goes on: a bar in a terminal, a few lines in a log."""

from __future__ import annotations

import time
from collections.abc import Mapping
from types import TracebackType
from typing import TYPE_CHECKING, Self

from medinst_eval.cli.console import err, printable
from medinst_eval.types import Prediction

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

_STAGES = {
    "data": "reading data", "prompts": "building prompts", "engine": "starting the engine",
    "generate": "generating", "score": "scoring",
}  # fmt: skip
_LOG_SECONDS = 30.0


class RunProgress:
    """Observer for the command line; writes to standard error only."""

    def __init__(self, *, quiet: bool) -> None:
        self._console = err()
        self._quiet = quiet
        self._live = self._console.is_terminal and not quiet
        self._bar: Progress | None = None
        self._task: TaskID | None = None
        self._left: dict[str, int] = {}
        self._total = self._done = self._errors = self._tokens = 0
        self._begun = self._logged = time.monotonic()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stop_bar()

    @property
    def total(self) -> int:
        """Samples of the run."""
        return self._total

    def note(self, text: str) -> None:
        """A line that is worth reading even in a quiet run's log."""
        if not self._quiet:
            self._print(f"note: {text}")

    def stage(self, name: str) -> None:
        """A stage begins."""
        if name != "generate":
            self._stop_bar()
        if name == "generate":
            self._begun = self._logged = time.monotonic()
            if self._live:
                self._start_bar()
        # A log begins when the input is known to be good: bad input is one line, the error.
        if not self._quiet and (self._live or name not in ("data", "prompts")):
            self._print(f"{_STAGES[name]} …")

    def begin(self, totals: Mapping[str, int], done: Mapping[str, int]) -> None:
        """Rows per task, and how many are already there."""
        self._left = {name: totals[name] - done[name] for name in totals}
        self._total, self._done = sum(totals.values()), sum(done.values())
        self._tokens = self._errors = 0
        if self._done:
            self.note(f"{self._done} of {self._total} samples are already there")

    def finished(self, prediction: Prediction) -> None:
        """One more sample is stored."""
        self._done += 1
        self._tokens += prediction.output_tokens
        self._errors += prediction.error is not None
        self._left[prediction.task] -= 1
        seconds = max(time.monotonic() - self._begun, 1e-9)
        rate = self._tokens / seconds
        if self._bar is not None and self._task is not None:
            self._bar.update(
                self._task, completed=self._done, speed=f"{rate:,.0f} tok/s", errors=self._errors
            )
        elif not self._quiet and time.monotonic() - self._logged > _LOG_SECONDS:
            self._logged = time.monotonic()
            self._print(
                f"{self._done}/{self._total} samples, {rate:,.0f} output tokens/s, "
                f"{self._errors} errors"
            )
        if not self._left[prediction.task] and not self._quiet:
            self._print(f"✓ {prediction.task}")

    def scored(self, task: str) -> None:
        """One more task is scored; too quick to be worth a line."""

    def _print(self, text: str) -> None:
        console = self._bar.console if self._bar is not None else self._console
        console.print(printable(text), markup=False, soft_wrap=True)

    def _start_bar(self) -> None:
        from rich.progress import (
            BarColumn,
            MofNCompleteColumn,
            Progress,
            TextColumn,
            TimeRemainingColumn,
        )

        self._bar = Progress(
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[speed]}"),
            TimeRemainingColumn(),
            TextColumn("{task.fields[errors]} errors"),
            console=self._console,
        )
        self._task = self._bar.add_task(
            "", total=self._total, completed=self._done, speed="", errors=0
        )
        self._bar.start()

    def _stop_bar(self) -> None:
        if self._bar is not None:
            self._bar.stop()
            self._bar = None
