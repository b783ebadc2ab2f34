"""What goes to an OpenAI-compatible server, and what may be believed of what comes back.

Pure functions: request -> JSON body, response bytes -> `Generation` or `Trouble`. Nothing in a
response is trusted: a proxy's HTML page, half a body or a missing field is a `Trouble`, never an
answer.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

from medinst_eval.backends.base import FLOOR_LOGPROB, BackendOptions
from medinst_eval.backends.openai_choices import (
    NO_LOGPROBS,
    choice_logprobs,
    gap_after,
    is_plain,
    tail_of,
    top_tokens,
)
from medinst_eval.backends.openai_faults import Secret, Trouble, broken, trouble_in_body
from medinst_eval.types import FinishReason, Generation, Prompt, Request

Endpoint = Literal["chat", "completions"]

_FINISH: Mapping[str, FinishReason] = {
    "stop": "stop",
    "eos": "stop",
    "eos_token": "stop",
    "end_turn": "stop",
    "stop_sequence": "stop",
    "tool_calls": "stop",
    "function_call": "stop",
    "length": "length",
    "max_tokens": "length",
}


class EngineArgs(BaseModel):
    """What `--engine-arg key=value` may say to this backend."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    tokenizer: str | None = None
    """Tokenizer (Hub id or folder) by which prompts are cut to fit; without it they are not cut."""
    extra_body: dict[str, Any] = Field(default_factory=dict)
    """Further fields of each request's body; null takes a field out."""
    max_tokens_field: Literal["max_tokens", "max_completion_tokens"] = "max_tokens"
    """What the server calls the limit of new tokens."""
    backoff_s: float = Field(default=0.5, gt=0, le=60)
    """Longest wait before the first retry; doubles with each further one."""
    outage_s: float = Field(default=300.0, ge=0)
    """How long no server may be reachable before the run stops."""

    @field_validator("extra_body", mode="before")
    @classmethod
    def _from_json(cls, value: object) -> object:
        return json.loads(value) if isinstance(value, str) else value


@dataclass(frozen=True, kw_only=True, slots=True)
class Letters:
    """How the log-probabilities of choices are asked for."""

    top: int = 20
    token_ids: tuple[int, ...] | None = None
    """The choices' own tokens, where the server lists tokens on demand."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Dialect:
    """How to speak to a server, apart from the prompt."""

    options: BackendOptions
    args: EngineArgs = field(default_factory=EngineArgs)


def endpoint_of(prompt: Prompt) -> Endpoint:
    """Completions for bare text, chat for a conversation."""
    return "completions" if is_plain(prompt) else "chat"


def request_body(request: Request, dialect: Dialect, letters: Letters) -> dict[str, Any]:
    """The JSON body of a request."""
    options, args = dialect.options, dialect.args
    chat = endpoint_of(request.prompt) == "chat"
    body: dict[str, Any] = {
        "model": options.model,
        args.max_tokens_field: 1 if request.choices else request.max_tokens,
        "temperature": options.sampling.temperature,
        "top_p": options.sampling.top_p,
        "seed": options.sampling.seed,
    }
    if chat:
        body["messages"] = [
            {"role": turn.role, "content": turn.content} for turn in request.prompt.messages
        ]
        if options.template_args:
            body["chat_template_kwargs"] = dict(options.template_args)
    else:
        body["prompt"] = request.prompt.text
    if request.choices:
        body["logprobs"] = True if chat else letters.top
        if chat:
            body["top_logprobs"] = letters.top
        if letters.token_ids is not None:
            body["logprob_token_ids"] = list(letters.token_ids)
            body["return_tokens_as_token_ids"] = True
    body.update(args.extra_body)
    return {name: value for name, value in body.items() if value is not None}


def read_body(
    raw: bytes, request: Request, secret: Secret, letters: Letters
) -> Generation | Trouble:
    """Turn a body with status 200 into a generation.

    A field that is missing or of the wrong type is a broken body and is asked for again; an
    answer the server did not finish (no finish reason) counts as broken too.
    """
    choice = _first_choice(raw, secret)
    if isinstance(choice, Trouble):
        return choice
    found = _content(choice)
    if found is None:
        return broken(raw, "has no text")
    output, reasoning = found
    finish = choice.get("finish_reason")
    if finish == "content_filter":
        return Trouble(kind="refused", message="the server's content filter withheld the answer")
    if not isinstance(finish, str) or finish not in _FINISH:
        return broken(raw, f"ends with finish_reason {finish!r}")
    generation = Generation(
        id=request.id,
        output=output,
        reasoning=reasoning,
        finish_reason=_FINISH[finish],
        prompt_tokens=choice["usage"].get("prompt_tokens", 0),
        output_tokens=choice["usage"].get("completion_tokens", 0),
    )
    return _with_choices(generation, choice, request, letters) if request.choices else generation


def _first_choice(raw: bytes, secret: Secret) -> dict[str, Any] | Trouble:
    """The first choice of a body, with the body's `usage` (whole numbers only) put into it."""
    try:
        text = raw.decode("utf-8")
        body = json.loads(secret.redact(text) if secret.is_in(text) else text)
    except ValueError:
        return broken(raw, "is not JSON")
    if not isinstance(body, dict):
        return broken(raw, "is not a JSON object")
    choices = body.get("choices")
    choice = choices[0] if isinstance(choices, list) and choices else None
    for holder in (body, choice):
        error = holder.get("error") if isinstance(holder, dict) else None
        if error and isinstance(error, dict | str):
            return trouble_in_body(error, secret)
    if not isinstance(choice, dict):
        return broken(raw, "has no choices")
    usage = body.get("usage")
    counts = usage.items() if isinstance(usage, dict) else ()
    choice["usage"] = {name: n for name, n in counts if type(n) is int and n >= 0}
    return choice


