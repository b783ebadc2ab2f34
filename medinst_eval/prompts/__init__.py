"""Samples -> what the model is shown: layout, the model's own template, fitting the context.

Layouts, for a sample with demonstrations (user, answer) and the question
`instruction + "\\n" + input`:

- `chat` (the paper's): a user and an assistant turn per demonstration, then a user turn with the
  question.
- `inline`: one user turn. Each demonstration is headed `Example N:` and its answer `Answer:`; the
  question follows under `Now answer this one:`. Without demonstrations the same as `chat`.
- `plain`: text for models without a chat template. Each demonstration is its user text, a line
  break and its answer, followed by a blank line; the text ends with the question and a line break.

A system prompt is a turn of its own in the first two and the first paragraph of the third. Where
the model's template refuses or drops system turns, it opens the first user turn instead.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from medinst_eval.errors import InputError
from medinst_eval.prompts.fitting import Draft, fit
from medinst_eval.prompts.rendering import Renderer, Tokenizer
from medinst_eval.types import Layout, Message, Prompt, Sample

__all__ = ["PromptOptions", "build", "resolve_layout", "system_role"]


@dataclass(frozen=True, kw_only=True)
class PromptOptions:
    """How samples become prompts; all of it changes scores and is recorded with them."""

    shots: int = 2
    """Demonstrations per prompt: the first ones of the sample."""
    layout: Layout | None = None
    """None: `chat`, or `plain` for a model without a chat template."""
    system_prompt: str | None = None
    template_args: Mapping[str, Any] = field(default_factory=dict)
    """Handed to the chat template, e.g. `enable_thinking=False`."""
    overlong: Literal["fit", "error"] = "fit"
    """A prompt that does not fit: drop demonstrations, then cut the input; or refuse."""


def resolve_layout(options: PromptOptions, tokenizer: Tokenizer | None) -> Layout:
    """The layout of a run: the one asked for, or the one that suits the model.

    Raises:
        InputError: `chat` or `inline` was asked of a model without a chat template.
    """
    has_template = tokenizer is None or bool(getattr(tokenizer, "chat_template", None))
    if options.layout is None:
        return "chat" if has_template else "plain"
    if options.layout != "plain" and not has_template:
        raise InputError(
            f"--layout {options.layout} needs a chat template and the model has none; "
            "use --layout plain"
        )
    return options.layout


def system_role(
    options: PromptOptions, tokenizer: Tokenizer | None
) -> Literal["none", "system", "user"]:
    """Where the system prompt goes: nowhere (there is none), a turn of its own, or the user's.

    `user`: the model's template refuses or silently drops system turns, or the layout is `plain`.
    """
    if not options.system_prompt:
        return "none"
    return _renderer(options, tokenizer).system_role


def build(
    samples: Sequence[Sample],
    *,
    options: PromptOptions,
    tokenizer: Tokenizer | None,
    max_prompt_tokens: Sequence[int | None],
) -> list[Prompt]:
    """Build, render and tokenise the prompts of all samples, in batches.

    Text comes from the model's own chat template with the generation prompt added, and is
    tokenised as the template leaves it: no special token is added that the template does not
    write, so the tokens equal those of `apply_chat_template`. The `plain` layout gets the
    tokenizer's opening special tokens, never two of them and never a closing one.

    Args:
        samples: What to ask.
        options: How to ask.
        tokenizer: The model's; None where a server renders and tokenises: then prompts carry
            turns only and are not measured.
        max_prompt_tokens: Room for each prompt in tokens; None: unlimited.

    Returns:
        One prompt per sample, in order.

    Raises:
        InputError: No room even for the instruction; prompts that do not fit, with
            `overlong="error"`; a template that cannot render the turns.
    """
    renderer = _renderer(options, tokenizer)
    drafts = [
        Draft(sample=sample, shots=min(options.shots, len(sample.history)), input=sample.input)
        for sample in samples
    ]
    fitted = fit(drafts, renderer, max_prompt_tokens, refuse=options.overlong == "error")
    return [
        Prompt(
            messages=done.messages,
            text=done.text,
            token_ids=done.token_ids,
            sha=_sha(done.text, done.messages),
            shots=done.draft.shots,
            dropped_shots=first.shots - done.draft.shots,
            cut_tokens=done.draft.cut_tokens,
        )
        for first, done in zip(drafts, fitted, strict=True)
    ]


def _renderer(options: PromptOptions, tokenizer: Tokenizer | None) -> Renderer:
    return Renderer(
        layout=resolve_layout(options, tokenizer),
        system_prompt=options.system_prompt or None,
        template_args=options.template_args,
        tokenizer=tokenizer,
    )


def _sha(text: str | None, messages: Sequence[Message]) -> str:
    """SHA-256 of what is sent: the text, or the turns as a JSON array of [role, content]."""
    if text is None:
        text = json.dumps([[turn.role, turn.content] for turn in messages], separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()
