"""Published scores behind a run's own: which models, on which metric set, over which tasks."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from medinst_eval import published
from medinst_eval.published import PublishedModel
from medinst_eval.suites import MEDINST32, MMLU_MEDICINE


@dataclass(frozen=True, kw_only=True)
class Reference:
    """What was published on a suite."""

    which: str
    """The metric set that the published scores belong to."""
    models: tuple[PublishedModel, ...]

    def mean(self, model: PublishedModel, tasks: Iterable[str]) -> float | None:
        """A model's mean over tasks, x100; None where one of them was not published."""
        names = list(tasks)
        if not names or any(name not in model.scores for name in names):
            return None
        return 100 * sum(model.scores[name] for name in names) / len(names)

    def on(self, task: str, which: str) -> tuple[tuple[str, float], ...]:
        """(model, score x100) on one task; nothing for the other metric set."""
        if which != self.which:
            return ()
        return tuple((m.name, 100 * m.scores[task]) for m in self.models if task in m.scores)

    def printed(self, task: str) -> tuple[tuple[str, str], ...]:
        """(model, digits as printed) on one task."""
        return tuple((m.name, m.printed[task]) for m in self.models if task in m.printed)


def reference(suite: str) -> Reference:
    """What was published on a suite; no models for a suite of one's own."""
    if suite == MEDINST32:
        return Reference(which="paper", models=published.medinst32())
    if suite == MMLU_MEDICINE:
        return Reference(which="standard", models=published.mmlu())
    return Reference(which="paper", models=())


def setting(model: PublishedModel) -> str:
    """Shots of a published model in words; empty where the paper does not say."""
    return {None: "", 0: "zero-shot"}.get(model.shots, f"{model.shots}-shot")
