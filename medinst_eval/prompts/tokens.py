"""Texts -> token ids, by fastokens where it gives what the model's own tokenizer gives."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

TokenLists = Callable[[Sequence[str]], list[list[int]]]
"""Token ids of texts."""

WORTHWHILE = 256
"""Fewest texts that repay loading fastokens (up to a second for a large vocabulary)."""
_EVERY = 64
"""One text in so many is tokenised both ways before fastokens is relied on."""
_REFUSALS = (ValueError, RuntimeError)
"""What fastokens raises for a text that is too much for its patterns."""

PROBES = (
    "  Two blanks,\ttabs\t\tand\r\n\r\n \n lines \n",
    "it's IT'S we'LL 1234567 3.14 10^-6 (p<0.05) ... --- ___ ▁",
    "β-catenin TNF-α µ \u00b5 Å A\u030a é e\u0301 ﬁ ß İ Ǆ \u0345 한국 \u1112\u1161 心不全 عربي",
    "👩‍⚕️ \u00a0\u200b\ufeff\u2028\x00\x1b[31m <0x0A> <s> </s> <|im_end|> <|eot_id|> [INST]",
    "ACGT" * 50,
    "",
)
"""What tokenizers are apt to read differently."""


def token_lists(tokenizer: Any, texts: Sequence[str], *, special: bool) -> list[list[int]]:
    """Token ids of texts, one call for all; `special`: with the tokenizer's special tokens."""
    if not texts:
        return []
    encoded = tokenizer(
        list(texts),
        add_special_tokens=special,
        padding=False,
        truncation=False,
        return_attention_mask=False,
        return_token_type_ids=False,
        verbose=False,  # longer than the model's context is our business, and handled
    )
    ids: list[list[int]] = encoded["input_ids"]
    return ids


def fast_engine(tokenizer: Any) -> Any | None:
    """fastokens with a tokenizer's vocabulary and rules: the same tokens, some ten times faster.

    None where it is not installed, does not know one of the rules (it reads BPE tokenizers, most
    of them), or reads one of `PROBES` differently.
    """
    core = getattr(tokenizer, "backend_tokenizer", None)
    if core is None or getattr(tokenizer, "split_special_tokens", False):
        return None
    try:
        import fastokens

        engine = fastokens.Tokenizer.from_json_str(core.to_str())
    except (ImportError, ValueError, NotImplementedError):
        return None
    engine.no_truncation()
    engine.no_padding()
    same = all(_same(engine, tokenizer, PROBES, special=special) for special in (False, True))
    return engine if same else None


def reader(
    tokenizer: Any, engine: Any | None, texts: Sequence[str], *, special: bool
) -> TokenLists:
    """How to tokenise texts: by the engine if it agrees on a spread of them."""
    own = partial(token_lists, tokenizer, special=special)
    if engine is None or not _same(engine, tokenizer, texts[::_EVERY], special=special):
        return own

    def read(batch: Sequence[str]) -> list[list[int]]:
        try:
            return _fast_lists(engine, batch, special=special)
        except _REFUSALS:
            return own(batch)

    return read


def _same(engine: Any, tokenizer: Any, texts: Sequence[str], *, special: bool) -> bool:
    try:
        fast = _fast_lists(engine, texts, special=special)
    except _REFUSALS:
        return False
    return fast == token_lists(tokenizer, texts, special=special)


def _fast_lists(engine: Any, texts: Sequence[str], *, special: bool) -> list[list[int]]:
    ids, offsets = engine.encode_batch_flat(list(texts), add_special_tokens=special)
    numbers, bounds = memoryview(ids).cast("I"), memoryview(offsets).cast("Q")
    return [numbers[start:end].tolist() for start, end in itertools.pairwise(bounds)]
