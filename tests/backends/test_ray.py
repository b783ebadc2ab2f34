"""The Ray backend: its parts without Ray, and real local clusters whose nodes come and go."""

from __future__ import annotations

import contextlib
import dataclasses
import importlib.util
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import medinst_eval
from medinst_eval import backends, store
from medinst_eval.backends.base import BackendOptions
from medinst_eval.backends.ray import RayBackend, feeding
from medinst_eval.backends.ray_replica import (
    pack_generation,
    pack_request,
    unpack_generation,
    unpack_request,
)
from medinst_eval.backends.transformers import TransformersBackend
from medinst_eval.config import RunConfig
from medinst_eval.errors import BackendError, InputError
from medinst_eval.runner import RunOutcome
from medinst_eval.types import Generation, Message, Prompt, Request, Sample

TEXT = st.text(st.characters(exclude_categories=()))


@given(
    text=TEXT,
    tokens=st.none() | st.lists(st.integers(0, 2**31)).map(tuple),
    choices=st.lists(TEXT, max_size=4).map(tuple),
)
def test_a_request_comes_out_as_it_went_in(
    text: str, tokens: tuple[int, ...] | None, choices: tuple[str, ...]
) -> None:
    prompt = Prompt(
        messages=(Message(role="user", content=text),),
        text=None if tokens is None else text,
        token_ids=tokens,
        sha="s",
        shots=2,
        dropped_shots=1,
        cut_tokens=3,
    )
    request = Request(id=f"T/{text}", task="T", prompt=prompt, max_tokens=7, choices=choices)
    assert unpack_request(pack_request(request)) == request


@given(text=TEXT, logprobs=st.none() | st.lists(st.floats(allow_nan=False)).map(tuple))
def test_a_generation_comes_out_as_it_went_in(
    text: str, logprobs: tuple[float, ...] | None
) -> None:
    generation = Generation(
        id="T/1", output=text, reasoning=text, prompt_tokens=3, choice_logprobs=logprobs
    )
    assert unpack_generation(pack_generation(generation)) == generation


@pytest.mark.parametrize(
    ("inner", "requests", "replicas", "block", "calls"),
    [
        ("vllm", 15_000, 4, 16, 32),
        ("vllm", 100, 4, 4, 128),
        ("transformers", 15_000, 4, 64, 1),
        ("transformers", 40, 4, 2, 1),
        ("baseline", 10, 4, 1, 1),
        ("baseline", 10_000, 4, 16, 1),
    ],
)
def test_blocks_are_small_and_fill_the_engine(
    inner: str, requests: int, replicas: int, block: int, calls: int
) -> None:
    plan = feeding(inner, BackendOptions(model="m"))
    assert plan.block(requests, replicas) == block
    assert plan.calls(block) == calls


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"inner": "baseline"}, "--ray ADDRESS"),
        ({"inner": "openai", "ray_address": "local"}, "repeat --base-url"),
        ({"inner": "ray", "ray_address": "local"}, "--backend vllm"),
        ({"inner": "baseline", "ray_address": "local", "replicas": 0}, "--replicas"),
        ({"inner": "baseline", "ray_address": "local", "batch_tokens": 3}, None),
    ],
)
def test_wrong_use_is_refused_before_a_cluster_is_asked(
    options: dict[str, Any], words: str | None
) -> None:
    if words is None:
        assert RayBackend(BackendOptions(model="gold", **options)).name == "ray"
        return
    with pytest.raises(InputError, match=words):
        backends.create("ray", BackendOptions(model="gold", **options), ())


def test_replicas_without_a_cluster_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="--replicas needs --ray"):
        medinst_eval.evaluate(
            "gold", backend="baseline", data="demo", output=tmp_path,
            backend_options={"replicas": 2},
        )  # fmt: skip


def test_a_run_tells_ray_its_inner_backend() -> None:
    config = RunConfig(model="gold", backend="baseline", backend_options={"ray_address": "local"})
    assert config.engine().inner == "baseline"


# -- real clusters ------------------------------------------------------------------------------

SAMPLES = tuple(
    Sample(task="T", id=f"T/{n}", key="k", instruction="i", input="x", gold=f"gold {n}")
    for n in range(240)
)
REQUESTS = [
    Request(
        id=s.id,
        task=s.task,
        prompt=Prompt(messages=(Message(role="user", content=s.input),), sha="s"),
        max_tokens=4,
    )
    for s in SAMPLES
]


def baseline(address: str, delay_ms: float, replicas: int = 2) -> RayBackend:
    options = BackendOptions(
        model="gold",
        inner="baseline",
        ray_address=address,
        replicas=replicas,
        engine_args={"delay_ms": delay_ms},
    )
    return RayBackend(options, SAMPLES)


def assert_all_answered_once(answers: list[Generation]) -> None:
    assert len(answers) == len(SAMPLES)
    assert {one.id: one.output for one in answers} == {s.id: s.gold for s in SAMPLES}
    assert all(one.error is None for one in answers)


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    """A head without room for replicas and two nodes with room for one each."""
    pytest.importorskip("ray")
    from ray.cluster_utils import Cluster

    with pytest.MonkeyPatch.context() as environment:
        # Two engines of the CPU build on one machine must not bind to the same cores.
        environment.setenv("VLLM_CPU_OMP_THREADS_BIND", "nobind")
        made = Cluster(initialize_head=True, head_node_args={"num_cpus": 0})
        made.add_node(num_cpus=1)
        made.add_node(num_cpus=1)
        yield made
        made.shutdown()


