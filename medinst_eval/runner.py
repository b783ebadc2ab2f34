"""The pipeline: plan, generate, store, score."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from medinst_eval import backends, data, prompts, store, summary, tasks
from medinst_eval.backends.base import Backend
from medinst_eval.config import DEFAULT_DATA, RunConfig, default_run_name
from medinst_eval.errors import BackendError, InputError
from medinst_eval.manifest import build_manifest, now
from medinst_eval.parsers import reasoning
from medinst_eval.scoring import TaskRows, score_tasks
from medinst_eval.suites import suite_cards
from medinst_eval.tasks.card import TaskCard
from medinst_eval.types import Generation, Prediction, Prompt, Request, Sample


class Observer(Protocol):
    """Who watches a run: a progress bar, a log, a training loop."""

    def note(self, text: str) -> None:
        """Something a user should know; one line."""

    def stage(self, name: str) -> None:
        """A stage begins: `data`, `prompts`, `engine`, `generate`, `score`."""

    def begin(self, totals: Mapping[str, int], done: Mapping[str, int]) -> None:
        """Rows per task, and how many of them are already there."""

    def finished(self, prediction: Prediction) -> None:
        """One more sample is stored."""

    def scored(self, task: str) -> None:
        """One more task is scored."""


class Silent:
    """An observer that does nothing."""

    def note(self, text: str) -> None: ...
    def stage(self, name: str) -> None: ...
    def begin(self, totals: Mapping[str, int], done: Mapping[str, int]) -> None: ...
    def finished(self, prediction: Prediction) -> None: ...
    def scored(self, task: str) -> None: ...


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


@dataclass(kw_only=True)
class _Clock:
    """Seconds per stage, for `timing`."""

    seconds: dict[str, float] = field(default_factory=dict)

    def add(self, name: str, since: float) -> None:
        self.seconds[name] = self.seconds.get(name, 0.0) + time.perf_counter() - since


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
    clock = _Clock()
    observer.stage("data")
    started = time.perf_counter()
    suite = suite_cards(config.suite, config.task_files)
    cards, dataset = load_samples(config)
    for name in dataset.absent:
        observer.note(f"task {name} is absent from {dataset.source}; left out")
    samples = {task.card.name: _shard(task.samples, config.shard) for task in dataset.tasks}
    every = [sample for rows in samples.values() for sample in rows]
    if not every:
        raise InputError(f"no rows to ask in {dataset.source}; check --tasks, --limit and --shard")
    name, why = backends.choose() if config.backend == "auto" else (config.backend, "")
    if why:
        observer.note(f"backend {name}: {why}")
    backend = backends.create(name, config.engine(), every)
    clock.add("data_s", started)
    try:
        manifest = build_manifest(config, name, backend, dataset)
        folder = config.output / manifest["run"]
        with store.open_run(folder, manifest, fresh=config.fresh) as opened:
            for note in (*opened.notes, *_data_notes(dataset)):
                observer.note(note)
            _generate(config, backend, opened, cards, samples, observer, clock)
            backend.close()
            rows = task_rows(dataset, samples, opened.predictions)
            results = _score(config, rows, dataset, suite, opened, observer, clock)
    finally:
        backend.close()
    return RunOutcome(path=folder, results=results)


def load_samples(config: RunConfig) -> tuple[tuple[TaskCard, ...], data.Dataset]:
    """The cards that a run asks, and their rows (shards are cut later)."""
    cards = suite_cards(config.suite, config.task_files)
    if config.tasks:
        cards = tasks.select(cards, config.tasks)
    dataset = data.load(
        cards,
        source=config.data or DEFAULT_DATA,
        revision=config.revision,
        shots=config.shots,
        limit=config.limit,
        sample=config.sample,
        seed=config.seed,
        asked_by_name=config.tasks is not None,
        offline=config.offline,
    )
    return cards, dataset


def _shard(samples: Sequence[Sample], shard: tuple[int, int] | None) -> tuple[Sample, ...]:
    if shard is None:
        return tuple(samples)
    part, parts = shard
    return tuple(samples[part - 1 :: parts])


def _data_notes(dataset: data.Dataset) -> Iterable[str]:
    for task in dataset.tasks:
        for warning in task.warnings:
            yield f"{task.card.name}: {warning}"


# -- generate -----------------------------------------------------------------------------------


def _generate(
    config: RunConfig,
    backend: Backend,
    folder: store.RunFolder,
    cards: Sequence[TaskCard],
    samples: Mapping[str, Sequence[Sample]],
    observer: Observer,
    clock: _Clock,
) -> None:
    """Ask everything that is not answered yet, in one stream over all tasks."""
    limits = {card.name: config.max_tokens or card.max_tokens for card in cards}
    every = {sample.id: sample for rows in samples.values() for sample in rows}
    pending = [s for s in every.values() if _is_pending(folder.predictions.get(s.id), s, config)]
    waiting = {sample.id for sample in pending}
    observer.begin(
        {name: len(rows) for name, rows in samples.items()},
        {name: sum(s.id not in waiting for s in rows) for name, rows in samples.items()},
    )
    if not pending:
        return
    starter = _start_in_background(backend, clock)
    observer.stage("prompts")
    started = time.perf_counter()
    built = build_prompts(config, backend, pending, limits)
    clock.add("prompts_s", started)
    observer.stage("engine")
    starter.wait()
    observer.stage("generate")
    started = time.perf_counter()
    order = {card.name: position for position, card in enumerate(cards)}
    errors = _ErrorLimit.parse(config.max_errors, len(every))
    for attempt in range(config.retry_empty + 1):
        requests = sorted(to_requests(pending, built, limits), key=lambda r: _order(r, order))
        empty = []
        with closing(backend.generate(requests)) as generations:
            for generation in generations:
                sample = every[generation.id]
                prediction = to_prediction(generation, sample, built[generation.id])
                if _is_empty(prediction) and attempt < config.retry_empty:
                    empty.append(sample)
                    continue
                folder.append(prediction)
                observer.finished(prediction)
                errors.count(prediction)
        pending = empty
        if not pending:
            break
    clock.add("generate_s", started)


def _is_pending(known: Prediction | None, sample: Sample, config: RunConfig) -> bool:
    if known is None or known.key != sample.key:
        return True
    return config.retry_errors and known.error is not None


def _is_empty(prediction: Prediction) -> bool:
    return prediction.error is None and not prediction.output.strip()


def build_prompts(
    config: RunConfig, backend: Backend, samples: Sequence[Sample], limits: Mapping[str, int]
) -> dict[str, Prompt]:
    """Prompts by sample id, fitted to the model's context.

    Raises:
        InputError: The context leaves no room for a prompt.
    """
    window = backend.max_model_len
    rooms: list[int | None] = []
    for sample in samples:
        room = None if window is None else window - limits[sample.task]
        if room is not None and room < 1:
            raise InputError(
                f"a context of {window} tokens leaves no room for a prompt and "
                f"{limits[sample.task]} new tokens; lower --max-tokens or raise --max-model-len"
            )
        rooms.append(room)
    built = prompts.build(
        samples, options=config.prompts(), tokenizer=backend.tokenizer, max_prompt_tokens=rooms
    )
    return {sample.id: prompt for sample, prompt in zip(samples, built, strict=True)}


def to_requests(
    samples: Sequence[Sample], built: Mapping[str, Prompt], limits: Mapping[str, int]
) -> list[Request]:
    """Samples as requests, with the prompts built for them and their task's token limit."""
    return [
        Request(
            id=sample.id,
            task=sample.task,
            prompt=built[sample.id],
            max_tokens=limits[sample.task],
            choices=sample.choices,
        )
        for sample in samples
    ]


