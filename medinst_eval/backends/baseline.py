"""Answers without a model: the gold answers, none, or the most frequent one.

They check the scale of every metric (`gold` is the best score there is, `empty` the worst) and
show what a score is worth (`majority` has learnt nothing but the distribution of the answers).
"""

from __future__ import annotations

import time
from collections import Counter, defaultdict
from collections.abc import Generator, Sequence
from typing import Any, Literal, get_args

from medinst_eval.backends.base import FLOOR_LOGPROB, BackendOptions
from medinst_eval.errors import BackendError, InputError, closest
from medinst_eval.types import Generation, Request, Sample

Answerer = Literal["gold", "empty", "majority"]
ANSWERERS: tuple[Answerer, ...] = get_args(Answerer)


class BaselineBackend:
    """Answers from the data, one request after another, always the same.

    `--engine-arg delay_ms=N` makes each request take so long: for measuring what is spent around
    the engine, and for testing what happens when a run is killed.
    """

    name = "baseline"

    def __init__(self, options: BackendOptions, samples: Sequence[Sample]) -> None:
        if options.model not in ANSWERERS:
            raise InputError(
                f"backend baseline has no model {options.model}"
                f"{closest(options.model, ANSWERERS)} (known: {', '.join(ANSWERERS)})"
            )
        self._model = options.model
        self._delay_s = _delay_s(options)
        self._golds = {sample.id: sample.gold for sample in samples}
        self._majority = majority(samples)

    @property
    def tokenizer(self) -> None:
        """None: nothing is tokenised."""
        return None

    @property
    def max_model_len(self) -> None:
        """None: no prompt is too long."""
        return None

    def start(self) -> None:
        """Nothing to load."""

    def generate(self, requests: Sequence[Request]) -> Generator[Generation, None, None]:
        """Answer in the order of the requests."""
        for request in requests:
            if self._delay_s:
                time.sleep(self._delay_s)
            yield self._answer(request)

    def _answer(self, request: Request) -> Generation:
        output = ""
        if self._model == "gold":
            if request.id not in self._golds:
                raise BackendError(f"backend baseline was not given the sample {request.id}")
            output = self._golds[request.id]
        elif self._model == "majority":
            output = self._majority[request.task]
        logprobs = None
        if request.choices and output:
            logprobs = tuple(0.0 if one == output else FLOOR_LOGPROB for one in request.choices)
        return Generation(id=request.id, output=output, choice_logprobs=logprobs)

    def describe(self) -> dict[str, Any]:
        """Its version is the package's."""
        arguments = {"delay_ms": self._delay_s * 1000} if self._delay_s else {}
        return {"name": self.name, "version": None, "arguments": arguments}

    def close(self) -> None:
        """Nothing to release."""


def majority(samples: Sequence[Sample]) -> dict[str, str]:
    """The most frequent gold answer of each task; of equally frequent ones the first."""
    counts: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for sample in samples:
        counts[sample.task][sample.gold] += 1
    # most_common keeps the order of first appearance among equals.
    return {task: golds.most_common(1)[0][0] for task, golds in counts.items()}


def _delay_s(options: BackendOptions) -> float:
    known = ("delay_ms",)
    for name in options.engine_args:
        if name not in known:
            raise InputError(
                f"--engine-arg {name} is unknown to backend baseline"
                f"{closest(name, known) or '; it knows delay_ms'}"
            )
    value = options.engine_args.get("delay_ms", 0)
    try:
        delay = float(value)
    except (TypeError, ValueError):
        delay = -1.0
    if not 0 <= delay <= 3_600_000:
        raise InputError(f"--engine-arg delay_ms={value}: give milliseconds, 0 or more")
    return delay / 1000


def create(options: BackendOptions, samples: Sequence[Sample]) -> BaselineBackend:
    """Make the backend from the run's samples."""
    return BaselineBackend(options, samples)
