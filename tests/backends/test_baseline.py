"""The `baseline` backend: gold, empty and majority answers."""

from __future__ import annotations

import time
from typing import Any

import pytest

from medinst_eval import backends
from medinst_eval.backends.base import FLOOR_LOGPROB, BackendOptions
from medinst_eval.backends.baseline import majority
from medinst_eval.errors import BackendError, InputError
from medinst_eval.types import Generation, Prompt, Request, Sample

GOLDS = {"T": ("yes", "no", "no", "yes", "maybe"), "U": ("", "[x gene]", "")}
SAMPLES = tuple(
    Sample(task=task, id=f"{task}/{row}", key="k", instruction="i", input="x", gold=gold)
    for task, golds in GOLDS.items()
    for row, gold in enumerate(golds)
)


def requests(choices: tuple[str, ...] = ()) -> list[Request]:
    prompt = Prompt(messages=(), sha="s")
    return [
        Request(id=one.id, task=one.task, prompt=prompt, max_tokens=4, choices=choices)
        for one in SAMPLES
    ]


def answers(model: str, choices: tuple[str, ...] = (), **args: Any) -> list[Generation]:
    backend = backends.create("baseline", BackendOptions(model=model, engine_args=args), SAMPLES)
    backend.start()
    found = list(backend.generate(requests(choices)))
    backend.close()
    backend.close()
    assert [one.id for one in found] == [one.id for one in SAMPLES]
    assert all(one.error is None and one.finish_reason == "stop" for one in found)
    return found


@pytest.mark.parametrize(
    ("model", "outputs"),
    [
        ("gold", ["yes", "no", "no", "yes", "maybe", "", "[x gene]", ""]),
        ("empty", [""] * 8),
        ("majority", ["yes"] * 5 + [""] * 3),  # yes and no are equally frequent: the first
    ],
)
def test_outputs(model: str, outputs: list[str]) -> None:
    assert [one.output for one in answers(model)] == outputs
    assert answers(model) == answers(model)


def test_majority_of_no_samples() -> None:
    assert majority(()) == {}


@pytest.mark.parametrize(
    ("model", "row", "logprobs"),
    [
        ("gold", 1, (FLOOR_LOGPROB, 0.0)),
        ("gold", 4, (FLOOR_LOGPROB, FLOOR_LOGPROB)),  # the gold is none of the choices
        ("majority", 1, (0.0, FLOOR_LOGPROB)),
        ("empty", 1, None),
    ],
)
def test_choices(model: str, row: int, logprobs: tuple[float, ...] | None) -> None:
    assert answers(model, ("yes", "no"))[row].choice_logprobs == logprobs


@pytest.mark.parametrize(
    ("model", "args", "words"),
    [
        ("glod", {}, ["glod", "did you mean 'gold'?", "majority"]),
        ("meta-llama/Llama-3", {}, ["gold, empty, majority"]),
        ("gold", {"delay": 3}, ["--engine-arg delay ", "did you mean 'delay_ms'?"]),
        ("gold", {"delay_ms": "soon"}, ["delay_ms=soon", "milliseconds"]),
        ("gold", {"delay_ms": -1}, ["delay_ms=-1"]),
        ("gold", {"delay_ms": float("nan")}, ["delay_ms=nan"]),
    ],
)
def test_wrong_use_says_what_would_be_right(
    model: str, args: dict[str, Any], words: list[str]
) -> None:
    with pytest.raises(InputError) as caught:
        backends.create("baseline", BackendOptions(model=model, engine_args=args), SAMPLES)
    assert all(word in str(caught.value) for word in words), str(caught.value)


def test_a_sample_that_is_not_in_the_data() -> None:
    backend = backends.create("baseline", BackendOptions(model="gold"), SAMPLES[:1])
    with pytest.raises(BackendError, match="T/1"):
        list(backend.generate(requests()))


def test_each_request_takes_the_delay_and_comes_when_it_is_done() -> None:
    options = BackendOptions(model="gold", engine_args={"delay_ms": 20})
    backend = backends.create("baseline", options, SAMPLES)
    assert backend.describe()["arguments"] == {"delay_ms": 20.0}
    start = time.perf_counter()
    stream = backend.generate(requests())
    next(stream)
    assert time.perf_counter() - start >= 0.02
    assert len(list(stream)) == 7
    assert time.perf_counter() - start >= 8 * 0.02
    assert not answers("gold")[0].prompt_tokens
