"""Any OpenAI-compatible server, or several, as an engine: patient, balanced, closed-mouthed."""

from __future__ import annotations

import asyncio
import json
import os
import threading
from collections.abc import Callable, Coroutine, Generator, Sequence
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import replace
from queue import SimpleQueue
from typing import Any, TypeVar
from urllib.parse import urlsplit

from pydantic import ValidationError

from medinst_eval.backends.base import BackendOptions, Tokenizer
from medinst_eval.backends.loading import load_tokenizer, refuse
from medinst_eval.backends.openai_asking import Asker
from medinst_eval.backends.openai_connect import connect
from medinst_eval.backends.openai_faults import Secret
from medinst_eval.backends.openai_pool import Patience
from medinst_eval.backends.openai_wire import Dialect, EngineArgs
from medinst_eval.errors import InputError, closest
from medinst_eval.types import Generation, Request, Sample

T = TypeVar("T")
Results = SimpleQueue[Generation | None]

_SERVERS_OWN = "it is set where the server is started"
_REFUSED = {
    "revision": _SERVERS_OWN,
    "tensor_parallel_size": _SERVERS_OWN,
    "data_parallel_size": _SERVERS_OWN,
    "dtype": _SERVERS_OWN,
    "gpu_memory_utilization": _SERVERS_OWN,
    "quantization": _SERVERS_OWN,
    "lora": _SERVERS_OWN,
    "trust_remote_code": _SERVERS_OWN,
    "deterministic": _SERVERS_OWN,
    "speculate": _SERVERS_OWN,
    "batch_tokens": "use --concurrency",
}


class OpenAIBackend:
    """Asks OpenAI-compatible servers over HTTP.

    Requests run on an event loop in a thread of their own, `concurrency` at a time over all
    servers; `generate` hands their results out as they come. Bare text (layout `plain`) goes to
    `/completions`, conversations to `/chat/completions`, where the server applies its template.
    """

    name = "openai"

    def __init__(self, options: BackendOptions, *, patience: Patience | None = None) -> None:
        refuse(options, self.name, _REFUSED)
        self._options = options
        self._args = read_args(options)
        self._secret = read_key(options)
        self._urls = read_urls(options)
        self._patience = patience or Patience(
            base_s=self._args.backoff_s, outage_s=self._args.outage_s
        )
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._asker: Asker | None = None
        self._work: Future[None] | None = None
        self._tokenizer: Tokenizer | None = None

    @property
    def tokenizer(self) -> Tokenizer | None:
        """None, since the server tokenises; with `--engine-arg tokenizer=` that one."""
        if self._args.tokenizer is not None and self._tokenizer is None:
            self._tokenizer = load_tokenizer(replace(self._options, model=self._args.tokenizer))
        return self._tokenizer

    @property
    def max_model_len(self) -> int | None:
        """The smaller of the option and what the servers report; asks them on first use."""
        known = [self._options.max_model_len, self._connected().max_model_len]
        return min((length for length in known if length is not None), default=None)

    def start(self) -> None:
        """Reach the servers and make sure that they have the model and accept the key.

        Raises:
            BackendError: No server can be reached, the key is refused, the model is unknown, or
                a certificate is not trusted.
        """
        self._connected()

    def _connected(self) -> Asker:
        with self._lock:
            if self._asker is None:
                dialect = Dialect(options=self._options, args=self._args)
                self._asker = self._run(connect(self._urls, dialect, self._secret, self._patience))
            return self._asker

    def _run(self, work: Coroutine[Any, Any, T]) -> T:
        future = asyncio.run_coroutine_threadsafe(work, self._running_loop())
        try:
            return future.result()
        finally:
            future.cancel()

    def _running_loop(self) -> asyncio.AbstractEventLoop:
        if self._loop is None:
            self._loop = asyncio.new_event_loop()
            # A daemon: an interpreter that ends never waits for a server.
            self._thread = threading.Thread(
                target=self._loop.run_forever, name="openai-requests", daemon=True
            )
            self._thread.start()
        return self._loop

    def generate(self, requests: Sequence[Request]) -> Generator[Generation, None, None]:
        """Answer all requests, yielding each as it finishes, in any order.

        A request that keeps failing ends as a `Generation` with `error`. Closing the iterator
        cancels what is pending.

        Raises:
            BackendError: The servers refuse key or model, give no log-probabilities where these
                are needed, or have all been unreachable for `outage_s`.
        """
        asker = self._connected()
        results: Results = SimpleQueue()
        work = asyncio.run_coroutine_threadsafe(
            self._answer(asker, requests, results.put), self._running_loop()
        )
        self._work = work
        work.add_done_callback(lambda _: results.put(None))
        try:
            while (generation := results.get()) is not None:
                yield generation
            work.result()
        finally:
            work.cancel()

    async def _answer(
        self, asker: Asker, requests: Sequence[Request], put: Callable[[Generation], None]
    ) -> None:
        pending = iter(requests)

        async def worker() -> None:
            for request in pending:
                put(await asker.ask(request))

        asker.begin()
        try:
            async with asyncio.TaskGroup() as group:
                for _ in range(min(self._options.concurrency, len(requests))):
                    group.create_task(worker())
        except BaseExceptionGroup as group_error:
            raise group_error.exceptions[0] from None

    def describe(self) -> dict[str, Any]:
        """Version of the client, and the arguments; the key is no part of either."""
        from importlib.metadata import version

        options, args = self._options, self._args
        return {
            "name": self.name,
            "version": f"openai {version('openai')}",
            "arguments": {
                "base_urls": list(self._urls),
                "concurrency": options.concurrency,
                "timeout_s": options.timeout_s,
                "max_retries": options.max_retries,
                "max_model_len": options.max_model_len,
                "chat_template_kwargs": dict(options.template_args),
                **args.model_dump(exclude={"backoff_s", "outage_s"}, exclude_defaults=True),
            },
        }

    def close(self) -> None:
        """Cancel what is pending, close all connections and end the thread."""
        loop, thread = self._loop, self._thread
        self._loop = self._thread = None
        if self._work is not None:
            self._work.cancel()
        if loop is None or thread is None:
            return
        if self._asker is not None:
            closing = asyncio.run_coroutine_threadsafe(self._asker.close(), loop)
            with suppress(TimeoutError):
                closing.result(timeout=5)
            self._asker = None
        loop.call_soon_threadsafe(loop.stop)
        thread.join(timeout=5)
        if not thread.is_alive():
            loop.close()


