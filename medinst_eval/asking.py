"""Ask an engine everything that is not answered yet, and store each answer as it comes."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass

from medinst_eval import prompts, store
from medinst_eval.backends.base import Backend
from medinst_eval.config import RunConfig
from medinst_eval.errors import BackendError, InputError
from medinst_eval.observer import Clock, Observer
from medinst_eval.parsers import reasoning
from medinst_eval.tasks.card import TaskCard
from medinst_eval.types import Generation, Prediction, Prompt, Request, Sample


def ask(
    config: RunConfig,
    backend: Backend,
    folder: store.RunFolder,
    cards: Sequence[TaskCard],
    samples: Mapping[str, Sequence[Sample]],
    observer: Observer,
    clock: Clock,
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
    starter = _Starter(backend, clock)
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
        # By task, then shared demonstrations, then length: the prefix cache serves the shots.
        pending.sort(key=lambda s: (order[s.task], s.history, _length(built[s.id])))
        requests = to_requests(pending, built, limits)
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


def _length(prompt: Prompt) -> int:
    return len(prompt.token_ids or prompt.text or "")


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

    def __init__(self, backend: Backend, clock: Clock) -> None:
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._start, args=(backend, clock), daemon=True)
        self._thread.start()

    def _start(self, backend: Backend, clock: Clock) -> None:
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
