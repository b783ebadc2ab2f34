"""vLLM in process: one engine for the whole run, fed from one queue that never drains."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import gc
import inspect
import queue
import threading
from collections.abc import Generator, Iterator, Sequence
from concurrent.futures import CancelledError, Future
from functools import cached_property
from typing import Any

from medinst_eval.backends import loading
from medinst_eval.backends.base import BackendOptions, Tokenizer
from medinst_eval.backends.guard import Guard
from medinst_eval.backends.vllm_asking import Asker, Usage
from medinst_eval.backends.vllm_settings import (
    RESERVED,
    cpu_variables,
    engine_arguments,
    environment,
    installed_version,
    quiet,
)
from medinst_eval.errors import BackendError, InputError
from medinst_eval.types import Generation, Request, Sample

WINDOW = 512
"""Fewest requests in flight, so that a free slot in the engine never waits for Python."""
CLOSE_SECONDS = 15.0
IMPORT_SECONDS = 3.0
"""Longest wait for the thread where the engine was still being imported."""
CLOSED = "vLLM was closed while it started"
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
        self.usage = Usage()
        """Tokens so far: what the prefix cache saved."""
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._engine: Any = None
        self._lora: Any = None
        self._guard = Guard()
        self._started: dict[str, Any] = {}
        self._closing = threading.Event()
        self._busy = False

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
            raise BackendError(CLOSED) from None

    async def _open(self) -> Any:
        from vllm.engine.arg_utils import AsyncEngineArgs
        from vllm.platforms import current_platform
        from vllm.usage.usage_lib import UsageContext
        from vllm.v1.engine.async_llm import AsyncLLM

        cpu = bool(current_platform.is_cpu())
        known = [field.name for field in dataclasses.fields(AsyncEngineArgs)]
        arguments = engine_arguments(self.options, known=known, cpu=cpu)
        variables = quiet() | (cpu_variables(arguments) if cpu else {})
        invariant = self.options.deterministic and not cpu
        if invariant:
            variables["VLLM_BATCH_INVARIANT"] = "1"
        if self._closing.is_set():
            raise BackendError(CLOSED)
        with environment(variables), _load_errors(self.options):
            engine = AsyncLLM.from_engine_args(
                AsyncEngineArgs(**arguments), usage_context=UsageContext.LLM_CLASS
            )
        self._guard.settle()
        if self.options.lora is not None:
            from vllm.lora.request import LoRARequest

            self._lora = LoRARequest("adapter", 1, self.options.lora)
        if self._closing.is_set():
            engine.shutdown()
            raise BackendError(CLOSED)
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
        self._busy = True
        try:
            while (item := results.get()) is not None:
                if isinstance(item, BaseException):
                    raise self._died(item, done, len(requests)) from item
                for generation in item:
                    done += 1
                    yield generation
            self._busy = False
        finally:
            feeding.cancel()

    async def _feed(self, requests: Sequence[Request], results: queue.SimpleQueue[Item]) -> None:
        """Keep a window of requests in the engine; put answers, then None or what went wrong."""
        pending = iter(requests)
        asker = Asker(self.options, self._engine, self.tokenizer, self._lora, self.usage)

        async def work() -> None:
            for request in pending:
                results.put([await asker.answer(request)])

        slots = int(self._started["max_num_seqs"]) * self.options.data_parallel_size
        window = max(2 * slots, WINDOW)
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
        self._closing.set()
        loop, thread, engine = self._loop, self._thread, self._engine
        self._loop = self._thread = self._engine = None
        if loop is None or thread is None:
            return
        self._guard.remember()
        if engine is not None:
            with contextlib.suppress(TimeoutError):
                # Nobody waits for answers that are pending, and a lone process has nobody to part
                # from; its orderly end would take some seconds.
                alone = engine.vllm_config.parallel_config.world_size_across_dp == 1
                ending = _shut_down(engine, at_once=self._busy or alone)
                asyncio.run_coroutine_threadsafe(ending, loop).result(CLOSE_SECONDS)
        # what is left now hangs, or is still loading: a call that ends when its processes do
        self._guard.end()
        loop.call_soon_threadsafe(loop.stop)
        thread.join(CLOSE_SECONDS if engine is not None else IMPORT_SECONDS)
        self._guard.end()
        self._guard.stop()
        del engine
        gc.collect()  # the engine holds itself in cycles, and must not end with the interpreter

    def _call(self, coroutine: Any) -> Future[Any]:
        if self._loop is None:
            raise BackendError("the vLLM backend is closed; make a new one")
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop)


async def _import_vllm() -> None:
    with environment(quiet()):
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


async def _shut_down(engine: Any, *, at_once: bool) -> None:
    if at_once and "timeout" in inspect.signature(engine.shutdown).parameters:
        engine.shutdown(timeout=0.0)
    else:
        engine.shutdown()


def _serve_loop(loop: asyncio.AbstractEventLoop) -> None:
    asyncio.set_event_loop(loop)
    try:
        loop.run_forever()
    finally:
        loop.close()