def read_args(options: BackendOptions) -> EngineArgs:
    """Validate `--engine-arg` values.

    Raises:
        InputError: An unknown name or a value of the wrong kind.
    """
    try:
        return EngineArgs.model_validate(dict(options.engine_args))
    except ValidationError as error:
        first = error.errors()[0]
        name = ".".join(str(part) for part in first["loc"])
        if first["type"] == "extra_forbidden":
            known = EngineArgs.model_fields
            raise InputError(
                f"--engine-arg {name} is unknown to backend openai"
                f"{closest(name, known) or '; it knows ' + ', '.join(known)}; further fields "
                'of the request go into extra_body, e.g. --engine-arg extra_body={"top_k":1}'
            ) from None
        raise InputError(f"--engine-arg {name}: {first['msg']}") from None
    except json.JSONDecodeError as error:
        raise InputError(f"--engine-arg: not JSON ({error})") from None


def read_key(options: BackendOptions) -> Secret:
    """Read the API key from the environment; a dummy where there is none, for local servers.

    Raises:
        InputError: The variable holds what cannot be sent in a header.
    """
    value = os.environ.get(options.api_key_env, "").strip()
    if not (value.isascii() and value.isprintable()):
        raise InputError(
            f"the environment variable {options.api_key_env} holds characters that no API key "
            "has (line breaks, accents); set it again"
        )
    return Secret(value=value or "none", given=bool(value))


def read_urls(options: BackendOptions) -> tuple[str, ...]:
    """Check and complete the base URLs: `http://host:8000` means `http://host:8000/v1`.

    Raises:
        InputError: None given, not a URL, or one that holds a password.
    """
    if not options.base_urls:
        raise InputError(
            "backend openai needs --base-url, e.g. --base-url http://localhost:8000/v1"
        )
    urls = []
    for number, given in enumerate(options.base_urls, start=1):
        parts = urlsplit(given.strip())
        if "@" in parts.netloc or parts.query or parts.fragment:
            # Not shown: what stands there may be a secret.
            raise InputError(
                f"--base-url number {number} holds a user name, a query or a fragment; give "
                f"scheme, host and path only, and the key in {options.api_key_env}"
            )
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise InputError(f"--base-url {given} is no http(s) URL; e.g. http://localhost:8000/v1")
        url = f"{parts.scheme}://{parts.netloc}{parts.path.rstrip('/') or '/v1'}"
        if url not in urls:
            urls.append(url)
    return tuple(urls)


def create(options: BackendOptions, samples: Sequence[Sample] = ()) -> OpenAIBackend:
    """Make the backend; the samples are of no use to it."""
    del samples
    return OpenAIBackend(options)