def _order(request: Request, order: Mapping[str, int]) -> tuple[int, str, int]:
    """By task, then shared demonstrations, then length: the prefix cache serves the shots."""
    shots = "\0".join(message.content for message in request.prompt.messages[:-1])
    length = len(request.prompt.token_ids or request.prompt.text or "")
    return order[request.task], shots, length


def to_prediction(generation: Generation, sample: Sample, prompt: Prompt) -> Prediction:
    """A finished generation as a line of `predictions.jsonl`, its reasoning split off."""
    output, thoughts = generation.output, generation.reasoning
    if generation.error is None and sample.choices == ():
        split = reasoning.split(output)
        output = split.answer
        if split.reasoning is not None:
            thoughts = split.reasoning if thoughts is None else f"{thoughts}\n{split.reasoning}"
    return Prediction(
        task=sample.task,
        id=sample.id,
        key=sample.key,
        prompt_sha=prompt.sha,
        output=output,
        reasoning=thoughts,
        finish_reason=generation.finish_reason,
        prompt_tokens=generation.prompt_tokens,
        output_tokens=generation.output_tokens,
        error=generation.error,
        choice_logprobs=generation.choice_logprobs,
        dropped_shots=prompt.dropped_shots,
        cut_tokens=prompt.cut_tokens,
    )


