"""Score stored outputs again, or join shards: everything that needs no model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from medinst_eval import data, store
from medinst_eval.errors import InputError, NotComparableError, StoreError
from medinst_eval.files import read_json
from medinst_eval.finishing import RunRows, pair_rows, score_folder
from medinst_eval.manifest import scoring_record
from medinst_eval.scoring import ScoringOptions
from medinst_eval.suites import manifest_cards
from medinst_eval.tasks.card import TaskCard
from medinst_eval.types import Prediction, Sample


def stored_options(manifest: Mapping[str, Any], **changes: Any) -> ScoringOptions:
    """The scoring options of a run, with those changed that are given (not None)."""
    stored = manifest.get("scoring") or {}
    given = {name: value for name, value in changes.items() if value is not None}
    metric_options = {**stored.get("metric_options", {}), **given.pop("metric_options", {})}
    known = {name: stored[name] for name in ("seed", "resamples", "paper_extras") if name in stored}
    return ScoringOptions(**{**known, **given}, metric_options=metric_options)


def rescore(path: Path, **changes: Any) -> dict[str, Any]:
    """Score a run folder again, after a change of a metric, a parser or an option.

    Predictions are read, never touched. Rows come from the run's `samples.jsonl`, or from its data
    source where it was never scored.

    Args:
        path: The run folder.
        **changes: Fields of `ScoringOptions` that differ from the run's own; None keeps them.

    Returns:
        The content of the new `results.json`.

    Raises:
        StoreError: No run folder, or one that is being written.
        InputError: The run was never scored and its data are gone or differ.
    """
    manifest = read_manifest(path)
    options = stored_options(manifest, **changes)
    with store.open_run(path, manifest) as folder:
        rows = load_rows(path, manifest, folder.predictions)
        folder.write_manifest(scoring=scoring_record(options))
        timing = _timing(folder.path)
        return score_folder(folder, rows, options, timing=timing)


def _timing(path: Path) -> Mapping[str, float]:
    """What the last scoring of a run recorded of its time; nothing where there was none."""
    results = path / store.RESULTS
    return read_json(results, "results").get("timing", {}) if results.is_file() else {}


def read_manifest(path: Path) -> store.Manifest:
    """The manifest of a run folder.

    Raises:
        StoreError: Not a run folder.
    """
    if not (path / store.MANIFEST).is_file():
        raise StoreError(f"{path} is not a run folder (no {store.MANIFEST})")
    manifest: store.Manifest = read_json(path / store.MANIFEST, "manifest")
    return manifest


def load_rows(
    path: Path, manifest: Mapping[str, Any], predictions: Mapping[str, Prediction]
) -> RunRows:
    """Rows of a run from its own `samples.jsonl`, else from the source that its manifest names."""
    suite = manifest_cards(manifest)
    by_name = {card.name: card for card in suite}
    wanted = manifest["data"]["tasks"]
    if missing := [name for name in wanted if name not in by_name]:
        raise InputError(f"{path}: no card for task '{missing[0]}'; it needs a newer version")
    cards = [card for card in suite if card.name in wanted]
    samples = _stored_samples(path) if (path / store.RESULTS).is_file() else None
    if samples is None:
        samples = _source_samples(path, manifest, cards)
    rows = []
    for card in cards:
        mine = samples.get(card.name, [])
        warnings = tuple(wanted[card.name].get("warnings", ()))
        rows.append(pair_rows(card, mine, predictions, warnings))
    return RunRows(tasks=tuple(rows), suite=suite, absent=tuple(manifest["data"].get("absent", ())))


def _stored_samples(path: Path) -> dict[str, list[Sample]]:
    found: dict[str, list[Sample]] = {}
    for line in store.read_run(path).samples():
        sample = Sample(
            task=line["task"],
            id=line["id"],
            key=line["key"],
            instruction=line.get("instruction", ""),
            input=line.get("input", ""),
            gold=line["gold"],
            choices=tuple(line.get("choices", ())),
        )
        found.setdefault(sample.task, []).append(sample)
    return found


def _source_samples(
    path: Path, manifest: Mapping[str, Any], cards: Sequence[TaskCard]
) -> dict[str, list[Sample]]:
    source = manifest["data"]
    dataset = data.load(
        cards,
        source=source["source"],
        revision=source.get("revision"),
        shots=manifest["prompt"]["shots"],
        limit=source.get("limit"),
        sample=source.get("sample"),
        seed=source.get("seed") or 0,
        asked_by_name=True,
    )
    for task in dataset.tasks:
        if task.digest != source["tasks"][task.card.name]["digest"]:
            raise InputError(
                f"{path}: the rows of {task.card.name} in {source['source']} are not those that "
                "were asked; restore that version of the data"
            )
    shard = source.get("shard")
    part, parts = (int(n) for n in shard.split("/")) if shard else (1, 1)
    return {task.card.name: list(task.samples[part - 1 :: parts]) for task in dataset.tasks}


# -- shards -------------------------------------------------------------------------------------


def merge(paths: Sequence[Path], target: Path, *, fresh: bool) -> Any:
    """Join the shards of one run into a run folder, equal to a run that was never split.

    Raises:
        NotComparableError: The shards ask different things.
        InputError: Shards overlap, are missing, or are no shards.
    """
    manifests = [read_manifest(path) for path in paths]
    _check_shards(paths, manifests)
    whole = {**manifests[0], "run": target.name}
    whole["data"] = {**whole["data"], "shard": None}
    whole["started"] = min(str(m.get("started")) for m in manifests)
    predictions: dict[str, Prediction] = {}
    for path in paths:
        loaded = store.load_predictions(path / store.PREDICTIONS)
        if loaded.damaged:
            raise StoreError(
                f"{path / store.PREDICTIONS}: {loaded.damaged[0]}; run that shard again first"
            )
        predictions.update(loaded.predictions)
    with store.open_run(target, whole, fresh=fresh) as folder:
        for prediction in predictions.values():
            if prediction.id not in folder.predictions:
                folder.append(prediction)
        rows = load_rows(target, whole, folder.predictions)
        return score_folder(folder, _in_order(rows, paths), stored_options(whole), timing={})


def _in_order(rows: RunRows, paths: Sequence[Path]) -> RunRows:
    missing = [
        sample.id
        for task in rows.tasks
        for sample, prediction in zip(task.samples, task.predictions, strict=True)
        if prediction is None
    ]
    if missing:
        names = ", ".join(path.name for path in paths)
        raise InputError(
            f"{len(missing)} samples are in none of {names} (the first: {missing[0]}); "
            "finish the shards first"
        )
    return rows


def _check_shards(paths: Sequence[Path], manifests: Sequence[store.Manifest]) -> None:
    parts: dict[int, Path] = {}
    total = None
    for path, manifest in zip(paths, manifests, strict=True):
        shard = manifest["data"].get("shard")
        if not shard:
            raise InputError(f"{path} is not a shard; runs made with --shard i/n can be merged")
        part, of = (int(number) for number in shard.split("/"))
        if total not in (None, of):
            raise InputError(f"{path} is one of {of} shards, the others of {total}")
        total = of
        if part in parts:
            raise InputError(f"{path} and {parts[part]} are both shard {shard}; give each once")
        parts[part] = path
        plain = {**manifest, "data": {**manifest["data"], "shard": None}}
        first = {**manifests[0], "data": {**manifests[0]["data"], "shard": None}}
        if differs := store.differing_fields(first, plain):
            raise NotComparableError(
                f"{path} asks something else than {paths[0]}: {'; '.join(differs[:5])}"
            )
    absent = sorted(set(range(1, (total or 0) + 1)) - parts.keys())
    if absent:
        raise InputError(f"shard {absent[0]}/{total} is missing; give all {total} shards")