def _content(choice: Mapping[str, Any]) -> tuple[str, str | None] | None:
    """Text and reasoning of a choice; None where the server left the text out."""
    message = choice.get("message")
    if not isinstance(message, dict):
        text = choice.get("text")
        return (_clean(text), None) if isinstance(text, str) else None
    thought = message.get("reasoning_content") or message.get("reasoning")
    reasoning = _clean(thought) if isinstance(thought, str) else None
    content = message.get("content", message)
    if content is None:  # said, not left out: only reasoning so far, or a refusal
        refusal = message.get("refusal")
        return (_clean(refusal) if isinstance(refusal, str) else ""), reasoning
    if isinstance(content, str):
        return _clean(content), reasoning
    # Some servers send thinking and answer as parts of one list.
    texts = _texts(content) if isinstance(content, list) else []
    return (_clean("".join(texts)), reasoning) if texts else None


def _texts(parts: Sequence[object]) -> list[str]:
    return [
        part["text"]
        for part in parts
        if isinstance(part, dict) and isinstance(part.get("text"), str)
    ]


def _clean(text: str) -> str:
    """Replace lone surrogates, which JSON can carry and UTF-8 files cannot."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def _with_choices(
    generation: Generation, choice: Mapping[str, Any], request: Request, letters: Letters
) -> Generation | Trouble:
    top = top_tokens(choice)
    # A model that ends at once has no first token to list; that is no fault of the server.
    if not top and (generation.output or not isinstance(choice.get("logprobs"), dict)):
        return Trouble(kind="fatal", message=NO_LOGPROBS)
    values = choice_logprobs(
        request.choices,
        top,
        gap=gap_after(tail_of(request.prompt)),
        token_ids=letters.token_ids,
    )
    best = max(range(len(values)), key=values.__getitem__)
    return Generation(
        id=generation.id,
        output=request.choices[best] if values[best] > FLOOR_LOGPROB else generation.output,
        reasoning=generation.reasoning,
        finish_reason="stop",
        prompt_tokens=generation.prompt_tokens,
        output_tokens=generation.output_tokens,
        choice_logprobs=values,
    )
