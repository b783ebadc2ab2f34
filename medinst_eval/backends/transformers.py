"""Hugging Face transformers on one device: batches by token budget, smaller ones when memory ends.

Slower than vLLM by far, but it runs every causal model of the library, on GPU or CPU.
"""

from __future__ import annotations

import contextlib
import gc
from collections import deque
from collections.abc import Generator, Sequence
from functools import cached_property
from typing import Any

from medinst_eval.backends import loading
from medinst_eval.backends.base import BackendOptions, Tokenizer
from medinst_eval.backends.batches import Plan, Work, plan_work
from medinst_eval.errors import BackendError, InputError, closest
from medinst_eval.types import Generation, Request, Sample

ENGINE_ARGS = ("device", "device_map", "attn_implementation", "max_batch")
MAX_BATCH = 64
"""Most sequences per batch: a batch ends with its longest output, the others wait."""
MEMORY_SHARE = 0.5
"""Part of the free memory that a batch may fill by estimate."""
TOKEN_LIMITS = {"cpu": 16_384, "cuda": 262_144}
"""Most padded tokens per batch, so that finished samples are stored every so often."""
MEMORY_WORDS = ("out of memory", "can't allocate memory", "defaultcpuallocator", "bad_alloc")


def create(options: BackendOptions, samples: Sequence[Sample] = ()) -> TransformersBackend:
    """Make the backend; nothing heavy is imported or loaded yet."""
    del samples
    return TransformersBackend(options)


class TransformersBackend:
    """`AutoModelForCausalLM` on CPU or GPU; see `Backend` for the life of it."""

    name = "transformers"

    def __init__(self, options: BackendOptions) -> None:
        loading.refuse(
            options,
            self.name,
            {
                "tensor_parallel_size": "use --engine-arg device_map=auto, or --backend vllm",
                "data_parallel_size": "use --backend vllm, --ray or --shard",
                "gpu_memory_utilization": "use --batch-tokens N",
                "quantization": "quantised checkpoints load as they are; else use --backend vllm",
                "speculate": "use --backend vllm",
                "base_urls": "use --backend openai to ask a server",
            },
        )
        for name in options.engine_args:
            if name not in ENGINE_ARGS:
                raise InputError(
                    f"--engine-arg {name}: unknown to backend transformers"
                    f"{closest(name, ENGINE_ARGS)} (known: {', '.join(ENGINE_ARGS)})"
                )
        self.options = options
        self.halved = 0
        """How often a batch was halved because memory ran out."""
        self._model: Any = None

    @cached_property
    def tokenizer(self) -> Tokenizer:
        """The model's tokenizer."""
        return loading.load_tokenizer(self.options)

    @cached_property
    def max_model_len(self) -> int | None:
        """`--max-model-len`, else the length in the model's configuration."""
        if self.options.max_model_len is not None:
            return self.options.max_model_len
        return loading.context_length(loading.load_config(self.options), self.tokenizer)

    def start(self) -> None:
        """Load the weights.

        Raises:
            BackendError: The library is absent or cannot load the model.
            InputError: Weights as pickles only, or a LoRA adapter without PEFT installed.
        """
        if self._model is not None:
            return
        loading.check_weights(self.options)
        from medinst_eval.backends import modelling

        self._model = modelling.load_model(self.options, self.tokenizer)

    @contextlib.contextmanager
    def borrow(self, model: Any, tokenizer: Tokenizer) -> Generator[None, None, None]:
        """Use a model that is in memory already, and leave it as it was found.

        Inside of the `with` block `generate` asks this model; afterwards its mode (training or
        not, part by part) and its generation settings are those of before.
        """
        from medinst_eval.backends import modelling

        before = model.generation_config
        modes = [(module, module.training) for module in model.modules()]
        self.tokenizer = tokenizer
        self.max_model_len = self.options.max_model_len or loading.context_length(
            model.config, tokenizer
        )
        try:
            model.generation_config = modelling.generation_config(model, self.options, tokenizer)
            self._model = model.eval()
            yield
        finally:
            self._model = None
            model.generation_config = before
            for module, mode in modes:  # frozen parts may have a mode of their own
                module.training = mode

    def generate(self, requests: Sequence[Request]) -> Generator[Generation, None, None]:
        """Answer the requests batch by batch; `Backend.generate` tells the rest.

        Batches hold requests of one kind and of similar token limits, longest prompts first. A
        batch that does not fit the memory is halved and asked again; a request that does not fit
        alone is an error.
        """
        if self._model is None:
            self.start()
        work, refused = plan_work(requests, self.tokenizer, self.max_model_len)
        yield from refused
        plan = self._plan()
        batches: deque[list[Work]] = deque()
        pending = deque(work)
        while pending or batches:
            batch = batches.popleft() if batches else plan.take(pending)
            generations = self._attempt(batch)
            if generations is not None:
                yield from generations
            elif len(batch) > 1:
                self.halved += 1
                plan = plan.smaller(batch)
                middle = (len(batch) + 1) // 2
                batches.extendleft((batch[middle:], batch[:middle]))
            else:
                yield batch[0].failed(
                    f"out of memory with one prompt of {len(batch[0].ids):,} tokens; "
                    "lower --max-model-len or --max-tokens, or use a larger device"
                )

    def _attempt(self, batch: Sequence[Work]) -> list[Generation] | None:
        """Answers of one batch, None where memory ran out (all of it freed again)."""
        from medinst_eval.backends import modelling

        try:
            return modelling.run_batch(self._model, self.tokenizer, self.options, batch)
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise BackendError(
                    f"transformers failed on a batch of {len(batch)} "
                    f"(first: {batch[0].request.id}): {' '.join(str(error).split())[:300]}; "
                    "try --dtype float32 or --engine-arg attn_implementation=eager"
                ) from error
        # outside of the handler: there the error's frames would still hold the tensors
        _free_memory()
        return None

    def _plan(self) -> Plan:
        options = self.options
        most = 1 if options.deterministic else int(options.engine_args.get("max_batch", MAX_BATCH))
        if options.batch_tokens is not None:
            return Plan(max_batch=most, tokens=options.batch_tokens, count_outputs=False)
        from medinst_eval.backends import modelling

        kind = "cpu" if str(self._model.device) == "cpu" else "cuda"
        fitting = int(modelling.free_bytes(self._model) * MEMORY_SHARE) // max(
            1, modelling.bytes_per_token(self._model)
        )
        return Plan(max_batch=most, tokens=min(TOKEN_LIMITS[kind], fitting), count_outputs=True)

    def describe(self) -> dict[str, Any]:
        """Versions and arguments; after the start also device and number type."""
        from importlib.metadata import PackageNotFoundError, version

        versions = {}
        for package in ("transformers", "torch"):
            with contextlib.suppress(PackageNotFoundError):
                versions[package] = version(package)
        described: dict[str, Any] = {
            "name": self.name,
            "version": " ".join(f"{name} {number}" for name, number in versions.items()),
            "arguments": loading.arguments_of(self.options),
        }
        if self._model is not None:
            described["engine"] = {
                "device": str(self._model.device),
                "dtype": str(self._model.dtype).removeprefix("torch."),
                "batch_invariant": self.options.deterministic,
            }
        return described

    def close(self) -> None:
        """Free the model's memory; safe at any time, and twice."""
        if self._model is not None:
            self._model = None
            _free_memory()


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error of torch or Python says that memory ran out, on a GPU or the CPU."""
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        return True
    return any(words in str(error).lower() for words in MEMORY_WORDS)


def _free_memory() -> None:
    gc.collect()
    import torch

    if torch.cuda.is_available():
        torch.cuda.empty_cache()
