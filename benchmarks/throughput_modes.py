"""One way of answering the prepared requests, in a process of its own: see throughput.py.

python benchmarks/throughput_modes.py MODE MODEL REQUESTS.jsonl [KEY=VALUE ...]
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml
from serving import served

from medinst_eval import backends
from medinst_eval.backends.base import BackendOptions, Sampling
from medinst_eval.types import Message, Prompt, Request


def main(mode: str, model: str, path: str, *settings: str) -> None:
    """Run one mode and print its figures as JSON."""
    rows = [json.loads(line) for line in Path(path).read_text().splitlines()]
    requests = [_request(row) for row in rows]
    engine_args = dict(pair.split("=", 1) for pair in settings)
    arguments = {name: yaml.safe_load(value) for name, value in engine_args.items()}
    if mode == "llm":
        result = _llm(model, requests, arguments)
    elif mode == "serve":
        result = _serve(model, requests, arguments)
    else:
        result = _backend(mode, model, requests, arguments)
    print("RESULT " + json.dumps(result), flush=True)


def _request(row: dict[str, Any]) -> Request:
    messages = tuple(Message(role=role, content=content) for role, content in row["messages"])
    prompt = Prompt(messages=messages, text=row["text"], token_ids=tuple(row["ids"]), sha=row["id"])
    return Request(id=row["id"], task=row["task"], prompt=prompt, max_tokens=row["limit"])


def _options(model: str, engine_args: dict[str, Any], **more: Any) -> BackendOptions:
    sampling = Sampling(ignore_eos=True)
    return BackendOptions(model=model, sampling=sampling, engine_args=engine_args, **more)


def _llm(model: str, requests: Sequence[Request], engine_args: dict[str, Any]) -> dict[str, Any]:
    import dataclasses

    from medinst_eval.backends import vllm_settings

    with vllm_settings.environment(vllm_settings.quiet()):
        from vllm import LLM, SamplingParams, TokensPrompt
        from vllm.engine.arg_utils import EngineArgs
        from vllm.platforms import current_platform

        known = [field.name for field in dataclasses.fields(EngineArgs)]
        arguments = vllm_settings.engine_arguments(
            _options(model, engine_args), known=known, cpu=bool(current_platform.is_cpu())
        )
        started = time.perf_counter()
        engine = LLM(**arguments)
    start_s = time.perf_counter() - started
    prompts = [TokensPrompt(prompt_token_ids=list(r.prompt.token_ids or ())) for r in requests]
    params = [
        SamplingParams(temperature=0.0, max_tokens=r.max_tokens, ignore_eos=True) for r in requests
    ]
    clock = _Clock()
    outputs = engine.generate(prompts, params, use_tqdm=False)
    spent = clock.spent()
    asked = sum(len(request.prompt.token_ids or ()) for request in requests)
    return spent | {
        "start_s": start_s,
        "prompts": len(outputs),
        "output_tokens": sum(len(output.outputs[0].token_ids) for output in outputs),
        "cached_share": sum(output.num_cached_tokens or 0 for output in outputs) / asked,
    }


def _backend(
    mode: str, model: str, requests: list[Request], engine_args: dict[str, Any]
) -> dict[str, Any]:
    name, more = "vllm", {}
    if mode == "transformers":
        name, engine_args = "transformers", {}
        requests = requests[::10]
    elif mode == "shuffled":
        random.Random(0).shuffle(requests)
    elif mode == "speculate":
        more["speculate"] = True
    return _timed(backends.create(name, _options(model, engine_args, **more), ()), requests)


def _timed(backend: Any, requests: Sequence[Request]) -> dict[str, Any]:
    started = time.perf_counter()
    backend.start()
    start_s = time.perf_counter() - started
    _ = backend.tokenizer
    clock = _Clock()
    generations = list(backend.generate(requests))
    spent = clock.spent()
    usage = getattr(backend, "usage", None)
    backend.close()
    failed = [one.error for one in generations if one.error is not None]
    if failed:
        raise SystemExit(f"{len(failed)} requests failed: {failed[0]}")
    return spent | {
        "start_s": start_s,
        "prompts": len(generations),
        "output_tokens": sum(one.output_tokens for one in generations),
        "cached_share": usage.cached_tokens / usage.prompt_tokens if usage else None,
    }


class _Clock:
    """Time since it was made: on the wall, and of processors here and in all child processes."""

    def __init__(self) -> None:
        self.wall, self.own, self.children = time.perf_counter(), time.process_time(), _children()

    def spent(self) -> dict[str, float]:
        return {
            "generate_s": time.perf_counter() - self.wall,
            "own_cpu_s": time.process_time() - self.own,
            "engine_cpu_s": _children() - self.children,
        }


def _children(pid: int | None = None) -> float:
    """Processor seconds of all living processes that descend from this one."""
    total = 0.0
    for listed in Path(f"/proc/{pid or os.getpid()}/task").glob("*/children"):
        with contextlib.suppress(OSError):
            for child in map(int, listed.read_text().split()):
                fields = Path(f"/proc/{child}/stat").read_text().rsplit(")", 1)[1].split()
                total += (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
                total += _children(child)
    return total


def _serve(model: str, requests: Sequence[Request], engine_args: dict[str, Any]) -> dict[str, Any]:
    from vllm.platforms import current_platform

    from medinst_eval.backends import vllm_settings

    # The number type that the other ways use.
    dtype = {"dtype": vllm_settings.cpu_dtype()} if current_platform.is_cpu() else {}
    started = time.perf_counter()
    with served(model, {"max_num_seqs": 256} | dtype | engine_args) as url:
        start_s = time.perf_counter() - started
        options = BackendOptions(
            model="served",
            base_urls=(url,),
            concurrency=512,
            engine_args={"extra_body": {"ignore_eos": True}},
        )
        return _timed(backends.create("openai", options, ()), requests) | {"start_s": start_s}


if __name__ == "__main__":
    main(*sys.argv[1:])
