"""Token ids by fastokens and by the model's own tokenizer: the same, or not used at all."""

from __future__ import annotations

import functools
import types
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import (
    AddedToken,
    Regex,
    Tokenizer,
    models,
    normalizers,
    pre_tokenizers,
    processors,
    trainers,
)

from medinst_eval import prompts
from medinst_eval.prompts import tokens
from medinst_eval.types import Layout, Sample

fastokens = pytest.importorskip("fastokens", reason="an extra is not installed: fastokens")

SPECIAL = ["<unk>", "<s>", "</s>", "<|start|>", "<|end|>", "<|im_start|>"]
TEXT = [
    "Name the organ that is mentioned in the text. The heart pumps blood; the liver does not.",
    "instruction input output example answer now this one user assistant system 心脏 café 1234",
]
WORDS = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}|"
    r" ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
"""How Llama 3 and its like cut texts into words."""


def blanks_marked() -> Any:
    return normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])


def bytes_of(pattern: str) -> Any:
    byte_level = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    return pre_tokenizers.Sequence([pre_tokenizers.Split(Regex(pattern), "isolated"), byte_level])


RULES: dict[str, dict[str, Any]] = {
    "gpt2": {"pre_tokenizer": pre_tokenizers.ByteLevel(add_prefix_space=False)},
    "llama3": {"pre_tokenizer": bytes_of(WORDS)},
    "qwen": {
        "normalizer": normalizers.NFC(),
        "pre_tokenizer": bytes_of(WORDS.replace("{1,3}", "")),
    },
    "llama2": {"normalizer": blanks_marked(), "byte_fallback": True},
    "metaspace": {"pre_tokenizer": pre_tokenizers.Metaspace(prepend_scheme="first")},
}
READ_FAST = [kind for kind in RULES if kind != "metaspace"]


@functools.cache
def tokenizer(kind: str) -> Any:
    """A small tokenizer of the kind that a family of models has; it adds `<s>` itself."""
    from transformers import PreTrainedTokenizerFast

    rules = dict(RULES[kind])
    fallback = rules.pop("byte_fallback", False)
    core = Tokenizer(models.BPE(unk_token="<unk>", byte_fallback=fallback, fuse_unk=fallback))
    for name, rule in rules.items():
        setattr(core, name, rule)
    special = [AddedToken(text, special=True, normalized=False) for text in SPECIAL]
    single_bytes = [f"<0x{byte:02X}>" for byte in range(256)] if fallback else []
    core.train_from_iterator(
        TEXT,
        trainers.BpeTrainer(
            vocab_size=700,
            special_tokens=[*special, *single_bytes],
            initial_alphabet=[] if fallback else pre_tokenizers.ByteLevel.alphabet(),
            show_progress=False,
        ),
    )
    core.post_processor = processors.TemplateProcessing(
        single="<s> $A", special_tokens=[("<s>", core.token_to_id("<s>"))]
    )
    return PreTrainedTokenizerFast(tokenizer_object=core, bos_token="<s>", eos_token="</s>")


PARTS = [
    *SPECIAL, " ", "\n", "heart", "<|", "心", "e\u0301", "  ", "\t", "\r\n", "'s", "'LL", "123",
    "4567", "µ", "é", "👩‍⚕️", "\u00a0", "\u200b", "\x00", "\x1b[31m", "β-", "ﬁ", "한국", "\u314e",
    "_", "▁", "<0x0A>", "…", "\u2028", "A\u030a", "ß", "İ", "\u0345",
]  # fmt: skip
WRITTEN = st.one_of(st.lists(st.sampled_from(PARTS), max_size=30).map("".join), st.text())


@pytest.mark.parametrize("kind", READ_FAST)
@given(texts=st.lists(WRITTEN, max_size=8))
@settings(max_examples=200, deadline=None)
def test_tokens_are_those_of_the_models_own_tokenizer(kind: str, texts: list[str]) -> None:
    own = tokenizer(kind)
    engine = tokens.fast_engine(own)
    assert engine is not None
    for special in (False, True):
        read = tokens.reader(own, engine, [], special=special)
        assert read(texts) == tokens.token_lists(own, texts, special=special)


