"""Prompts that do not fit: fewer demonstrations, then an input without its middle."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from medinst_eval.errors import InputError
from medinst_eval.prompts.rendering import Renderer, Tokenizer
from medinst_eval.prompts.tokens import token_lists
from medinst_eval.types import Message, Sample

_GAP = " … "
"""Stands where the middle of an input was cut out."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Draft:
    """What is to be shown of a sample."""

    sample: Sample
    shots: int
    """Demonstrations kept: the last of those asked for, as the first are dropped first."""
    dropped: int = 0
    input: str
    """The input, or what is left of it."""
    cut_tokens: int = 0


@dataclass(frozen=True, kw_only=True, slots=True)
class Fitted:
    """A draft with its rendering."""

    draft: Draft
    messages: tuple[Message, ...]
    text: str | None
    token_ids: tuple[int, ...] | None


def fit(
    drafts: Sequence[Draft],
    renderer: Renderer,
    limits: Sequence[int | None],
    *,
    refuse: bool,
) -> list[Fitted]:
    """Render all drafts and shorten those that are longer than their limit.

    Demonstrations go first, the foremost one first, one at a time. Where none is left the middle
    of the input is cut out, so that its head and its tail stay; nothing but the input is cut.
    Each round renders and tokenises all drafts that are still too long in one batch.

    Args:
        drafts: What to show.
        renderer: How.
        limits: Most tokens of each prompt; None: no limit.
        refuse: Raise instead of shortening.

    Raises:
        InputError: Prompts that do not fit with `refuse`; a limit with no room for the rest of
            the prompt even without the input.
    """
    if len(limits) != len(drafts):
        raise ValueError("one limit per draft is needed")
    done = _render(drafts, renderer)
    long = [index for index in range(len(done)) if _excess(done[index], limits[index]) > 0]
    if long and refuse:
        _refuse(done, limits, long)
    inputs: dict[int, _Tokens] = {}
    while long:
        shorter = []
        for index in long:
            draft, excess = done[index].draft, _excess(done[index], limits[index])
            if draft.shots == 0 and index not in inputs:
                inputs[index] = _Tokens.of(draft.input, renderer.tokenizer)
            shorter.append(_shorten(draft, excess, inputs.get(index), limits[index]))
        for index, fitted in zip(long, _render(shorter, renderer), strict=True):
            done[index] = fitted
        long = [index for index in long if _excess(done[index], limits[index]) > 0]
    return done


def _render(drafts: Sequence[Draft], renderer: Renderer) -> list[Fitted]:
    messages = [_messages(draft, renderer) for draft in drafts]
    texts = renderer.texts(messages)
    if texts is None:
        return [
            Fitted(draft=draft, messages=turns, text=None, token_ids=None)
            for draft, turns in zip(drafts, messages, strict=True)
        ]
    ids = renderer.token_ids(texts) if renderer.tokenizer is not None else [None] * len(texts)
    return [
        Fitted(draft=draft, messages=turns, text=text, token_ids=tokens)
        for draft, turns, text, tokens in zip(drafts, messages, texts, ids, strict=True)
    ]


def _messages(draft: Draft, renderer: Renderer) -> tuple[Message, ...]:
    sample = draft.sample
    pairs = sample.history[draft.dropped : draft.dropped + draft.shots]
    # MMLU's instruction stands before the first demonstration, where there is one.
    question = f"{sample.instruction}\n{draft.input}" if sample.instruction else draft.input
    return renderer.messages(question, pairs)


def _excess(fitted: Fitted, limit: int | None) -> int:
    if limit is None or fitted.token_ids is None:
        return 0
    return len(fitted.token_ids) - limit


def _shorten(draft: Draft, excess: int, tokens: _Tokens | None, limit: int | None) -> Draft:
    """The draft with a demonstration less, or with `excess` more tokens cut from its input."""
    if draft.shots > 0:
        return replace(draft, shots=draft.shots - 1, dropped=draft.dropped + 1)
    assert tokens is not None
    if draft.cut_tokens >= len(tokens):
        raise InputError(
            f"{draft.sample.id}: a prompt of at most {limit} tokens has no room for the "
            "instruction; raise --max-model-len, lower --max-tokens or leave the task out"
        )
    cut = min(len(tokens), draft.cut_tokens + excess)
    return replace(draft, input=tokens.without_middle(cut), cut_tokens=cut)


def _refuse(done: Sequence[Fitted], limits: Sequence[int | None], long: Sequence[int]) -> None:
    first = done[long[0]]
    count = len(first.token_ids or ())
    raise InputError(
        f"{len(long)} of {len(done)} prompts do not fit; the first is {first.draft.sample.id} "
        f"({count} tokens, room for {limits[long[0]]}): lower --shots or --max-tokens, raise "
        "--max-model-len, or leave out --overlong error"
    )


@dataclass(frozen=True, slots=True)
class _Tokens:
    """An input and where its tokens lie in it."""

    text: str
    spans: Sequence[tuple[int, int]]
    """Start and end of each token in the text."""

    @classmethod
    def of(cls, text: str, tokenizer: Tokenizer | None) -> _Tokens:
        """Tokenise an input; for a tokenizer without offsets tokens are taken as equally long."""
        assert tokenizer is not None
        if not getattr(tokenizer, "is_fast", False):
            count = len(token_lists(tokenizer, [text], special=False)[0])
            ends = [len(text) * number // count for number in range(count + 1)]
            return cls(text, list(itertools.pairwise(ends)))
        encoded: Any = tokenizer(
            text, add_special_tokens=False, return_offsets_mapping=True, verbose=False
        )
        return cls(text, encoded["offset_mapping"])

    def __len__(self) -> int:
        return len(self.spans)

    def without_middle(self, cut: int) -> str:
        """The text without its `cut` middle tokens; the head keeps the odd one."""
        kept = len(self.spans) - cut
        if kept <= 0:
            return ""
        tail = kept // 2
        head_end = self.spans[kept - tail - 1][1]
        tail_start = self.spans[len(self.spans) - tail][0] if tail else len(self.text)
        # Tokens of one character (bytes) share its span: never show it twice.
        return self.text[:head_end] + _GAP + self.text[max(head_end, tail_start) :]
