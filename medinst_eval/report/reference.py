"""The paper's published scores behind a run's own, over the same tasks."""

from __future__ import annotations

import csv
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from medinst_eval.tasks import load_cards

_FACTS = 4  # columns before the models: category, dataset, difficulty, metric


@dataclass(frozen=True, kw_only=True)
class PublishedModel:
    """One column of the paper's table."""

    name: str
    setting: str
    """`few-shot` or `zero-shot`."""
    mark: str
    """A dagger where the model was trained on training sets of the benchmark's tasks."""
    scores: dict[str, float]
    """Task -> score as printed (x100, except the squared error)."""


@cache
def published() -> tuple[PublishedModel, ...]:
    here = Path(__file__).resolve().parents[1]
    name = "medinst32_published.csv"
    path = next(
        p
        for p in (here / "published" / name, here.parent / "results/published" / name)
        if p.is_file()
    )
    with path.open(encoding="utf-8", newline="") as file:
        header, *rows = list(csv.reader(file))
    models = []
    trained = {name for card in load_cards() for name in card.trained_on}
    for column in range(_FACTS, len(header)):
        model, _, setting = header[column].rpartition("_")
        scores = {row[1]: float(row[column]) for row in rows if row[column]}
        models.append(
            PublishedModel(
                name=model,
                mark="†" if model in trained else "",
                setting={"fewshot": "few-shot", "zeroshot": "zero-shot"}[setting],
                scores=scores,
            )
        )
    return tuple(models)


def mean_over(model: PublishedModel, tasks: Iterable[str]) -> float | None:
    names = list(tasks)
    if not names or any(name not in model.scores for name in names):
        return None
    return sum(model.scores[name] for name in names) / len(names)
