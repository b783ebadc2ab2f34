"""Who watches a run, and how long its stages take."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from medinst_eval.types import Prediction


class Observer(Protocol):
    """Who watches a run: a progress bar, a log, a training loop."""

    def note(self, text: str) -> None:
        """Something a user should know; one line."""

    def stage(self, name: str) -> None:
        """A stage begins: `data`, `prompts`, `engine`, `generate`, `score`."""

    def begin(self, totals: Mapping[str, int], done: Mapping[str, int]) -> None:
        """Rows per task, and how many of them are already there."""

    def finished(self, prediction: Prediction) -> None:
        """One more sample is stored."""

    def scored(self, task: str) -> None:
        """One more task is scored."""


class Silent:
    """An observer that does nothing."""

    def note(self, text: str) -> None: ...
    def stage(self, name: str) -> None: ...
    def begin(self, totals: Mapping[str, int], done: Mapping[str, int]) -> None: ...
    def finished(self, prediction: Prediction) -> None: ...
    def scored(self, task: str) -> None: ...


@dataclass(kw_only=True)
class Clock:
    """Seconds per stage, for `timing`."""

    seconds: dict[str, float] = field(default_factory=dict)

    def add(self, name: str, since: float) -> None:
        self.seconds[name] = self.seconds.get(name, 0.0) + time.perf_counter() - since
