"""Does the model still say the same? A sample of a run is generated again and compared."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from medinst_eval import backends, offline, store
from medinst_eval.asking import build_prompts, to_prediction, to_requests
from medinst_eval.errors import InputError
from medinst_eval.manifest import build_manifest, settings_of
from medinst_eval.rescore import read_manifest
from medinst_eval.runner import load_samples
from medinst_eval.types import Prediction, Prompt, Sample


@dataclass(frozen=True, kw_only=True)
class Difference:
    """One sample whose output is another one now."""

    id: str
    before: str
    now: str
    same_prompt: bool
    """False: the prompt itself is another one, so the output may well differ."""


@dataclass(frozen=True, kw_only=True)
class Verification:
    """What a second generation showed."""

    asked: int
    errors: int
    differences: tuple[Difference, ...]
    changed_settings: tuple[str, ...]
    """Fields of the run's identity that are not what they were, e.g. the model's files."""


def verify(path: Path, *, sample: int, seed: int = 0, **changes: Any) -> Verification:
    """Generate some samples of a run again, with its own settings.

    Args:
        path: The run folder; nothing in it is changed.
        sample: How many finished samples to ask again, drawn at random.
        seed: Seed of the draw.
        **changes: Settings that must differ here, such as another `model` path.

    Raises:
        InputError: The run has no finished samples, or its data are gone.
        BackendError: The engine cannot be loaded.
    """
    manifest = read_manifest(path)
    known = store.load_predictions(path / store.PREDICTIONS).predictions
    finished = sorted(id_ for id_, p in known.items() if p.error is None)
    if not finished:
        raise InputError(f"{path} has no finished samples to verify")
    drawn = set(random.Random(seed).sample(finished, min(sample, len(finished))))
    config = settings_of(manifest, **changes)
    offline.engage(config.pulled, offline=config.offline)
    _, cards, dataset = load_samples(config)
    every = {s.id: s for task in dataset.tasks for s in task.samples}
    if gone := sorted(drawn - every.keys()):
        raise InputError(f"{path}: sample {gone[0]} is no longer in {dataset.source}")
    chosen = [every[id_] for id_ in every if id_ in drawn]
    backend = backends.create(manifest["backend"]["name"], config.engine(), list(every.values()))
    try:
        current = build_manifest(config, manifest["backend"]["name"], backend, dataset)
        backend.start()
        limits = {card.name: config.max_tokens or card.max_tokens for card in cards}
        built = build_prompts(config, backend, chosen, limits)
        requests = to_requests(chosen, built, limits)
        with closing(backend.generate(requests)) as generations:
            now = {g.id: to_prediction(g, every[g.id], built[g.id]) for g in generations}
    finally:
        backend.close()
    return _compare(known, now, chosen, store.differing_fields(manifest, current), built)


def _compare(
    known: Mapping[str, Prediction],
    now: Mapping[str, Prediction],
    chosen: Sequence[Sample],
    changed: Sequence[str],
    built: Mapping[str, Prompt],
) -> Verification:
    differences = [
        Difference(
            id=sample.id,
            before=known[sample.id].output,
            now=now[sample.id].output,
            same_prompt=known[sample.id].prompt_sha == built[sample.id].sha,
        )
        for sample in chosen
        if sample.id in now
        and now[sample.id].error is None
        and now[sample.id].output != known[sample.id].output
    ]
    return Verification(
        asked=len(chosen),
        errors=sum(p.error is not None for p in now.values()),
        differences=tuple(differences),
        changed_settings=tuple(c for c in changed if not c.startswith("data.shard")),
    )
