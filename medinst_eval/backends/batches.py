"""Which requests go into a batch together: by kind, limit and length, within a token budget."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, replace

from medinst_eval.backends import choices as choice
from medinst_eval.backends.base import Tokenizer
from medinst_eval.types import Generation, Request


@dataclass(frozen=True, kw_only=True)
class Work:
    """A request made ready: its tokens, and its limit cut to the model's context."""

    request: Request
    ids: tuple[int, ...]
    limit: int
    """Most new tokens; 0 for a request that only scores choices."""
    continuations: tuple[tuple[int, ...], ...] = ()
    """Tokens of each choice."""

    @property
    def group(self) -> int:
        """Requests of one group fit one batch: limits within a factor of two."""
        return self.limit.bit_length()

    def failed(self, reason: str) -> Generation:
        """The request as an error."""
        return failed(self.request, reason)


@dataclass(frozen=True, kw_only=True)
class Plan:
    """How large a batch may be."""

    max_batch: int
    """Sequences."""
    tokens: int
    """Sequences times the longest of them."""
    count_outputs: bool
    """Whether `tokens` counts the limits too, or the prompts alone."""

    def take(self, pending: deque[Work]) -> list[Work]:
        """Take the next batch off the left: at least one request, of one group."""
        batch = [pending.popleft()]
        longest = self._length(batch[0])
        while pending and len(batch) < self.max_batch and pending[0].group == batch[0].group:
            longest = max(longest, self._length(pending[0]))
            if longest * (len(batch) + 1) > self.tokens:
                break
            batch.append(pending.popleft())
        return batch

    def smaller(self, batch: Sequence[Work]) -> Plan:
        """A plan in which a batch like this one, which did not fit, has half the size."""
        size = max(map(self._length, batch)) * len(batch)
        return replace(self, tokens=min(self.tokens, max(1, size // 2)))

    def _length(self, work: Work) -> int:
        return len(work.ids) + (work.limit if self.count_outputs else 0)


def plan_work(
    requests: Sequence[Request], tokenizer: Tokenizer, max_model_len: int | None
) -> tuple[list[Work], list[Generation]]:
    """Requests ordered for batching, and those that cannot be asked, as errors.

    Largest limits first, then longest prompts, so that memory runs out early or not at all.
    """
    work, refused = [], []
    for request in requests:
        ids = request.prompt.token_ids
        if not ids:
            refused.append(failed(request, "the prompt has no tokens; a tokenizer is needed"))
            continue
        room = max_model_len - len(ids) if max_model_len is not None else request.max_tokens
        if room < 1:
            refused.append(
                failed(
                    request,
                    f"the prompt has {len(ids):,} tokens and the model takes {max_model_len:,}; "
                    "raise --max-model-len or let --overlong fit cut it",
                )
            )
            continue
        text = request.prompt.text or ""
        tails = choice.continuation_ids(tokenizer, text, request.choices) if request.choices else ()
        limit = 0 if request.choices else min(request.max_tokens, room)
        work.append(Work(request=request, ids=ids, limit=limit, continuations=tuple(tails)))
    work.sort(key=lambda one: (-one.group, -len(one.ids)))
    return work, refused


def failed(request: Request, reason: str) -> Generation:
    """A request that ended in an error."""
    tokens = len(request.prompt.token_ids or ())
    return Generation(id=request.id, finish_reason="error", prompt_tokens=tokens, error=reason)
