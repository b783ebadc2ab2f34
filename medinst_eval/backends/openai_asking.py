"""Requests to servers, one after another, each until it has an answer or is given up."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from medinst_eval.backends.openai_choices import NO_LOGPROBS, TOP_LOGPROBS, gap_after, tail_of
from medinst_eval.backends.openai_faults import (
    Secret,
    Trouble,
    trouble_of_connection,
    trouble_of_status,
)
from medinst_eval.backends.openai_pool import Pool, Server
from medinst_eval.backends.openai_wire import (
    Dialect,
    Letters,
    endpoint_of,
    read_body,
    request_body,
)
from medinst_eval.errors import BackendError, closest
from medinst_eval.types import Generation, Request


class Asker:
    """Sends requests to a pool of servers until each has an answer or is given up."""

    def __init__(self, pool: Pool, dialect: Dialect, secret: Secret) -> None:
        self.max_model_len: int | None = None
        self.models: tuple[str, ...] = ()
        self._pool = pool
        self.dialect = dialect
        self._secret = secret
        self._token_ids: dict[tuple[str, str | None, tuple[str, ...]], tuple[int, ...] | None] = {}

    def begin(self) -> None:
        """Forget earlier outages: asking starts now."""
        self._pool.begin()

    async def close(self) -> None:
        """Close all connections."""
        for server in self._pool.servers:
            await server.client.close()

    async def ask(self, request: Request) -> Generation:
        """Ask until there is an answer, or another attempt is of no use.

        Times when a server could not even be reached are not counted as attempts: they say
        nothing about the request.

        Raises:
            BackendError: What went wrong would go wrong for every request.
        """
        options, patience = self.dialect.options, self._pool.patience
        tries = 0
        server: Server | None = None
        while True:
            server = await self._pool.acquire(avoid=server)
            try:
                result = await self.attempt(server, request)
            finally:
                server.in_flight -= 1
            if isinstance(result, Generation):
                self._pool.succeeded(server)
                self._pool.answered = True
                return result
            if result.kind in ("fatal", "refused"):
                self._pool.succeeded(server)
                self._raise_if_hopeless(result, server)
                return _failed(request, result.message)
            if result.wait_s is not None and result.wait_s > options.timeout_s:
                # Longer than we wait for anything: an error now, and nobody else held up.
                self._pool.failed(server, replace(result, wait_s=None))
                return _failed(
                    request, f"{result.message} (the server asks to wait {result.wait_s:g} s)"
                )
            self._pool.failed(server, result)
            if result.kind == "unreachable":
                continue
            tries += 1
            if tries > options.max_retries:
                return _failed(request, f"{result.message} (given up after {tries} attempts)")
            await asyncio.sleep(patience.delay(tries))

    def _raise_if_hopeless(self, trouble: Trouble, server: Server) -> None:
        if trouble.kind == "fatal":
            at = "" if server.url in trouble.message else f"{server.url}: "
            raise BackendError(f"{at}{trouble.message}")
        if not self._pool.answered and trouble.status in (401, 403, 404):
            raise BackendError(explain(trouble, server.url, self.dialect, self.models))

    async def attempt(self, server: Server, request: Request) -> Generation | Trouble:
        """One request, one response."""
        letters = await self._letters(server, request) if request.choices else Letters()
        body = request_body(request, self.dialect, letters)
        raw = await self.send(server, endpoint_of(request.prompt), body)
        if isinstance(raw, bytes):
            return read_body(raw, request, self._secret, letters)
        smaller = [top for top in TOP_LOGPROBS if top < letters.top]
        if request.choices and raw.status in (400, 422) and "logprobs" in raw.message:
            if not smaller:
                return Trouble(kind="fatal", message=f"{raw.message}; {NO_LOGPROBS}")
            server.top_logprobs, server.lists_tokens = smaller[0], False
            return await self.attempt(server, request)
        return raw

    async def send(self, server: Server, endpoint: str, body: Mapping[str, Any]) -> bytes | Trouble:
        """Post a body and return the raw response, or what went wrong."""
        import openai

        timeout = self.dialect.options.timeout_s
        rest = {name: body[name] for name in body if name not in ("model", "messages", "prompt")}
        try:
            async with asyncio.timeout(timeout):
                if endpoint == "chat":
                    answer: Any = await server.client.chat.completions.with_raw_response.create(
                        model=body["model"], messages=body["messages"], extra_body=rest
                    )
                else:
                    answer = await server.client.completions.with_raw_response.create(
                        model=body["model"], prompt=body["prompt"], extra_body=rest
                    )
                return bytes(answer.content)
        except (TimeoutError, openai.APITimeoutError) as error:
            return timed_out(error, server.url, timeout, self._secret)
        except openai.APIStatusError as error:
            text = error.response.text
            return trouble_of_status(error.status_code, error.response.headers, text, self._secret)
        except openai.APIConnectionError as error:
            return trouble_of_connection(error, server.url, self._secret)

    async def _letters(self, server: Server, request: Request) -> Letters:
        """How to ask this server for the log-probabilities of the choices."""
        if not server.lists_tokens:
            return Letters(top=server.top_logprobs)
        tail = None if endpoint_of(request.prompt) == "chat" else tail_of(request.prompt)
        key = (server.url, tail, request.choices)
        if key not in self._token_ids:
            found = await self._header_tokens(server, request.choices) if tail is None else None
            if found is None:
                found = await self._choice_tokens(server, tail_of(request.prompt), request.choices)
            self._token_ids[key] = found
        return Letters(top=server.top_logprobs, token_ids=self._token_ids[key])

    async def _header_tokens(
        self, server: Server, choices: tuple[str, ...]
    ) -> tuple[int, ...] | None:
        """The token with which each choice begins behind the header of the server's template.

        None where the template heads answers differently when they are history, or where the
        choices begin with the same token.
        """
        question = {"role": "user", "content": "Q?"}
        before = await self._tokenize(server, messages=[question], add_generation_prompt=True)
        found = []
        for choice in choices:
            answered = await self._tokenize(
                server,
                messages=[question, {"role": "assistant", "content": choice}],
                add_generation_prompt=False,
            )
            if before is None or answered is None or answered[: len(before)] != before:
                return None
            found += answered[len(before) : len(before) + 1]
        return tuple(found) if len(set(found)) == len(choices) else None

    async def _choice_tokens(
        self, server: Server, tail: str, choices: tuple[str, ...]
    ) -> tuple[int, ...] | None:
        """The one token that each choice adds to the prompt's end; None if there is none."""
        before = await self._tokenize(server, prompt=tail, add_special_tokens=False)
        found = []
        for choice in choices:
            text = tail + gap_after(tail) + choice
            joint = await self._tokenize(server, prompt=text, add_special_tokens=False)
            if before is None or joint is None or joint[:-1] != before:
                return None
            found.append(joint[-1])
        return tuple(found)

    async def _tokenize(self, server: Server, **what: Any) -> list[int] | None:
        import openai

        client = server.client.with_options(base_url=server.url.removesuffix("/v1"))
        body = {"model": self.dialect.options.model, **what}
        try:
            answer: Any = await client.post("/tokenize", body=body, cast_to=object)
        except openai.OpenAIError:
            return None
        tokens = answer.get("tokens") if isinstance(answer, dict) else None
        return tokens if isinstance(tokens, list) else None


def timed_out(error: BaseException, url: str, timeout: float, secret: Secret) -> Trouble:
    found = trouble_of_connection(error, url, secret)
    if found.kind == "unreachable":
        return found
    return Trouble(kind="retry", message=f"{url} gave no answer within {timeout:g} s")


def explain(trouble: Trouble, url: str, dialect: Dialect, models: Sequence[str]) -> str:
    """One line on a refused key or an unknown model, with what to do."""
    options = dialect.options
    if trouble.status in (401, 403):
        return (
            f"{url} refuses the API key ({trouble.message}); set the environment variable "
            f"{options.api_key_env} to a valid one, or name another with --api-key-env"
        )
    shown = ", ".join(models[:5]) + (" …" if len(models) > 5 else "")
    known = f"; it has: {shown}" if models else "; check --model and the path of --base-url"
    return (
        f"{url} does not know the model {options.model} ({trouble.message})"
        f"{closest(options.model, models)}{known}"
    )


def _failed(request: Request, message: str) -> Generation:
    return Generation(id=request.id, finish_reason="error", error=message)
