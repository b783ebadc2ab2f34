"""What crosses the network between a run and its replicas, and the replica itself."""

from __future__ import annotations

import json
import zlib
from collections.abc import Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from medinst_eval import backends
from medinst_eval.backends.base import Backend, BackendOptions
from medinst_eval.errors import MedinstError
from medinst_eval.types import Generation, Message, Prompt, Request

if TYPE_CHECKING:
    import numpy as np


def pack_request(request: Request) -> bytes:
    """A request as compressed JSON: messages, text and tokens say nearly the same thing."""
    prompt = request.prompt
    record = {
        "id": request.id,
        "task": request.task,
        "max_tokens": request.max_tokens,
        "choices": request.choices,
        "messages": [(message.role, message.content) for message in prompt.messages],
        "text": prompt.text,
        "token_ids": prompt.token_ids,
        "sha": prompt.sha,
        "shots": prompt.shots,
        "dropped_shots": prompt.dropped_shots,
        "cut_tokens": prompt.cut_tokens,
    }
    text = json.dumps(record, ensure_ascii=False, separators=(",", ":"))
    # A lone surrogate of a broken source text must come out as it went in.
    return zlib.compress(text.encode("utf-8", "surrogatepass"), level=1)


def unpack_request(packed: bytes) -> Request:
    """The request of `pack_request`."""
    record = json.loads(zlib.decompress(packed).decode("utf-8", "surrogatepass"))
    tokens = record["token_ids"]
    return Request(
        id=record["id"],
        task=record["task"],
        max_tokens=record["max_tokens"],
        choices=tuple(record["choices"]),
        prompt=Prompt(
            messages=tuple(Message(role=role, content=text) for role, text in record["messages"]),
            text=record["text"],
            token_ids=None if tokens is None else tuple(tokens),
            sha=record["sha"],
            shots=record["shots"],
            dropped_shots=record["dropped_shots"],
            cut_tokens=record["cut_tokens"],
        ),
    )


def pack_generation(generation: Generation) -> bytes:
    """A generation as JSON."""
    return json.dumps(asdict(generation), separators=(",", ":")).encode()


def unpack_generation(packed: bytes) -> Generation:
    """The generation of `pack_generation`."""
    record = json.loads(packed)
    logprobs = record["choice_logprobs"]
    return Generation(
        **{**record, "choice_logprobs": None if logprobs is None else tuple(logprobs)}
    )


class Replica:
    """One copy of the engine in an actor of its own; called with blocks of requests.

    What goes wrong inside is an answer too (`fault`): Ray would take an exception for a lost
    block and ask another replica, which would only fail the same way.
    """

    def __init__(self, inner: str, options: BackendOptions, samples: Any) -> None:
        import ray

        self._node = ray.get_runtime_context().get_node_id()
        self._fault = ""
        self._backend: Backend | None = None
        try:
            self._backend = backends.create(inner, options, ray.get(samples))
            self._backend.start()
        except BaseException as error:  # noqa: BLE001  Raised again by the run.
            self._fault = describe_fault(error)

    def __call__(self, block: Mapping[str, np.ndarray[Any, Any]]) -> dict[str, list[Any]]:
        """Answer a block: a row per generation, or one row that says what is broken."""
        if self._backend is None or self._fault:
            return self._rows([], fault=self._fault)
        requests = [unpack_request(packed) for packed in block["request"]]
        done: list[bytes] = []
        try:
            done.extend(pack_generation(g) for g in self._backend.generate(requests))
        except BaseException as error:  # noqa: BLE001  Raised again by the run.
            return self._rows(done, fault=describe_fault(error))
        return self._rows(done)

    def _rows(self, done: list[bytes], fault: str = "") -> dict[str, list[Any]]:
        """Columns of equal length; the last row carries the fault, or how the engine runs."""
        rows = [*done, b""]
        engine = {} if self._backend is None else self._backend.describe().get("engine", {})
        padding = [""] * len(done)
        return {
            "generation": rows,
            "node": [self._node] * len(rows),
            "fault": [*padding, fault],
            "engine": [*padding, json.dumps(engine, default=str)],
        }

    def __del__(self) -> None:
        """The engine ends with its actor; Ray calls this when it retires one."""
        if getattr(self, "_backend", None) is not None and self._backend is not None:
            self._backend.close()


def describe_fault(error: BaseException) -> str:
    """One line about an engine's failure: the package's own words, or the kind and the text."""
    text = " ".join(str(error).split())[:400]
    return text if isinstance(error, MedinstError) else f"{type(error).__name__}: {text}"
