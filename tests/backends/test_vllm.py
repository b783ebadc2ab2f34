"""The vLLM backend: its arguments without an engine, and one real engine for most of the rest."""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from medinst_eval.backends import vllm_settings as settings
from medinst_eval.backends.base import BackendOptions, Sampling
from medinst_eval.backends.guard import engine_processes
from medinst_eval.backends.transformers import TransformersBackend
from medinst_eval.backends.vllm import VllmBackend
from medinst_eval.backends.vllm_settings import engine_arguments
from medinst_eval.errors import BackendError, InputError
from medinst_eval.types import Generation, Request

MakeRequests = Any
KNOWN = ("enforce_eager", "max_num_seqs", "kv_cache_memory_bytes", "use_tqdm_on_load")
needs_vllm = pytest.mark.skipif(
    importlib.util.find_spec("vllm") is None, reason="vLLM is not installed"
)


def arguments(options: Mapping[str, Any], *, cpu: bool = False) -> dict[str, Any]:
    return engine_arguments(BackendOptions(model="m", **options), known=KNOWN, cpu=cpu)


def test_arguments_by_default() -> None:
    assert arguments({}) == {
        "model": "m",
        "revision": None,
        "tokenizer_revision": None,
        "trust_remote_code": False,
        "tensor_parallel_size": 1,
        "data_parallel_size": 1,
        "dtype": "auto",
        "max_model_len": None,
        "quantization": None,
        "seed": 0,
        "enable_prefix_caching": True,
        "disable_log_stats": True,
        "load_format": "safetensors",
        "use_tqdm_on_load": False,
    }


@pytest.mark.parametrize(
    ("options", "cpu", "expected"),
    [
        ({}, True, {"dtype": settings.cpu_dtype(), "enforce_eager": True}),
        ({"dtype": "bfloat16"}, True, {"dtype": "bfloat16"}),
        ({"dtype": "float32"}, True, {"dtype": "float32"}),
        ({"engine_args": {"enforce_eager": False}}, True, {"enforce_eager": False}),
        ({"allow_pickle": True}, False, {"load_format": "auto"}),
        ({"gpu_memory_utilization": 0.7}, False, {"gpu_memory_utilization": 0.7}),
        ({"speculate": True}, False, {"speculative_config": settings.SPECULATION}),
        ({"sampling": Sampling(seed=7)}, False, {"seed": 7}),
        ({"tensor_parallel_size": 4, "data_parallel_size": 2}, False,
         {"tensor_parallel_size": 4, "data_parallel_size": 2}),
        ({"lora": "someone/adapter"}, False, {"enable_lora": True, "max_lora_rank": 64}),
        ({"deterministic": True}, True, {"max_num_seqs": 1, "enable_prefix_caching": False}),
        ({"deterministic": True}, False, {"enable_prefix_caching": True}),
    ],
)  # fmt: skip
def test_arguments_follow_options(
    options: dict[str, Any], cpu: bool, expected: dict[str, Any]
) -> None:
    made = arguments(options, cpu=cpu)
    assert {name: made[name] for name in expected} == expected


def test_rank_of_an_adapter_is_rounded_up(tmp_path: Path) -> None:
    (tmp_path / "adapter_config.json").write_text('{"r": 24}')
    assert arguments({"lora": str(tmp_path)})["max_lora_rank"] == 32


def test_an_unknown_engine_argument_is_refused() -> None:
    with pytest.raises(InputError, match="did you mean 'max_num_seqs'"):
        arguments({"engine_args": {"max_num_seq": 3}})


@pytest.mark.parametrize("name", ["model", "trust_remote_code", "hf_token"])
def test_reserved_engine_arguments_are_refused(name: str) -> None:
    with pytest.raises(InputError, match=f"--engine-arg {name}"):
        VllmBackend(BackendOptions(model="m", engine_args={name: "x"}))


