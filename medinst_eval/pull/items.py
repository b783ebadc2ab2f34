"""What can be pulled: rows of a suite, rows of tasks of one's own, WordNet, models."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar, Protocol

from medinst_eval import data
from medinst_eval.data import own
from medinst_eval.data.rows import Source
from medinst_eval.errors import InputError
from medinst_eval.pull.snapshots import Found, Snapshot, size_of
from medinst_eval.suites import suite_cards
from medinst_eval.tasks.card import TaskCard

__all__ = ["BenchmarkData", "Found", "Item", "OwnData", "WordNet", "from_record"]

_SHOWN = 4


class Item(Protocol):
    """One thing to fetch and to look for."""

    @property
    def kind(self) -> str:
        """One of `KINDS`."""

    @property
    def label(self) -> str:
        """The kind, in words."""

    @property
    def name(self) -> str:
        """Id, or name of a task."""

    def fetch(self, folder: Path) -> Item:
        """Fetch it; the item that comes back knows what was fetched.

        Raises:
            MedinstError, MetricUnavailable: It cannot be had; one line says why.
        """

    def look(self, folder: Path) -> Found:
        """Look for it without a network.

        Raises:
            MedinstError: It is missing or incomplete.
        """

    def record(self) -> dict[str, Any]:
        """What the folder's record keeps of it."""


def from_record(entry: Mapping[str, Any]) -> Item:
    """An item as a folder's record keeps it.

    Raises:
        KeyError, TypeError, ValueError: Not written by this version.
    """
    fields = {name: value for name, value in entry.items() if name != "what"}
    kinds = {"suite": BenchmarkData, "own": OwnData, "wordnet": WordNet, "snapshot": Snapshot}
    if entry["what"] == "own":
        return OwnData(name=fields["name"], card=TaskCard.model_validate(fields["card"]))
    if entry["what"] == "suite":
        fields["tasks"] = tuple(fields["tasks"])
    item: Item = kinds[entry["what"]](**fields)
    return item


@dataclass(frozen=True, kw_only=True)
class BenchmarkData:
    """Rows of a suite, few-shot and zero-shot."""

    kind: ClassVar[str] = "data"
    label: ClassVar[str] = "data"

    name: str
    """Hub id or folder."""
    revision: str | None
    suite: str
    tasks: tuple[str, ...]

    def beside(self, earlier: Item | None) -> BenchmarkData:
        """With the tasks that an earlier pull was asked for."""
        if not isinstance(earlier, BenchmarkData) or earlier.suite != self.suite:
            return self
        both = {*self.tasks, *earlier.tasks}
        names = (card.name for card in suite_cards(self.suite))
        return replace(self, tasks=tuple(name for name in names if name in both))

    def fetch(self, folder: Path) -> BenchmarkData:  # noqa: ARG002 - caches are set already
        """Load every config once: that keeps its files, and prepares them for the next time."""
        self._rows(offline=False)
        return self

    def look(self, folder: Path) -> Found:
        """Load every config from the folder alone."""
        rows, absent, commit = self._rows(offline=True)
        there = len(self.tasks) - len(absent)
        detail = f"{there} of {len(self.tasks)} tasks, {rows:,} rows"
        if absent:
            detail += f" ({_some(absent)}: not in the data set)"
        if Path(self.name).expanduser().is_dir():
            return Found(detail=f"{detail}; a folder of its own: take it along", size=0)
        at = f", commit {commit[:8]}" if commit else ""
        repo = folder / "hub" / f"datasets--{self.name.replace('/', '--')}"
        return Found(detail=f"{detail}{at}", size=size_of(repo))

    def record(self) -> dict[str, Any]:
        """Id, revision, suite and tasks."""
        return {"what": "suite", **vars(self), "tasks": list(self.tasks)}

    def _rows(self, *, offline: bool) -> tuple[int, list[str], str | None]:
        """Rows of all tasks, tasks that the source does not have, and its commit."""
        cards = [card for card in suite_cards(self.suite) if card.name in self.tasks]
        source = data.open_source(self.name, self.revision, offline=offline, suite=self.suite)
        rows, absent, failed, why = 0, [], [], ""
        for card in cards:
            configs = list(_configs(source, card))
            if not configs:
                absent.append(card.name)
            try:
                counts = [len(source.rows(name, history=few)) for name, few in configs]
            except InputError as error:
                failed.append(card.name)
                why = why or str(error)
                continue
            rows += max(counts, default=0)
        if failed:
            raise InputError(f"{len(failed)} of {len(cards)} tasks ({_some(failed)}): {why}")
        if len(absent) == len(cards):
            raise InputError(f"{source.label} has none of the tasks {_some(absent)}")
        return rows, absent, source.revision


def _configs(source: Source, card: TaskCard) -> Iterator[tuple[str, bool]]:
    """Configs of a task in a source, and whether they carry demonstrations."""
    few, zero = card.config_name(2), card.config_name(0)
    if source.has(few):
        yield few, True
    if zero != few and source.has(zero):
        yield zero, False


@dataclass(frozen=True, kw_only=True)
class OwnData:
    """Rows of a task of one's own."""

    kind: ClassVar[str] = "data"
    label: ClassVar[str] = "own task"

    name: str
    card: TaskCard

    def fetch(self, folder: Path) -> OwnData:  # noqa: ARG002 - caches are set already
        """Load the rows once."""
        own.read(self.card, shots=0, offline=False)
        return self

    def look(self, folder: Path) -> Found:
        """Load the rows without a network."""
        assert self.card.data is not None
        rows = len(own.read(self.card, shots=0, offline=True))
        if self.card.data.path is not None:
            detail = f"{rows:,} rows in {self.card.data.path}: take the file along with its card"
            return Found(detail=detail, size=0)
        repo = f"datasets--{(self.card.data.hub or '').replace('/', '--')}"
        return Found(
            detail=f"{rows:,} rows of {self.card.data.hub}: take the card along",
            size=size_of(folder / "hub" / repo),
        )

    def record(self) -> dict[str, Any]:
        """The whole card."""
        return {"what": "own", "name": self.name, "card": self.card.model_dump(mode="json")}


@dataclass(frozen=True, kw_only=True)
class WordNet:
    """WordNet, which METEOR takes synonyms from."""

    kind: ClassVar[str] = "wordnet"
    label: ClassVar[str] = "WordNet"

    name: str = "wordnet"

    def fetch(self, folder: Path) -> WordNet:
        """Download it, or copy the system's."""
        from medinst_eval.metrics import wordnet

        if not wordnet.is_in(folder):
            wordnet.obtain(folder)
        return self

    def look(self, folder: Path) -> Found:
        """Look for its files."""
        from medinst_eval.metrics import wordnet

        if not wordnet.is_in(folder):
            raise InputError(f"not in {folder / 'nltk_data'}")
        return Found(detail="for METEOR", size=size_of(folder / "nltk_data"))

    def record(self) -> dict[str, Any]:
        """Nothing but that it is wanted."""
        return {"what": "wordnet", "name": self.name}


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:_SHOWN]) + (", …" if len(names) > _SHOWN else "")
