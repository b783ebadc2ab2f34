"""The whole domain on one page: what flows through a run, from row to score."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

Category = Literal[
    "NER", "NED", "RE", "COREF", "EE", "QA", "TE", "TXTCLASS", "STS", "SUM", "TRANSL"
]
BuiltInForm = Literal[
    "word_labels", "entities", "links", "relations", "events", "mentions",
    "label", "labels", "choice", "number", "text",
]  # fmt: skip
BUILT_IN_FORMS: tuple[str, ...] = get_args(BuiltInForm)
Form = str
"""Form of an answer: one of `BUILT_IN_FORMS`, or one that an installed package brings."""
Status = Literal["ok", "unparsed", "empty", "truncated", "error"]
FinishReason = Literal["stop", "length", "error"]
Layout = Literal["chat", "inline", "plain"]
Role = Literal["system", "user", "assistant"]

Tuples = tuple[tuple[str, ...], ...]
Answer = str | float | tuple[str, ...] | Tuples
"""A parsed answer, by form.

`word_labels`: one label per word of the input (`B`, `I`, `O`).
`entities` (mention, type); `links` (mention, identifier); `relations` (head, relation, tail);
`events` (type, trigger, theme); `mentions` (mention,): tuples in order, repeats kept.
`label`, `choice`, `text`: the string. `labels`: strings in order. `number`: a float.
"""


@dataclass(frozen=True, kw_only=True, slots=True)
class Sample:
    """One row of a task."""

    task: str
    id: str
    """`<Task>/<row>`, the row counted from 0 in the source file."""
    key: str
    """SHA-256 over instruction, input, output and history."""
    instruction: str
    input: str
    gold: str
    history: tuple[tuple[str, str], ...] = ()
    """Demonstrations, (user, assistant) pairs."""
    choices: tuple[str, ...] = ()
    """Continuations whose log-probability is asked for, e.g. `A`..`D`; empty: generate."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Message:
    """One chat turn."""

    role: Role
    content: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Prompt:
    """What a model is shown for one sample."""

    messages: tuple[Message, ...]
    """Chat turns; in the `plain` layout one user turn that holds the whole text."""
    text: str | None = None
    """The rendered text, template applied; None where the server applies its own template."""
    token_ids: tuple[int, ...] | None = None
    """Tokens of `text`, special tokens included; None without a tokenizer."""
    sha: str
    """SHA-256 of what is sent: of `text` where there is one, else of the messages."""
    shots: int = 0
    dropped_shots: int = 0
    """Demonstrations left out because the prompt was too long."""
    cut_tokens: int = 0
    """Tokens cut from the middle of the input because it was still too long."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Request:
    """A prompt on its way to an engine."""

    id: str
    task: str
    prompt: Prompt
    max_tokens: int
    choices: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class Generation:
    """A finished request: an output, or an error that is never scored as an answer."""

    id: str
    output: str = ""
    """Raw text as the engine gave it, reasoning included."""
    reasoning: str | None = None
    """Reasoning that the engine kept apart itself (servers with a reasoning parser)."""
    finish_reason: FinishReason = "stop"
    prompt_tokens: int = 0
    output_tokens: int = 0
    error: str | None = None
    choice_logprobs: tuple[float, ...] | None = None
    """Log-probabilities in the order of the request's choices."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Prediction:
    """One line of `predictions.jsonl`."""

    task: str
    id: str
    key: str
    prompt_sha: str
    output: str
    """The answer part of the output: reasoning split off."""
    reasoning: str | None
    finish_reason: FinishReason
    prompt_tokens: int
    output_tokens: int
    error: str | None = None
    choice_logprobs: tuple[float, ...] | None = None
    dropped_shots: int = 0
    cut_tokens: int = 0


@dataclass(frozen=True, kw_only=True, slots=True)
class ParseContext:
    """What a parser may know of the row it parses an answer to (never the gold)."""

    input: str = ""
    labels: tuple[str, ...] = ()
    """The closed label set or entity types of the task; empty where it is open."""
    options: tuple[str, ...] = ()
    """The options of a multiple-choice question."""
    scale: tuple[float, float] | None = None
    """Lowest and highest number allowed."""
    prompt: str = ""
    """`instruction + "\\n" + input`, to recognise an echoed prompt."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ParsedAnswer:
    """An answer in its form, or the reason why there is none."""

    status: Literal["ok", "unparsed", "empty"]
    value: Answer | None = None
    note: str = ""
    """For `unparsed`: why, in a few words."""


@dataclass(frozen=True, kw_only=True, slots=True)
class MetricScore:
    """A metric over one task, category or the whole benchmark."""

    value: float | None
    ci95: tuple[float, float] | None = None
    stderr: float | None = None
    higher_is_better: bool = True
    signature: str = ""
    reason: str | None = None
    """Where `value` is None: why, and what to do."""