@pytest.mark.parametrize("kind", READ_FAST)
def test_the_models_own_tokenizer_reads_a_small_share(kind: str) -> None:
    read: list[str] = []

    class Counting:
        """Notes what it is asked."""

        def __getattr__(self, name: str) -> Any:
            return getattr(tokenizer(kind), name)

        def __call__(self, texts: Sequence[str], **options: Any) -> Any:
            read.extend(texts)
            return tokenizer(kind)(texts, **options)

    texts = [f"The heart pumps {number} litres." for number in range(1000)]
    engine = tokens.fast_engine(Counting())
    read.clear()
    found = tokens.reader(Counting(), engine, texts, special=False)(texts)
    assert len(read) < 20
    assert found == tokens.token_lists(tokenizer(kind), texts, special=False)


def test_rules_that_fastokens_does_not_know_are_left_to_the_tokenizer() -> None:
    assert tokens.fast_engine(tokenizer("metaspace")) is None


def test_an_engine_that_disagrees_is_not_used() -> None:
    texts = ["12 345 6789 heart"] * 3
    own, other = tokenizer("llama3"), tokens.fast_engine(tokenizer("qwen"))
    wanted = tokens.token_lists(own, texts, special=False)
    assert tokens.reader(own, other, [], special=False)(texts) != wanted
    assert tokens.reader(own, other, texts, special=False)(texts) == wanted


def test_probes_tell_tokenizers_apart_that_differ_in_one_rule(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    other = tokenizer("qwen").backend_tokenizer.to_str()
    load = fastokens.Tokenizer.from_json_str

    wrong = types.SimpleNamespace(from_json_str=lambda _: load(other))
    monkeypatch.setattr(fastokens, "Tokenizer", wrong)
    assert tokens.fast_engine(tokenizer("llama3")) is None
    assert tokens.fast_engine(tokenizer("qwen")) is not None


@pytest.mark.parametrize("layout", ["chat", "plain"])
@pytest.mark.parametrize("count", [tokens.WORTHWHILE - 1, tokens.WORTHWHILE])
def test_many_prompts_have_the_tokens_of_the_models_own_tokenizer(
    layout: Layout, count: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    fast: list[int] = []
    read = tokens._fast_lists

    def counting(engine: Any, texts: Sequence[str], *, special: bool) -> list[list[int]]:
        fast.append(len(texts))
        return read(engine, texts, special=special)

    monkeypatch.setattr(tokens, "_fast_lists", counting)
    own = tokenizer("llama3")
    own.chat_template = "{% for m in messages %}<|start|>{{ m['content'] }}<|end|>{% endfor %}"
    samples = [
        Sample(
            task="AnEM", id=f"AnEM/{n}", key=str(n), instruction="Name the organ.",
            input=f"The heart pumps {n} litres.", gold="heart", history=(),
        )
        for n in range(count)
    ]  # fmt: skip
    how = prompts.PromptOptions(shots=0, layout=layout)
    built = prompts.build(samples, options=how, tokenizer=own, max_prompt_tokens=[None] * count)
    for prompt in built:
        wanted = own(prompt.text, add_special_tokens=layout == "plain").input_ids
        assert list(prompt.token_ids or ()) == wanted
    assert (count in fast) == (count >= tokens.WORTHWHILE)


def test_a_batch_that_fastokens_refuses_is_read_by_the_tokenizer() -> None:
    class Refusing:
        """Gives up on long texts, as patterns with a limit on their steps do."""

        def encode_batch_flat(self, texts: list[str], **options: Any) -> Any:
            if max(map(len, texts)) > 100:
                raise ValueError("match limit exceeded")
            return engine.encode_batch_flat(texts, **options)

    own = tokenizer("gpt2")
    engine = tokens.fast_engine(own)
    assert engine is not None
    read = tokens.reader(own, Refusing(), ["heart"], special=False)
    for texts in (["heart"], ["heart " * 50, "liver"]):
        assert read(texts) == tokens.token_lists(own, texts, special=False)
