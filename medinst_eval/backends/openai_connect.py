"""The first look at servers: can they be reached, is the key good, do they have the model."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from medinst_eval.backends.openai_asking import Asker, explain, timed_out
from medinst_eval.backends.openai_faults import (
    Secret,
    Trouble,
    trouble_of_connection,
    trouble_of_status,
)
from medinst_eval.backends.openai_pool import Patience, Pool, Server
from medinst_eval.backends.openai_wire import Dialect
from medinst_eval.errors import BackendError
from medinst_eval.types import Generation, Message, Prompt, Request

log = logging.getLogger("medinst_eval.backends.openai")

_PROBE = "Hi"
_LOOKS = 4
"""Attempts to reach a server at the start."""
_LOOK_S = 30.0
"""Longest wait for a list of models."""


@dataclass(frozen=True, kw_only=True)
class Look:
    """What a server said of itself."""

    models: tuple[str, ...] | None = None
    """None where it keeps no list."""
    max_model_len: int | None = None
    trouble: Trouble | None = None


async def connect(
    urls: Sequence[str], dialect: Dialect, secret: Secret, patience: Patience
) -> Asker:
    """Make the clients and look at every server.

    Raises:
        BackendError: A server refuses the key, does not know the model or has a certificate that
            is not trusted; or none can be reached.
    """
    pool = Pool([_server(url, dialect, secret, patience) for url in urls], patience)
    asker = Asker(pool, dialect, secret)
    try:
        looks = await asyncio.gather(
            *(look(one, dialect, secret, patience) for one in pool.servers)
        )
        for server, seen in zip(pool.servers, looks, strict=True):
            _judge(server, seen, dialect, pool)
        asker.models = tuple(sorted({name for seen in looks for name in seen.models or ()}))
        for server, seen in zip(pool.servers, looks, strict=True):
            listed = seen.models is not None and dialect.options.model in seen.models
            if not listed and not server.unreachable:
                await _probe(asker, server)
    except BackendError:
        await asker.close()
        raise
    lengths = [seen.max_model_len for seen in looks if seen.max_model_len is not None]
    asker.max_model_len = min(lengths, default=None)
    return asker


def _server(url: str, dialect: Dialect, secret: Secret, patience: Patience) -> Server:
    import openai

    timeout = dialect.options.timeout_s
    client = openai.AsyncOpenAI(
        api_key=secret.value,
        base_url=url,
        max_retries=0,
        timeout=openai.Timeout(timeout, connect=min(timeout, patience.connect_s)),
    )
    return Server(url=url, client=client)


async def look(server: Server, dialect: Dialect, secret: Secret, patience: Patience) -> Look:
    """Ask a server for its models; one without such a list is none the worse for it."""
    trouble: Trouble | None = None
    for tries in range(1, _LOOKS + 1):
        raw = await _models(server, dialect.options.timeout_s, secret)
        if isinstance(raw, bytes):
            return _read_models(raw, server, dialect.options.model)
        trouble = raw
        if raw.kind in ("fatal", "refused"):
            break
        if tries < _LOOKS:
            await asyncio.sleep(patience.delay(tries))
    return Look(trouble=trouble)


async def _models(server: Server, timeout: float, secret: Secret) -> bytes | Trouble:
    import openai

    limit = min(timeout, _LOOK_S)
    try:
        async with asyncio.timeout(limit):
            answer: Any = await server.client.models.with_raw_response.list()
            return bytes(answer.content)
    except (TimeoutError, openai.APITimeoutError) as error:
        return timed_out(error, server.url, limit, secret)
    except openai.APIStatusError as error:
        text = error.response.text
        return trouble_of_status(error.status_code, error.response.headers, text, secret)
    except openai.APIConnectionError as error:
        return trouble_of_connection(error, server.url, secret)


def _read_models(raw: bytes, server: Server, model: str) -> Look:
    try:
        body = json.loads(raw)
    except ValueError:
        return Look()
    data = body.get("data") if isinstance(body, dict) else None
    if not isinstance(data, list):
        return Look()
    entries = [entry for entry in data if isinstance(entry, dict)]
    names = tuple(entry["id"] for entry in entries if isinstance(entry.get("id"), str))
    ours = next((entry for entry in entries if entry.get("id") == model), {})
    length = ours.get("max_model_len")
    server.lists_tokens = any(entry.get("owned_by") == "vllm" for entry in entries)
    return Look(models=names, max_model_len=length if type(length) is int else None)


def _judge(server: Server, seen: Look, dialect: Dialect, pool: Pool) -> None:
    """Stop where a look says that nothing will work; go on without servers that are down."""
    trouble = seen.trouble
    if trouble is None:
        return
    if trouble.kind == "fatal":
        raise BackendError(trouble.message)
    if trouble.status in (401, 403):
        raise BackendError(explain(trouble, server.url, dialect, ()))
    if trouble.kind == "unreachable":
        pool.failed(server, trouble)
        if all(one.unreachable for one in pool.servers):
            raise BackendError(
                f"{trouble.message}; start a server, e.g. `vllm serve "
                f"{dialect.options.model}`, or correct --base-url"
            )
        log.warning("%s; going on without it, it is tried again later", trouble.message)


async def _probe(asker: Asker, server: Server) -> None:
    """Ask for one token where the list of models does not vouch for ours.

    Some servers answer to names that they do not list; only an answer tells.
    """
    turn = Message(role="user", content=_PROBE)
    found: Trouble | None = None
    for text in (None, _PROBE):
        prompt = Prompt(messages=(turn,), text=text, sha="")
        result = await asker.attempt(
            server, Request(id="probe", task="", prompt=prompt, max_tokens=1)
        )
        if isinstance(result, Generation) or result.kind in ("retry", "unreachable"):
            return
        found = found or result
    if found is not None and found.status in (401, 403, 404):
        raise BackendError(explain(found, server.url, asker.dialect, asker.models))
