"""Suites: which tasks are asked together and averaged together."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from medinst_eval import tasks
from medinst_eval.errors import InputError, closest
from medinst_eval.tasks.card import TaskCard

MEDINST32 = "medinst32"
MMLU_MEDICINE = "mmlu-medicine"
SUITES = (MEDINST32, MMLU_MEDICINE, tasks.OWN_SUITE)
HUB_IDS = {MEDINST32: "aialt/MedINST32", MMLU_MEDICINE: "cais/mmlu"}
"""Where the rows of a suite come from unless `--data` says otherwise."""

_FOLDER = Path(tasks.__file__).parent / "suites"


def suite_cards(suite: str, task_files: Sequence[str] = ()) -> tuple[TaskCard, ...]:
    """Cards of a suite, and of task files of one's own beside it.

    Args:
        suite: `medinst32`, `mmlu-medicine`, or `own` for nothing but the task files.
        task_files: YAML files with tasks of one's own.

    Raises:
        InputError: Unknown suite, `own` without a file, or a name that occurs twice.
    """
    if suite not in SUITES:
        raise InputError(
            f"no suite '{suite}'{closest(suite, SUITES)} (there are {', '.join(SUITES)})"
        )
    if suite == tasks.OWN_SUITE and not task_files:
        raise InputError("suite 'own' needs at least one --task-file")
    cards: list[TaskCard] = []
    if suite == MEDINST32:
        cards += tasks.load_cards()
    elif suite == MMLU_MEDICINE:
        cards += tasks.load_cards(_FOLDER)
    seen = {card.name.lower() for card in cards}
    for path in task_files:
        for card in tasks.load_file(Path(path)):
            if card.name.lower() in seen:
                raise InputError(f"{path}: there is already a task '{card.name}'; rename it")
            seen.add(card.name.lower())
            cards.append(card)
    return tuple(cards)