@pytest.mark.ray
@pytest.mark.slow
def test_two_nodes_answer_as_one_engine_does(cluster: Any) -> None:
    with contextlib.closing(baseline(cluster.address, 5)) as backend:
        backend.start()
        answers = list(backend.generate(REQUESTS))
        assert_all_answered_once(answers)
        assert len(backend.answered) == 2
        assert min(backend.answered.values()) > len(SAMPLES) // 5
        assert backend.asked_again == 0
        assert backend.describe()["engine"]["nodes"] == 2
    import ray

    assert not ray.is_initialized()


@pytest.mark.ray
@pytest.mark.slow
def test_a_killed_node_loses_nothing(cluster: Any) -> None:
    """Its unfinished requests are asked again, though there is no room for its replica."""
    dying = next(n for n in cluster.list_all_nodes() if n is not cluster.head_node)
    try:
        with contextlib.closing(baseline(cluster.address, 100)) as backend:
            answers = []
            killed_at = None
            for answer in backend.generate(REQUESTS):
                answers.append(answer)
                if killed_at is None and len(backend.answered) == 2:
                    killed_at = len(answers)
                    cluster.remove_node(dying, allow_graceful=False)
            assert killed_at is not None
            assert killed_at < len(SAMPLES) * 3 // 4
            assert_all_answered_once(answers)
            assert 0 < backend.asked_again < len(SAMPLES) - killed_at
    finally:
        cluster.add_node(num_cpus=1)


@pytest.mark.ray
@pytest.mark.slow
def test_a_node_that_joins_is_used(cluster: Any) -> None:
    before = {node.node_id for node in cluster.list_all_nodes()}
    with contextlib.closing(baseline(cluster.address, 200, replicas=3)) as backend:
        answers = []
        for answer in backend.generate(REQUESTS):
            if not answers:
                cluster.add_node(num_cpus=1)
            answers.append(answer)
        assert_all_answered_once(answers)
        assert backend.answered.keys() - before, "the new node answered nothing"
        assert backend.asked_again == 0
    new = next(n for n in cluster.list_all_nodes() if n.node_id not in before)
    cluster.remove_node(new)


@pytest.mark.ray
@pytest.mark.slow
def test_an_engine_that_fails_ends_the_run_with_its_own_words(cluster: Any) -> None:
    unknown = [dataclasses.replace(REQUESTS[0], id="T/unknown")]
    with (
        contextlib.closing(baseline(cluster.address, 0)) as backend,
        pytest.raises(BackendError, match=r"baseline failed on Ray node .*T/unknown"),
    ):
        list(backend.generate([*REQUESTS[:10], *unknown]))


@pytest.mark.ray
@pytest.mark.slow
def test_a_run_on_a_cluster_scores_as_one_without(cluster: Any, tmp_path: Path) -> None:
    """A real model on two replicas: the same outputs, and the same model to the manifest."""
    pytest.importorskip("transformers")
    from medinst_eval.demo import model_folder

    def run(name: str, **options: Any) -> RunOutcome:
        return medinst_eval.evaluate(
            str(model_folder("final")), backend="transformers", data="demo", tasks="BC5CDR,SciFact",
            limit=4, max_tokens=24, resamples=20, output=tmp_path, run_name=name,
            backend_options={"dtype": "float32", **options},
        )  # fmt: skip

    plain = run("plain")
    shared = run("shared", ray_address=cluster.address, replicas=2)
    assert shared.errors == 0
    assert shared.results["tasks"] == plain.results["tasks"]
    one, two = (store.read_run(r.path).manifest for r in (plain, shared))
    assert one["model"] == two["model"]
    assert two["backend"]["name"] == "ray"
    assert two["backend"]["arguments"]["inner"] == "transformers"
    assert two["backend"]["engine"]["dtype"] == "float32"


@pytest.mark.ray
@pytest.mark.vllm
@pytest.mark.slow
def test_two_vllm_engines_on_two_nodes(cluster: Any, tiny_model: Path, make_requests: Any) -> None:
    if importlib.util.find_spec("vllm") is None:
        pytest.skip("vLLM is not installed")
    # More than the engine that is up first is given at once, and slowly enough for the other one.
    requests = make_requests([f"p53 {number}" for number in range(2400)], max_tokens=8)
    options = BackendOptions(
        model=str(tiny_model),
        dtype="float32",
        inner="vllm",
        ray_address=cluster.address,
        replicas=2,
        engine_args={"kv_cache_memory_bytes": 2**28, "block_size": 32, "max_num_seqs": 8},
    )
    with contextlib.closing(RayBackend(options)) as backend:
        answers = list(backend.generate(requests))
        assert len(backend.answered) == 2
        assert backend.asked_again == 0
        assert backend.describe()["engine"]["dtype"] == "float32"
    with contextlib.closing(TransformersBackend(BackendOptions(model=str(tiny_model)))) as one:
        expected = {answer.id: answer for answer in one.generate(requests)}
    assert len(answers) == len(requests)
    assert {answer.id: answer for answer in answers} == expected


@pytest.mark.ray
@pytest.mark.slow
def test_a_cluster_that_is_not_there_is_named() -> None:
    pytest.importorskip("ray")
    with (
        contextlib.closing(baseline("127.0.0.1:1", 0)) as backend,
        pytest.raises(BackendError, match=r"127\.0\.0\.1:1.*ray start --head"),
    ):
        backend.start()
