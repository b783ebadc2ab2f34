"""Suites: which tasks are asked together and averaged together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from medinst_eval import metrics, parsers, tasks
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
        InputError: Unknown suite, `own` without a file, a name that occurs twice, or a task file
            that names a form or a metric that is unknown or does not fit.
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
            _refuse_misfits(path, card)
            cards.append(card)
    return tuple(cards)


def manifest_cards(manifest: Mapping[str, Any]) -> tuple[TaskCard, ...]:
    """All cards of a run's suite: the built-in ones, and those that its manifest brings along.

    Raises:
        InputError: The run has tasks of one's own that this installation cannot read.
    """
    suite = str(manifest.get("suite") or MEDINST32)
    built_in = () if suite == tasks.OWN_SUITE else suite_cards(suite)
    own = [_stored_card(stored) for stored in manifest.get("cards") or ()]
    return (*built_in, *own)


def is_own(card: TaskCard) -> bool:
    """Whether a task is one's own: it is in no average of a benchmark."""
    return card.data is not None


def _stored_card(stored: Any) -> TaskCard:
    try:
        return TaskCard.model_validate(stored)
    except ValidationError as error:
        first = error.errors()[0]
        name = stored.get("name") if isinstance(stored, dict) else stored
        raise InputError(
            f"the run's card of task '{name}': {first['msg'].removeprefix('Value error, ')}; "
            "install the package that the run used"
        ) from error


def _refuse_misfits(path: str, card: TaskCard) -> None:
    """Raise before any model is asked where a form or metric cannot be used."""
    try:
        parsers.get(card.form)
        for name in (*card.metrics.paper, *card.metrics.standard):
            forms = metrics.get(name).forms
            if forms and card.form not in forms:
                raise InputError(
                    f"metric '{name}' does not apply to answers of form '{card.form}'; "
                    f"it takes {', '.join(forms)}"
                )
    except InputError as error:
        raise InputError(f"{path}: task '{card.name}': {error}") from error
