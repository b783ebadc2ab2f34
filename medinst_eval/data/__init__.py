"""Rows of the tasks: from the Hub, a local folder, the built-in demo, or files of one's own."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from medinst_eval.data.local import FolderSource
from medinst_eval.data.rows import Row, Source, short_of_shots, to_sample
from medinst_eval.errors import InputError
from medinst_eval.tasks.card import TaskCard
from medinst_eval.types import Sample

__all__ = ["DEMO", "Dataset", "TaskData", "load", "open_source"]

MMLU = "mmlu-medicine"
"""Suite whose rows are those of MMLU, in a layout of their own."""

DEMO = "demo"
"""Name of the data that come with the package."""


@dataclass(frozen=True, kw_only=True)
class TaskData:
    """The rows of one task that a run asks."""

    card: TaskCard
    samples: tuple[Sample, ...]
    digest: str
    """SHA-256 over the keys of the samples, in order."""
    rows_total: int
    """Rows in the source, before `limit` and `sample`."""
    warnings: tuple[str, ...] = ()
    """What is odd about the rows but no error, e.g. a row count other than the card's."""


@dataclass(frozen=True, kw_only=True)
class Dataset:
    """The rows of a run."""

    tasks: tuple[TaskData, ...]
    absent: tuple[str, ...]
    """Tasks that were not asked for by name and are not in the source."""
    source: str
    revision: str | None = None
    """Commit that a Hub revision stood for; None for folders."""
    warnings: tuple[str, ...] = ()
    """What is odd about the source as a whole; each task carries its own."""


def load(
    cards: Sequence[TaskCard],
    *,
    source: str,
    revision: str | None = None,
    shots: int = 2,
    limit: int | None = None,
    sample: int | None = None,
    seed: int = 0,
    asked_by_name: bool | Collection[str] = False,
    offline: bool = False,
) -> Dataset:
    """Load and check the rows of the given tasks.

    Args:
        cards: Tasks to load. A card with a `data` stanza brings its own rows; all others are
            looked for in `source`.
        source: Hub id, path of a folder in the benchmark's layout, or `demo`.
        revision: Branch, tag or commit of a Hub data set.
        shots: Demonstrations a prompt will hold: 0 reads the zero-shot variant; more read the
            few-shot variant and keep that many demonstrations of each row.
        limit: Keep the first rows of each task only.
        sample: Keep this many rows of each task, drawn without replacement; source order is kept.
        seed: Seed of `sample`; each task draws for itself, whatever other tasks are loaded.
        asked_by_name: A task that is not in the source is an error instead of `absent`: all tasks
            (True), or those of these names.
        offline: Reach for no network: Hub data sets come from the local cache or not at all.

    Returns:
        Rows with ids `<Task>/<row>` that keep the row number of the source (from 0).

    Raises:
        InputError: Unknown source or revision, a malformed row (file, line and remedy named), a
            task asked for by name that is absent, or a source without any task.
    """
    own = [card for card in cards if card.data is not None]
    benchmark = [card for card in cards if card.data is None]
    opened: Source | None = None
    if benchmark:
        opened = open_source(source, revision, offline=offline, suite=benchmark[0].suite)
    found: dict[str, TaskData] = {}
    absent: list[str] = []
    for card in benchmark:
        assert opened is not None
        read = _read(opened, card, shots)
        if read is None:
            absent.append(card.name)
            continue
        rows, warnings = read
        if source != DEMO:  # a hand-written handful of rows, never the size of the real test set
            warnings = [*_count_warnings(card, rows), *warnings]
        found[card.name] = _task(card, rows, warnings, shots, limit, sample, seed)
    if opened is not None and absent:
        wanted = absent if asked_by_name is True or not found else asked_by_name or ()
        _refuse_absent(opened, [name for name in absent if name in wanted])
    for card in own:
        from medinst_eval.data import own as own_data

        rows = own_data.read(card, shots=shots, offline=offline)
        found[card.name] = _task(
            card, rows, _count_warnings(card, rows), shots, limit, sample, seed
        )
    return Dataset(
        tasks=tuple(found[card.name] for card in cards if card.name in found),
        absent=tuple(absent),
        source=source if opened is not None else "task files",
        revision=opened.revision if opened is not None else None,
        warnings=opened.warnings if opened is not None else (),
    )