def test_options_of_other_backends_are_refused() -> None:
    with pytest.raises(InputError, match="--base-urls"):
        VllmBackend(BackendOptions(model="m", base_urls=("http://127.0.0.1",)))


def test_variables_respect_what_the_user_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VLLM_LOGGING_LEVEL", "DEBUG")
    monkeypatch.setenv("VLLM_CPU_KVCACHE_SPACE", "3")
    monkeypatch.delenv("VLLM_NO_USAGE_STATS", raising=False)
    assert "VLLM_LOGGING_LEVEL" not in settings.quiet()
    assert settings.quiet()["VLLM_NO_USAGE_STATS"] == "1"
    assert settings.cpu_variables({}) == {}
    monkeypatch.delenv("VLLM_CPU_KVCACHE_SPACE")
    assert 1 <= int(settings.cpu_variables({})["VLLM_CPU_KVCACHE_SPACE"]) <= 4
    assert settings.cpu_variables({"kv_cache_memory_bytes": 1}) == {}


def test_the_environment_is_put_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MEDINST_A", "old")
    monkeypatch.delenv("MEDINST_B", raising=False)
    with settings.environment({"MEDINST_A": "new", "MEDINST_B": "new"}):
        assert os.environ["MEDINST_A"] == os.environ["MEDINST_B"] == "new"
    assert os.environ["MEDINST_A"] == "old"
    assert "MEDINST_B" not in os.environ


def test_closing_before_the_start_is_safe() -> None:
    made = VllmBackend(BackendOptions(model="m"))
    made.close()
    made.close()