class _Starter:
    """Starts an engine while prompts are built; `wait` raises what the start raised."""

    def __init__(self, backend: Backend, clock: _Clock) -> None:
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._start, args=(backend, clock), daemon=True)
        self._thread.start()

    def _start(self, backend: Backend, clock: _Clock) -> None:
        started = time.perf_counter()
        try:
            backend.start()
        except BaseException as error:  # noqa: BLE001  Raised again by the thread that waits.
            self._error = error
        clock.add("load_s", started)

    def wait(self) -> None:
        self._thread.join()
        if self._error is not None:
            raise self._error


def _start_in_background(backend: Backend, clock: _Clock) -> _Starter:
    return _Starter(backend, clock)


@dataclass(kw_only=True)
class _ErrorLimit:
    """Stops a hopeless run."""

    most: float | None
    seen: int = 0

    @classmethod
    def parse(cls, text: str | None, total: int) -> _ErrorLimit:
        if text is None:
            return cls(most=None)
        share = text.endswith("%")
        return cls(most=float(text.rstrip("%")) * (total / 100 if share else 1))

    def count(self, prediction: Prediction) -> None:
        self.seen += prediction.error is not None
        if self.most is not None and self.seen > self.most:
            raise BackendError(
                f"{self.seen} requests failed, more than --max-errors allows; the last: "
                f"{prediction.error}; what was finished is kept: mend the cause, then run the same "
                "command with --retry-errors"
            )


# -- score --------------------------------------------------------------------------------------


def task_rows(
    dataset: data.Dataset,
    samples: Mapping[str, Sequence[Sample]],
    predictions: Mapping[str, Prediction],
) -> list[TaskRows]:
    """Every row of every task beside its prediction; one made for another row is not used."""
    rows = []
    for task in dataset.tasks:
        mine = samples[task.card.name]
        answers = [predictions.get(s.id) for s in mine]
        rows.append(
            TaskRows(
                card=task.card,
                samples=mine,
                predictions=[
                    p if p is not None and p.key == s.key else None
                    for p, s in zip(answers, mine, strict=True)
                ],
                warnings=task.warnings,
            )
        )
    return rows


def _score(
    config: RunConfig,
    rows: Sequence[TaskRows],
    dataset: data.Dataset,
    suite: Sequence[TaskCard],
    folder: store.RunFolder,
    observer: Observer,
    clock: _Clock,
) -> dict[str, Any]:
    observer.stage("score")
    started = time.perf_counter()
    scores = score_tasks(rows, config.scoring(), on_task=observer.scored)
    clock.add("score_s", started)
    kept = [p for task in rows for p in task.predictions if p is not None]
    timing = {
        **{name: round(seconds, 3) for name, seconds in clock.seconds.items()},
        "prompt_tokens": sum(p.prompt_tokens for p in kept),
        "output_tokens": sum(p.output_tokens for p in kept),
    }
    facts = summary.RunFacts(
        run=folder.manifest["run"],
        model=config.model,
        shots=config.shots,
        suite=config.suite,
        absent=dataset.absent,
        timing=timing,
    )
    results: dict[str, Any] = summary.results(facts, scores, suite)
    folder.write_manifest(ended=now())
    folder.write_scores(
        results=results, samples=summary.samples(scores), stats=summary.statistics(scores)
    )
    return results


__all__ = ["Observer", "RunOutcome", "Silent", "default_run_name", "run"]
