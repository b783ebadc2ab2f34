"""The contract of an engine: requests in, finished generations out as they finish."""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from medinst_eval.prompts.rendering import Tokenizer as Tokenizer  # part of this contract
from medinst_eval.types import Generation, Request, Sample

FLOOR_LOGPROB = -100.0
"""Stands for a choice whose log-probability is below all that an engine reports."""


@dataclass(frozen=True, kw_only=True)
class Sampling:
    """How outputs are drawn. The paper: temperature 0, at most 1024 new tokens."""

    temperature: float = 0.0
    top_p: float = 1.0
    seed: int = 0
    ignore_eos: bool = False
    """Write on to the limit: for measuring speed, never for scores."""


@dataclass(frozen=True, kw_only=True)
class BackendOptions:
    """Everything a backend may be told; each reads what it knows and refuses what it cannot do."""

    model: str
    revision: str | None = None
    sampling: Sampling = field(default_factory=Sampling)
    tensor_parallel_size: int = 1
    data_parallel_size: int = 1
    dtype: str = "auto"
    max_model_len: int | None = None
    gpu_memory_utilization: float | None = None
    quantization: str | None = None
    lora: str | None = None
    trust_remote_code: bool = False
    allow_pickle: bool = False
    deterministic: bool = False
    speculate: bool = False
    engine_args: Mapping[str, Any] = field(default_factory=dict)
    template_args: Mapping[str, Any] = field(default_factory=dict)
    """Chat template arguments, for servers that apply the template themselves."""
    base_urls: tuple[str, ...] = ()
    concurrency: int = 64
    api_key_env: str = "OPENAI_API_KEY"
    timeout_s: float = 600.0
    max_retries: int = 6
    batch_tokens: int | None = None
    """transformers: padded prompt tokens per batch; None chooses by available memory."""
    replicas: int = 1
    ray_address: str | None = None
    inner: str = "auto"
    """The backend that each replica on a Ray cluster runs."""


class Backend(Protocol):
    """An engine, from cheap description to expensive start.

    Life: constructed (no weights), asked for `tokenizer` and `max_model_len`, `start`ed (slow; may
    run in another thread while prompts are built), `generate`d from once, `close`d. `close` frees
    all device memory and is safe to call at any time, twice, and after a failed start.
    """

    name: str

    @property
    def tokenizer(self) -> Tokenizer | None:
        """The model's tokenizer, loaded without weights; None where a server tokenises."""

    @property
    def max_model_len(self) -> int | None:
        """Longest prompt plus output in tokens, where known."""

    def start(self) -> None:
        """Load the engine. Raises `BackendError` with a remedy where it cannot."""

    def generate(self, requests: Sequence[Request]) -> Generator[Generation, None, None]:
        """Answer all requests, yielding each as it finishes, in any order.

        A request that fails yields a `Generation` with `error` set and `finish_reason="error"`.
        An engine that dies raises `BackendError`. Closing the iterator cancels what is pending.
        """

    def describe(self) -> dict[str, Any]:
        """Version and arguments for the manifest; no secrets."""

    def close(self) -> None:
        """Release everything."""


class BackendFactory(Protocol):
    """Makes a backend; `samples` is for backends that answer from the data (`baseline`)."""

    def __call__(self, options: BackendOptions, samples: Sequence[Sample]) -> Backend: ...
