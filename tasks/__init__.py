"""What is asked: the cards of the 32 tasks, and task files of one's own.

One YAML file per category holds the facts of its tasks; `load_cards` validates them. Nothing here
knows how a task is scored beyond the names of its metrics.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Sequence

from medinst_eval.errors import InputError
from medinst_eval.tasks.card import CategoryCard, DataSource, MetricSet, TaskCard
from medinst_eval.tasks.loading import (
    OWN_SUITE,
    categories,
    load_cards,
    load_categories,
    load_file,
)

__all__ = [
    "OWN_SUITE",
    "CategoryCard",
    "DataSource",
    "MetricSet",
    "TaskCard",
    "categories",
    "cluster_key",
    "clusters",
    "load_cards",
    "load_categories",
    "load_file",
    "named",
    "select",
]

# A line that opens a field of the input, such as `Entity: GATA-1` or `Context: …`.
_FIELD = re.compile(r"\n(?=[A-Z][A-Za-z ]{0,30}: )")


def select(cards: Sequence[TaskCard], spec: str) -> tuple[TaskCard, ...]:
    """Pick tasks by name, category or difficulty level, in card order, each once.

    Args:
        cards: The cards to pick from.
        spec: Comma-separated, upper or lower case alike: task names (`MedQA`), categories
            (`NER`), levels (`level:3`), or `all`.

    Raises:
        InputError: An entry matches nothing; the nearest known ones are named.
    """
    wanted = [part.strip() for part in spec.split(",") if part.strip()]
    if not wanted:
        raise InputError("no task selected; give names, categories or level:N, comma separated")
    chosen: set[str] = set()
    for part in wanted:
        found = _matching(cards, part.lower())
        if not found:
            raise InputError(f"unknown task, category or level '{part}'{_nearest(cards, part)}")
        chosen.update(found)
    return tuple(card for card in cards if card.name in chosen)


def named(cards: Sequence[TaskCard], spec: str) -> frozenset[str]:
    """The tasks that a selection spells out by name, not by category or level.

    Args:
        cards: The cards that `select` was given.
        spec: The selection that `select` was given.
    """
    parts = {part.strip().lower() for part in spec.split(",")}
    return frozenset(card.name for card in cards if card.name.lower() in parts)


def cluster_key(card: TaskCard, text: str) -> str | None:
    """Identity of the document behind an input by the card's `cluster` rule.

    Returns:
        The part of the input that rows on one document share; None where rows are independent.
    """
    if card.cluster == "row":
        return None
    if card.cluster == "input":
        return text
    parts = _FIELD.split(text)
    if card.cluster == "first":
        return parts[0]
    return text if len(parts) == 1 else text[: -len(parts[-1]) - 1]


def clusters(card: TaskCard, inputs: Iterable[str]) -> list[int]:
    """Number the documents behind the inputs of a task, 0, 1, … by first appearance.

    Equal numbers mark rows that share a document and are resampled together.
    """
    seen: dict[str, int] = {}
    numbers: list[int] = []
    fresh = 0
    for text in inputs:
        key = cluster_key(card, text)
        if key is not None and key in seen:
            numbers.append(seen[key])
            continue
        if key is not None:
            seen[key] = fresh
        numbers.append(fresh)
        fresh += 1
    return numbers


def _matching(cards: Sequence[TaskCard], part: str) -> list[str]:
    """Names of the cards that a lower-case selection entry stands for."""
    if part == "all":
        return [card.name for card in cards]
    named = [card.name for card in cards if card.name.lower() == part]
    if named:
        return named
    if part.startswith("level:"):
        return [card.name for card in cards if str(card.level) == part.removeprefix("level:")]
    return [card.name for card in cards if card.category.lower() == part]


def _nearest(cards: Sequence[TaskCard], part: str) -> str:
    """A "did you mean" for a misspelt entry, or a pointer to the list."""
    known = [card.name for card in cards]
    known += list(dict.fromkeys(card.category for card in cards))
    known += sorted({f"level:{card.level}" for card in cards if card.level})
    by_lower = {name.lower(): name for name in known}
    close = difflib.get_close_matches(part.lower(), by_lower, n=3, cutoff=0.6)
    if not close:
        return "; 'medinst-eval tasks' lists what there is"
    return f"; did you mean {' or '.join(by_lower[name] for name in close)}?"