def open_source(source: str, revision: str | None, *, offline: bool, suite: str) -> Source:
    """Open the rows of a suite: the demo, a folder, or a data set on the Hub.

    Raises:
        InputError: No such folder or data set, or no access to it.
    """
    if suite == MMLU:
        from medinst_eval.data import mmlu

        return mmlu.open_source(source, revision, offline=offline)
    folder = Path(source).expanduser()
    if source == DEMO or folder.is_dir():
        if revision is not None:
            raise InputError(
                f"--revision {revision} belongs to a Hub data set, and '{source}' is a local "
                "one; leave it out"
            )
        if source == DEMO:
            from medinst_eval.demo import data_folder

            folder = data_folder()
        return FolderSource(folder)
    from medinst_eval.data.hub import HubSource

    return HubSource.open(source, revision, offline=offline)


def _read(source: Source, card: TaskCard, shots: int) -> tuple[list[Row], list[str]] | None:
    """Rows of the variant that serves this many shots; None where the task is absent."""
    few, zero = card.config_name(max(shots, 1)), card.config_name(0)
    if shots == 0 and source.has(zero):
        return source.rows(zero, history=False), []
    if not source.has(few):
        return None
    rows = source.rows(few, history=shots > 0)
    if shots == 0:
        return rows, [f"no zero-shot variant '{zero}': rows of '{few}' without demonstrations"]
    return rows, []


def _count_warnings(card: TaskCard, rows: Sequence[Row]) -> list[str]:
    if card.rows is None or len(rows) == card.rows:
        return []
    return [f"{len(rows)} rows where the card expects {card.rows}"]


def _task(
    card: TaskCard,
    rows: Sequence[Row],
    warnings: Iterable[str],
    shots: int,
    limit: int | None,
    sample: int | None,
    seed: int,
) -> TaskData:
    chosen = list(rows[:limit])
    if sample is not None and sample < len(chosen):
        # A generator of its own, so that a task's rows do not depend on what else is loaded.
        drawn = random.Random(f"{seed}/{card.name}").sample(range(len(chosen)), sample)
        chosen = [chosen[index] for index in sorted(drawn)]
    samples = tuple(to_sample(card.name, row, shots) for row in chosen)
    keys = "\n".join(item.key for item in samples)
    return TaskData(
        card=card,
        samples=samples,
        digest=hashlib.sha256(keys.encode()).hexdigest(),
        rows_total=len(rows),
        warnings=(*warnings, *short_of_shots(samples, shots)),
    )


def _refuse_absent(source: Source, absent: Sequence[str]) -> None:
    """Raise for tasks that the run cannot do without and the source does not have."""
    if not absent:
        return
    configs = set(source.names())
    if not configs:
        raise InputError(
            f"no benchmark data in {source.label}; expected "
            "unseen_tests/<Task>_test.json and unseen_tests_zs/<Task>-zs_test.json"
        )
    # A zero-shot config beside its few-shot one says nothing new.
    there = sorted(c for c in configs if not c.endswith("-zs") or c[:-3] not in configs)
    zero_shot = all(f"{name}-zs" in configs for name in absent)
    remedy = "use --shots 0, which needs no demonstrations" if zero_shot else "choose among these"
    many = len(absent) > 1
    raise InputError(
        f"{'tasks' if many else 'task'} {', '.join(absent)} {'are' if many else 'is'} not in "
        f"{source.label}, which has {', '.join(there)}; {remedy}"
    )
