"""The paper's tables, as files of this package.

Values are as in run folders: shares of 1, mean squared errors as they are. The printed digits are
kept, so that a table can be reproduced to the last one.
"""

from __future__ import annotations

import csv
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from medinst_eval.errors import StoreError
from medinst_eval.tasks import load_cards

MMLU_SUBJECTS: Mapping[str, tuple[str, int]] = {
    "anatomy": ("An", 135),
    "clinical_knowledge": ("CK", 265),
    "college_biology": ("CB", 144),
    "college_medicine": ("CM", 173),
    "medical_genetics": ("MG", 100),
    "professional_medicine": ("PM", 272),
}
"""Subject -> the paper's abbreviation and the number of test questions."""

PAPER_METRICS: Mapping[str, str] = {
    "EM": "paper_em",
    "Label-F1": "paper_label_f1",
    "Entity-F1": "paper_entity_f1",
    "Rouge-L": "paper_rouge_l",
    "MSE (lower better)": "paper_mse",
}
"""Metric as the paper's Table 3 calls it -> name in results."""


@dataclass(frozen=True, kw_only=True)
class PublishedModel:
    """A column of a published table.

    Attributes:
        name: As in the paper.
        shots: Demonstrations; None where the paper does not say.
        trained: Trained on the tasks' training sets (the paper's dagger).
        scores: Task -> value.
        printed: Task -> the digits in the paper's table.
        average: The table's own average; None where it prints none.
    """

    name: str
    shots: int | None
    trained: bool
    scores: Mapping[str, float]
    printed: Mapping[str, str] = field(default_factory=dict)
    average: float | None = None


@dataclass(frozen=True, kw_only=True)
class PublishedTask:
    """A row of the paper's Table 3."""

    name: str
    category: str
    level: int
    metric: str
    """Name in results, e.g. `paper_em`."""
    label: str
    """Name in the paper, e.g. `EM`."""

    @property
    def higher_is_better(self) -> bool:
        """False for the mean squared error."""
        return self.metric != "paper_mse"


def read_table(name: str) -> list[dict[str, str]]:
    """Rows of a published table, by file name.

    Raises:
        StoreError: The file is missing from the installation.
    """
    here = Path(__file__).resolve().parent
    places = (here / "published" / name, here.parent / "results" / "published" / name)
    path = next((place for place in places if place.is_file()), None)
    if path is None:
        raise StoreError(f"published table {name} is missing; install medinst-eval again")
    with path.open(encoding="utf-8", newline="") as lines:
        return list(csv.DictReader(lines))


@cache
def medinst32_tasks() -> tuple[PublishedTask, ...]:
    """Rows of Table 3 in the paper's order."""
    return tuple(
        PublishedTask(
            name=row["dataset"],
            category=row["category"],
            level=int(row["difficulty"]),
            metric=PAPER_METRICS[row["metric"]],
            label=row["metric"].removesuffix(" (lower better)"),
        )
        for row in read_table("medinst32_published.csv")
    )


@cache
def medinst32() -> tuple[PublishedModel, ...]:
    """The seven models of the paper's Table 3, in its order."""
    rows = read_table("medinst32_published.csv")
    trained = {name for card in load_cards() for name in card.trained_on}
    factor = {task.name: 100.0 if task.higher_is_better else 1.0 for task in medinst32_tasks()}
    models = []
    for column in list(rows[0])[4:]:
        name, _, shots = column.rpartition("_")
        printed = {row["dataset"]: row[column] for row in rows}
        models.append(
            PublishedModel(
                name=name,
                shots=2 if shots == "fewshot" else 0,
                trained=name in trained,
                scores={task: float(text) / factor[task] for task, text in printed.items()},
                printed=printed,
            )
        )
    return tuple(models)


@cache
def mmlu() -> tuple[PublishedModel, ...]:
    """The models of the paper's MMLU-Medicine table; the average is pooled over all questions."""
    return tuple(
        PublishedModel(
            name=row["model"],
            shots=None,
            trained=False,
            scores={subject: float(row[subject]) / 100 for subject in MMLU_SUBJECTS},
            printed={subject: row[subject] for subject in MMLU_SUBJECTS},
            average=float(row["average"]) / 100,
        )
        for row in read_table("mmlu_medicine_published.csv")
    )


@cache
def generation() -> Mapping[str, Mapping[str, tuple[float, float]]]:
    """Task -> model -> (BERTScore, METEOR); the encoder behind the former is not known."""
    found: dict[str, dict[str, tuple[float, float]]] = {}
    for row in read_table("generation_published.csv"):
        scores = float(row["bertscore"]), float(row["meteor"])
        found.setdefault(row["dataset"], {})[row["model"]] = scores
    return found
