"""Log-probabilities of answer letters from a server, which lists tokens by their text.

Servers list the likeliest 20 (some 5) next tokens. vLLM servers are asked for the very tokens
instead, after their `/tokenize` has told which these are, so that no letter falls off the list.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from medinst_eval.backends.base import FLOOR_LOGPROB
from medinst_eval.types import Prompt

TOP_LOGPROBS = (20, 5)
"""How many likeliest tokens are asked for: OpenAI and vLLM give 20, older servers 5."""

NO_LOGPROBS = (
    "the server gives no log-probabilities, which scoring by the answer letter needs; "
    "score by generation, or use --backend vllm or transformers"
)
_SPACES = " \t\n▁Ġ"
_TAIL = 8
"""Characters of the prompt's end that decide how a choice is spelt in tokens."""


def tail_of(prompt: Prompt) -> str:
    """The end of what the model sees; a chat template's header ends in a line break."""
    return prompt.text[-_TAIL:] if is_plain(prompt) and prompt.text else "\n"


def is_plain(prompt: Prompt) -> bool:
    """Whether the prompt is bare text (its one turn is the text itself), not a conversation."""
    return (
        prompt.text is not None
        and len(prompt.messages) == 1
        and prompt.messages[0].content == prompt.text
    )


def gap_after(tail: str) -> str:
    """A space where a choice must be set off from the prompt (`Answer:`), else nothing."""
    return "" if not tail or tail[-1].isspace() else " "


def top_tokens(choice: Mapping[str, Any]) -> dict[str, float]:
    """The first token's alternatives with their log-probabilities, in either endpoint's layout."""
    logprobs = choice.get("logprobs")
    if not isinstance(logprobs, dict):
        return {}
    pairs: list[tuple[object, object]] = []
    content = logprobs.get("content")
    if isinstance(content, list) and content and isinstance(content[0], dict):
        listed = content[0].get("top_logprobs")
        for entry in [*(listed if isinstance(listed, list) else []), content[0]]:
            if isinstance(entry, dict):
                pairs.append((entry.get("token"), entry.get("logprob")))
    top = logprobs.get("top_logprobs")
    if isinstance(top, list) and top and isinstance(top[0], dict):
        pairs.extend(top[0].items())
    found: dict[str, float] = {}
    for token, value in pairs:
        if isinstance(token, str) and isinstance(value, int | float) and not math.isnan(value):
            found.setdefault(token, float(value))
    return found


def choice_logprobs(
    choices: Sequence[str],
    top: Mapping[str, float],
    *,
    gap: str = "",
    token_ids: Sequence[int] | None = None,
) -> tuple[float, ...]:
    """Log-probability (natural logarithm) of each choice as the next token.

    Args:
        choices: The continuations, e.g. `A` to `D`.
        top: Listed tokens and their log-probabilities.
        gap: What the prompt's end asks for before a choice: a space or nothing. If none of the
            choices is listed in that spelling, every spelling with white space around counts,
            their probabilities added.
        token_ids: The choices' tokens, where tokens are listed as `token_id:N`.

    Returns:
        One value per choice; `FLOOR_LOGPROB` for a choice that is not listed.
    """
    if token_ids is not None:
        names = [{f"token_id:{token}"} for token in token_ids]
    else:
        marks = (" ", "▁", "Ġ") if gap else ("",)
        names = [{mark + choice for mark in marks} for choice in choices]
        if not any(name in top for spelt in names for name in spelt):
            names = [{name for name in top if name.strip(_SPACES) == one} for one in choices]
    values = []
    for spelt in names:
        total = sum(math.exp(min(top[name], 0.0)) for name in spelt if name in top)
        values.append(max(math.log(total), FLOOR_LOGPROB) if total > 0 else FLOOR_LOGPROB)
    return tuple(values)
