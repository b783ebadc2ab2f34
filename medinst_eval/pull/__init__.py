"""Everything that a machine without a network will need, in one folder, with a checklist."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from medinst_eval import offline, tasks
from medinst_eval.errors import InputError, MedinstError, StoreError, closest
from medinst_eval.files import read_json, write_json
from medinst_eval.metrics.base import MetricUnavailable
from medinst_eval.pull.items import BenchmarkData, Found, Item, OwnData, WordNet, from_record
from medinst_eval.pull.snapshots import Snapshot
from medinst_eval.suites import HUB_IDS, MEDINST32, is_own, suite_cards

__all__ = ["KINDS", "State", "Wanted", "check", "pull"]

KINDS = ("data", "model", "bertscore", "wordnet")
"""What can be left out."""
_SCHEMA = 1


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """What a machine without a network is to do, in the words of a run.

    Attributes:
        suite: `medinst32`, `mmlu-medicine` or `own`.
        tasks: Selection of tasks; None: all.
        data: Hub id of the suite's data; None: the suite's own.
        models: Hub ids of models and adapters.
        model_revision: Branch, tag or commit of the first model.
        bertscore_model: Encoder; None: the default one, where a task needs it.
        skip: Kinds (`KINDS`) that are not wanted.
    """

    suite: str = MEDINST32
    tasks: str | None = None
    task_files: tuple[str, ...] = ()
    data: str | None = None
    revision: str | None = None
    models: tuple[str, ...] = ()
    model_revision: str | None = None
    bertscore_model: str | None = None
    skip: tuple[str, ...] = ()

    def items(self) -> list[Item]:
        """The single things to fetch.

        Raises:
            InputError: Unknown suite, task or kind, or a task file that cannot be read.
        """
        for kind in self.skip:
            if kind not in KINDS:
                raise InputError(
                    f"--skip {kind}: nothing of that kind{closest(kind, KINDS)} "
                    f"(there are {', '.join(KINDS)})"
                )
        cards = suite_cards(self.suite, self.task_files)
        cards = tasks.select(cards, self.tasks) if self.tasks else cards
        metrics = {name for card in cards for name in card.metrics.standard}
        found: list[Item] = []
        if benchmark := [card.name for card in cards if not is_own(card)]:
            source = self.data or HUB_IDS[self.suite]
            found.append(
                BenchmarkData(
                    name=source, revision=self.revision, suite=self.suite, tasks=tuple(benchmark)
                )
            )
        found += [OwnData(name=card.name, card=card) for card in cards if is_own(card)]
        for number, model in enumerate(self.models):
            revision = self.model_revision if number == 0 else None
            found.append(Snapshot(kind="model", name=model, revision=revision))
        if "bertscore_f1" in metrics:
            from medinst_eval.metrics.encoder import DEFAULT_ENCODER

            encoder = self.bertscore_model or DEFAULT_ENCODER
            found.append(Snapshot(kind="bertscore", name=encoder, revision=None))
        if "meteor" in metrics:
            found.append(WordNet())
        return [item for item in found if item.kind not in self.skip]


@dataclass(frozen=True, kw_only=True)
class State:
    """One line of the checklist."""

    kind: str
    name: str
    there: bool
    detail: str
    """What is there, or why it is not."""
    size: int = 0
    """Bytes."""


def pull(
    folder: Path, wanted: Wanted, tell: Callable[[str], None] = lambda _: None
) -> tuple[State, ...]:
    """Fetch what is wanted into a folder, beside what is there already.

    What cannot be fetched does not keep the rest from being fetched.

    Args:
        folder: Where to; made where it is not.
        wanted: What to fetch.
        tell: Told what is being fetched.

    Returns:
        The checklist of everything that was ever asked for in this folder.

    Raises:
        InputError: What is wanted makes no sense.
        StoreError: The folder cannot be written.
    """
    items = wanted.items()
    offline.use(offline.variables(folder, offline=False))
    known = _recorded(folder) if (folder / offline.RECORD).is_file() else {}
    failures: dict[tuple[str, str], str] = {}
    for item in items:
        key = (item.kind, item.name)
        if isinstance(item, BenchmarkData):
            item = item.beside(known.get(key))
        tell(f"{item.label}: {item.name}")
        try:
            known[key] = item.fetch(folder)
        except StoreError:
            raise
        except (MedinstError, MetricUnavailable) as error:
            failures[key] = str(error)
            known.setdefault(key, item)
        _record(folder, known)
    return _look(folder, known, failures)


def check(folder: Path) -> tuple[State, ...]:
    """The checklist of a folder, without a network.

    Raises:
        InputError: Not a folder of `pull`.
    """
    offline.engage(folder, offline=True)
    return _look(folder, _recorded(folder), {})


def _look(
    folder: Path, items: Mapping[tuple[str, str], Item], failures: Mapping[tuple[str, str], str]
) -> tuple[State, ...]:
    return tuple(_state(folder, item, failures.get(key)) for key, item in items.items())


def _state(folder: Path, item: Item, failure: str | None) -> State:
    try:
        found: Found = item.look(folder)
    except MedinstError as error:
        return State(kind=item.label, name=item.name, there=False, detail=failure or str(error))
    detail = found.detail if failure is None else f"{found.detail}; not renewed: {failure}"
    return State(kind=item.label, name=item.name, there=True, detail=detail, size=found.size)


def _recorded(folder: Path) -> dict[tuple[str, str], Item]:
    record: Any = read_json(folder / offline.RECORD, "record of the pull")
    try:
        items = [from_record(entry) for entry in record["items"]]
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(
            f"{folder / offline.RECORD} is damaged or of another version ({error}); delete it and "
            "pull again: what is there already is not fetched twice"
        ) from error
    return {(item.kind, item.name): item for item in items}


def _record(folder: Path, items: Mapping[tuple[str, str], Item]) -> None:
    entries: Sequence[Any] = [item.record() for item in items.values()]
    write_json(folder / offline.RECORD, {"schema_version": _SCHEMA, "items": entries})
