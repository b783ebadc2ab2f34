"""The pipeline: plan, generate, store, score."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from medinst_eval import backends, data, offline, store, tasks
from medinst_eval.asking import ask
from medinst_eval.config import RunConfig
from medinst_eval.errors import InputError, closest
from medinst_eval.finishing import RunRows, pair_rows, score_folder
from medinst_eval.manifest import backend_record, build_manifest
from medinst_eval.observer import Clock, Observer, Silent
from medinst_eval.suites import HUB_IDS, MEDINST32, MMLU_MEDICINE, is_own, suite_cards
from medinst_eval.tasks.card import TaskCard
from medinst_eval.types import Sample


@dataclass(frozen=True, kw_only=True)
class RunOutcome:
    """A finished run."""

    path: Path
    results: dict[str, Any]
    """The content of `results.json`."""

    @property
    def errors(self) -> int:
        """Samples that ended in an engine error."""
        return sum(task["n_errors"] for task in self.results["tasks"].values())


def run(config: RunConfig, observer: Observer | None = None) -> RunOutcome:
    """Evaluate a model: the whole pipeline.

    Everything finished is in the run folder at any moment; the same call goes on where an
    earlier one stopped.

    Raises:
        InputError: Wrong options or bad data, before any engine is started where possible.
        StoreError: The run folder cannot be used.
        BackendError: The engine cannot be loaded or died.
    """
    observer = observer or Silent()
    offline.engage(config.pulled, offline=config.offline)
    clock = Clock()
    name = _backend_name(config, observer)
    observer.stage("data")
    started = time.perf_counter()
    suite, cards, dataset = load_samples(config)
    if dataset.absent:
        observer.note(f"absent from {dataset.source}: {', '.join(dataset.absent)}")
    samples = {task.card.name: _shard(task.samples, config.shard) for task in dataset.tasks}
    if not any(samples.values()):
        raise InputError(f"no rows to ask in {dataset.source}; check --tasks, --limit and --shard")
    # A shard's baselines answer from the whole data: the majority is not the shard's own.
    backend = backends.create(
        name, config.engine(), [sample for task in dataset.tasks for sample in task.samples]
    )
    clock.add("data_s", started)
    try:
        manifest = build_manifest(config, name, backend, dataset)
        folder = config.output / manifest["run"]
        with store.open_run(folder, manifest, fresh=config.fresh) as opened:
            for note in (*opened.notes, *_data_notes(dataset)):
                observer.note(note)
            ask(config, backend, opened, cards, samples, observer, clock)
            record = backend_record(name, backend)
            backend.close()
            if "engine" in record:
                opened.write_manifest(backend=record)
            observer.stage("score")
            pairs = (
                pair_rows(task.card, samples[task.card.name], opened.predictions, task.warnings)
                for task in dataset.tasks
            )
            results = score_folder(
                opened,
                RunRows(tasks=tuple(pairs), suite=suite, absent=dataset.absent),
                config.scoring(),
                timing={name: round(seconds, 3) for name, seconds in clock.seconds.items()},
                on_task=observer.scored,
            )
    finally:
        backend.close()
    return RunOutcome(path=folder, results=results)


def _backend_name(config: RunConfig, observer: Observer) -> str:
    options = config.engine()
    on_ray = options.ray_address is not None
    if options.replicas != 1 and not on_ray:
        raise InputError("--replicas needs --ray ADDRESS or --ray local")
    if config.backend == "auto":
        name, why = backends.choose()
        observer.note(f"backend {name}: {why}")
        return "ray" if on_ray else name
    if config.backend not in (known := backends.names()):
        raise InputError(
            f"no backend '{config.backend}'{closest(config.backend, known)} "
            f"(there are {', '.join(known)})"
        )
    return "ray" if on_ray else config.backend


def load_samples(
    config: RunConfig,
) -> tuple[tuple[TaskCard, ...], tuple[TaskCard, ...], data.Dataset]:
    """All cards of the suite, those that a run asks, and their rows (shards are cut later)."""
    suite = cards = suite_cards(config.suite, config.task_files)
    if config.tasks:
        cards = tasks.select(suite, config.tasks)
    dataset = data.load(
        cards,
        source=config.data or HUB_IDS.get(config.suite, HUB_IDS[MEDINST32]),
        revision=config.revision,
        shots=config.shots,
        limit=config.limit,
        sample=config.sample,
        seed=config.seed,
        asked_by_name=tasks.named(cards, config.tasks) if config.tasks else False,
        offline=config.without_network,
    )
    if config.suite == MMLU_MEDICINE and config.choice_scoring == "logprob":
        weighed = (t if is_own(t.card) else _with_choices(t) for t in dataset.tasks)
        dataset = replace(dataset, tasks=tuple(weighed))
    return suite, cards, dataset


def _with_choices(task: data.TaskData) -> data.TaskData:
    """The task with its labels as continuations to weigh instead of an answer to generate."""
    return replace(task, samples=tuple(replace(s, choices=task.card.labels) for s in task.samples))


def _shard(samples: Sequence[Sample], shard: tuple[int, int] | None) -> tuple[Sample, ...]:
    if shard is None:
        return tuple(samples)
    part, parts = shard
    return tuple(samples[part - 1 :: parts])


def _data_notes(dataset: data.Dataset) -> Iterable[str]:
    yield from dataset.warnings
    for task in dataset.tasks:
        for warning in task.warnings:
            yield f"{task.card.name}: {warning}"