@needs_vllm
def test_pickles_are_refused_before_vllm_is_imported(tiny_model: Path, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_bytes((tiny_model / "config.json").read_bytes())
    (tmp_path / "pytorch_model.bin").touch()
    with pytest.raises(InputError, match="--allow-pickle"):
        VllmBackend(BackendOptions(model=str(tmp_path))).start()


# -- one real engine ----------------------------------------------------------------------------

SETTINGS = {"kv_cache_memory_bytes": 2**28, "block_size": 32}


@pytest.fixture(scope="module")
def backend(tiny_model: Path) -> Iterator[VllmBackend]:
    if importlib.util.find_spec("vllm") is None:
        pytest.skip("vLLM is not installed")
    made = VllmBackend(BackendOptions(model=str(tiny_model), dtype="float32", engine_args=SETTINGS))
    made.start()
    yield made
    made.close()
    assert not engine_processes()


def answers(made: Any, requests: list[Request]) -> dict[str, Generation]:
    return {one.id: one for one in made.generate(requests)}


@pytest.mark.vllm
def test_greedy_outputs_equal_those_of_transformers(
    backend: VllmBackend, tiny_model: Path, make_requests: MakeRequests
) -> None:
    reference = TransformersBackend(BackendOptions(model=str(tiny_model)))
    for limits in (40, [1, 3, 5, 2, 4, 6, 7, 8]):
        requests = make_requests(max_tokens=limits)
        assert answers(backend, requests) == answers(reference, requests)


@pytest.mark.vllm
def test_choices_equal_those_of_transformers(
    backend: VllmBackend, tiny_model: Path, make_requests: MakeRequests
) -> None:
    reference = TransformersBackend(BackendOptions(model=str(tiny_model)))
    for choices in (("A", "B", "C", "D"), ("yes", "maybe not", "A")):
        requests = make_requests(choices=choices)
        found, expected = answers(backend, requests), answers(reference, requests)
        assert set(found) == set(expected)
        for name, one in found.items():
            assert one.output == expected[name].output
            assert one.choice_logprobs == pytest.approx(expected[name].choice_logprobs, abs=2e-3)


@pytest.mark.vllm
def test_many_requests_come_back_once_each_whatever_their_order(
    backend: VllmBackend, make_requests: MakeRequests
) -> None:
    requests = make_requests([f"p53 {row}" for row in range(1200)], max_tokens=3)
    found = list(backend.generate(requests))
    assert sorted(one.id for one in found) == sorted(one.id for one in requests)
    assert all(one.error is None for one in found)
    again = answers(backend, requests[::-7])
    first = {one.id: one for one in found}
    assert again == {name: first[name] for name in again}


@pytest.mark.vllm
def test_shared_prefixes_come_from_the_cache(
    backend: VllmBackend, make_requests: MakeRequests
) -> None:
    shots = "Metformin lowers glucose. " * 20
    requests = make_requests([f"{shots} {row}" for row in range(40)], max_tokens=2)
    usage = backend.usage
    cached, asked = usage.cached_tokens, usage.prompt_tokens
    list(backend.generate(requests))
    assert (usage.cached_tokens - cached) / (usage.prompt_tokens - asked) > 0.5


@pytest.mark.vllm
def test_a_refused_request_is_an_error_row_and_the_engine_lives(
    backend: VllmBackend, make_requests: MakeRequests
) -> None:
    found = answers(backend, make_requests(["p53", "p53 " * 1200, "fever"]))
    assert "refused" in str(found["T/1"].error)
    assert found["T/1"].finish_reason == "error"
    assert found["T/0"].error is None
    assert found["T/2"].error is None


@pytest.mark.vllm
def test_leaving_early_cancels_the_rest(backend: VllmBackend, make_requests: MakeRequests) -> None:
    requests = make_requests(["p53"] * 300, max_tokens=1)
    stream = backend.generate(requests)
    next(stream)
    stream.close()
    assert len(answers(backend, make_requests())) == 8


@pytest.mark.vllm
def test_drawn_outputs_depend_on_the_request_alone(
    backend: VllmBackend, make_requests: MakeRequests
) -> None:
    from dataclasses import replace

    warm = replace(backend.options, sampling=Sampling(temperature=2.0, seed=1))
    cold, backend.options = backend.options, warm
    try:
        first = answers(backend, make_requests(["p53"] * 6))
        assert len({one.output for one in first.values()}) > 3
        assert answers(backend, make_requests(["p53"] * 6)[::-1]) == first
    finally:
        backend.options = cold


@pytest.mark.vllm
def test_context_length_is_vllms_own(backend: VllmBackend) -> None:
    described = backend.describe()
    assert described["engine"]["max_model_len"] == backend.max_model_len == 1024
    assert described["engine"]["dtype"] == "float32"
    import vllm

    assert described["version"] == vllm.__version__


@pytest.mark.vllm
def test_speculation_is_lossless_and_a_killed_engine_ends_the_run_within_seconds(
    tiny_model: Path, make_requests: MakeRequests, backend: VllmBackend
) -> None:
    # the other engine stays up meanwhile, and must stay up
    options = BackendOptions(
        model=str(tiny_model),
        dtype="float32",
        speculate=True,
        engine_args={**SETTINGS, "max_num_seqs": 2},
    )
    expected = answers(backend, make_requests())
    made = VllmBackend(options)
    before = set(engine_processes())
    made.start()
    (victim,) = set(engine_processes()) - before
    assert answers(made, make_requests()) == expected
    stream = made.generate(make_requests(["p53"] * 3000, max_tokens=200))
    done = [next(stream)]
    started = time.monotonic()
    os.kill(victim, signal.SIGKILL)
    with pytest.raises(BackendError, match="run the same command again"):
        done += stream
    assert time.monotonic() - started < 20
    assert all(one.error is None for one in done)
    made.close()
    assert set(engine_processes()) == before
    assert answers(backend, make_requests()) == expected


@pytest.mark.vllm
@pytest.mark.slow
def test_a_killed_run_leaves_no_engine_behind(tiny_model: Path, tmp_path: Path) -> None:
    script = tmp_path / "run.py"
    script.write_text(
        "import sys, time\n"
        "from medinst_eval.backends.base import BackendOptions\n"
        "from medinst_eval.backends.guard import engine_processes\n"
        "from medinst_eval.backends.vllm import VllmBackend\n"
        "if __name__ == '__main__':\n"
        f"    options = BackendOptions(model={str(tiny_model)!r}, engine_args={SETTINGS!r})\n"
        "    made = VllmBackend(options)\n"
        "    made.start()\n"
        "    print(*engine_processes(), flush=True)\n"
        "    time.sleep(100)\n"
    )
    with subprocess.Popen(
        [sys.executable, str(script)], stdout=subprocess.PIPE, text=True
    ) as owner:
        assert owner.stdout is not None
        line = ""
        while not line.strip().isdigit():
            line = owner.stdout.readline()
            assert line, "the run ended before its engine was up"
        owner.kill()
    victim = int(line)
    deadline = time.monotonic() + 15
    while Path(f"/proc/{victim}").exists():
        assert time.monotonic() < deadline
        time.sleep(0.2)


@pytest.mark.vllm
@pytest.mark.slow
def test_two_engines_share_the_requests(tiny_model: Path, make_requests: MakeRequests) -> None:
    made = VllmBackend(
        BackendOptions(
            model=str(tiny_model), dtype="float32", data_parallel_size=2, engine_args=SETTINGS
        )
    )
    reference = TransformersBackend(BackendOptions(model=str(tiny_model)))
    before = set(engine_processes())
    try:
        assert answers(made, make_requests()) == answers(reference, make_requests())
        requests = make_requests([f"p53 {row}" for row in range(600)], max_tokens=3)
        assert len(answers(made, requests)) == 600
    finally:
        made.close()
    assert set(engine_processes()) == before


@pytest.mark.vllm
@pytest.mark.slow
def test_an_adapter_acts_as_if_merged_into_the_weights(
    tiny_model: Path, make_requests: MakeRequests, tmp_path: Path
) -> None:
    merged, adapter = _adapter(tiny_model, tmp_path)
    made = VllmBackend(
        BackendOptions(
            model=str(tiny_model), dtype="float32", lora=str(adapter), engine_args=SETTINGS
        )
    )
    try:
        found = answers(made, make_requests(max_tokens=12))
    finally:
        made.close()
    assert found == answers(
        TransformersBackend(BackendOptions(model=str(merged))), make_requests(max_tokens=12)
    )
    plain = TransformersBackend(BackendOptions(model=str(tiny_model)))
    assert found != answers(plain, make_requests(max_tokens=12))


def _adapter(model: Path, folder: Path) -> tuple[Path, Path]:
    """A LoRA adapter of rank 8 on all query projections, and the model with it merged in."""
    import torch
    from safetensors.torch import load_file, save_file

    merged, adapter = folder / "merged", folder / "adapter"
    shutil.copytree(model, merged)
    adapter.mkdir()
    weights = load_file(model / "model.safetensors")
    torch.manual_seed(5)
    parts = {}
    for name, weight in list(weights.items()):
        if not name.endswith("q_proj.weight"):
            continue
        down = torch.randn(8, weight.shape[1]) * 0.2
        up = torch.randn(weight.shape[0], 8) * 0.2
        weights[name] = weight + up @ down
        stem = "base_model.model." + name.removesuffix(".weight")
        parts[f"{stem}.lora_A.weight"] = down
        parts[f"{stem}.lora_B.weight"] = up
    save_file(weights, merged / "model.safetensors", metadata={"format": "pt"})
    save_file(parts, adapter / "adapter_model.safetensors", metadata={"format": "pt"})
    config = {
        "peft_type": "LORA", "task_type": "CAUSAL_LM", "r": 8, "lora_alpha": 8, "bias": "none",
        "target_modules": ["q_proj"], "base_model_name_or_path": str(model),
    }  # fmt: skip
    (adapter / "adapter_config.json").write_text(json.dumps(config))
    return merged, adapter
