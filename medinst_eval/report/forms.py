"""Which form a task's answers have, read from the run itself so that own tasks work too."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from medinst_eval.types import Form

BRACKETS: frozenset[Form] = frozenset({"entities", "links", "relations", "events", "mentions"})
MARKED: frozenset[Form] = BRACKETS | {"word_labels"}
"""Forms whose answers point at places in the text."""

# A headline metric says which form it scores; the order matters where metrics are shared.
_BY_METRIC: tuple[tuple[str, Form], ...] = (
    ("relation_f1", "relations"),
    ("event_f1", "events"),
    ("link_f1", "links"),
    ("token_accuracy", "word_labels"),
    ("entity_f1", "entities"),
    ("mention_f1", "mentions"),
    ("subset_accuracy", "labels"),
    ("pearson", "number"),
    ("macro_f1", "label"),
    ("rouge_l", "text"),
    ("chrf", "text"),
    ("accuracy", "choice"),
)
_BY_WIDTH: dict[int, Form] = {1: "mentions", 2: "entities", 3: "relations"}


def form_of(result: Mapping[str, Any], answers: Sequence[Any], known: Form | None = None) -> Form:
    """The form of a task's answers.

    Args:
        result: The task's part of `results.json`.
        answers: Parsed answers as stored in `samples.jsonl`.
        known: The form on the task's card, where there is a card.
    """
    if known is not None:
        return known
    metrics = result.get("metrics", {})
    for name, form in _BY_METRIC:
        if name in metrics:
            return form
    for answer in answers:
        if isinstance(answer, int | float):
            return "number"
        if isinstance(answer, list) and answer:
            if isinstance(answer[0], list):
                return _BY_WIDTH.get(len(answer[0]), "mentions")
            return "labels"
        if isinstance(answer, str):
            return "text"
    return "text"
