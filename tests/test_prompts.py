"""Prompts by real tokenizers: the model's template and special tokens, layouts, fitting."""

from __future__ import annotations

import functools
import hashlib
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer as Core
from tokenizers import (
    decoders,
    models,
    pre_tokenizers,
    processors,
    trainers,
)

from medinst_eval import prompts
from medinst_eval.errors import InputError
from medinst_eval.prompts import PromptOptions
from medinst_eval.types import Message, Prompt, Sample

LLAMA3 = (
    "{% for message in messages %}{% set content = '<|start|>' + message['role'] + '<|end|>\n\n' +"
    " message['content'] | trim + '<|eot|>' %}{% if loop.index0 == 0 %}{% set content = bos_token"
    " + content %}{% endif %}{{ content }}{% endfor %}{% if add_generation_prompt %}"
    "{{ '<|start|>assistant<|end|>\n\n' }}{% endif %}"
)
MISTRAL = (
    "{{ bos_token }}{% for message in messages %}"
    "{% if (message['role'] == 'user') != (loop.index0 % 2 == 0) %}"
    "{{ raise_exception('Conversation roles must alternate user/assistant/user/assistant/...') }}"
    "{% endif %}{% if message['role'] == 'user' %}{{ '[INST] ' + message['content'] + ' [/INST]' }}"
    "{% elif message['role'] == 'assistant' %}{{ message['content'] + eos_token }}{% else %}"
    "{{ raise_exception('Only user and assistant roles are supported!') }}{% endif %}{% endfor %}"
)
CHATML = (
    "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\n' + message['content'] +"
    " '<|im_end|>\n' }}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}"
    "{% if enable_thinking is defined and enable_thinking is false %}"
    "{{ '<think>\n\n</think>\n\n' }}{% endif %}{% endif %}"
)
DEAF = (  # skips turns whose role it does not know
    "{% for message in messages %}{% if message['role'] == 'user' %}"
    "{{ 'U: ' + message['content'] }}{% elif message['role'] == 'assistant' %}"
    "{{ 'A: ' + message['content'] }}{% endif %}{% endfor %}"
)
SPECIAL = ["<s>", "</s>", "<|start|>", "<|end|>", "<|eot|>", "<|im_start|>", "<|im_end|>"]
TEXT = [
    "Name the organ that is mentioned in the text. The heart pumps blood; the liver does not.",
    "instruction input output example answer now this one user assistant system 心脏 café",
]


@functools.cache
def tokenizer(template: str | None = LLAMA3, bos: bool = True, ends: bool = False) -> Any:
    """A byte-level BPE tokenizer; it adds `<s>` itself as those of Llama and Mistral do."""
    from transformers import PreTrainedTokenizerFast

    core = Core(models.BPE())
    core.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    core.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    core.train_from_iterator(
        TEXT,
        trainers.BpeTrainer(
            vocab_size=600, initial_alphabet=alphabet, special_tokens=SPECIAL, show_progress=False
        ),
    )
    if bos:
        core.post_processor = processors.TemplateProcessing(
            single="<s> $A </s>" if ends else "<s> $A",
            special_tokens=[("<s>", 0), ("</s>", 1)],
        )
    made = PreTrainedTokenizerFast(
        tokenizer_object=core,
        bos_token="<s>" if bos else None,
        eos_token="</s>",
        model_max_length=64,  # a longer prompt must not make it complain
    )
    made.chat_template = template
    return made


CHATTY = [LLAMA3, MISTRAL, CHATML]


def sample(number: int = 0, text: str = "The heart pumps.", shots: int = 2) -> Sample:
    return Sample(
        task="T",
        id=f"T/{number}",
        key="k",
        instruction="Name the organ.",
        input=text,
        gold="heart",
        history=tuple((f"Name it.\nQ{n}", f"A{n}") for n in range(1, shots + 1)),
    )


def build(*samples: Sample, to: Any, limit: int | None = None, **options: Any) -> list[Prompt]:
    return prompts.build(
        samples,
        options=PromptOptions(**options),
        tokenizer=to,
        max_prompt_tokens=[limit] * len(samples),
    )


def one(
    to: Any, limit: int | None = None, text: str = "The heart pumps.", **options: Any
) -> Prompt:
    (prompt,) = build(sample(text=text), to=to, limit=limit, **options)
    return prompt


# -- what the model is shown --------------------------------------------------------------------


def test_the_papers_layout_literally() -> None:
    assert one(tokenizer(LLAMA3)).text == (
        "<s><|start|>user<|end|>\n\nName it.\nQ1<|eot|><|start|>assistant<|end|>\n\nA1<|eot|>"
        "<|start|>user<|end|>\n\nName it.\nQ2<|eot|><|start|>assistant<|end|>\n\nA2<|eot|>"
        "<|start|>user<|end|>\n\nName the organ.\nThe heart pumps.<|eot|>"
        "<|start|>assistant<|end|>\n\n"
    )


def test_inline_layout_literally() -> None:
    (message,) = one(tokenizer(CHATML), layout="inline").messages
    assert message == Message(
        role="user",
        content="Example 1:\nName it.\nQ1\nAnswer: A1\n\nExample 2:\nName it.\nQ2\nAnswer: A2\n\n"
        "Now answer this one:\nName the organ.\nThe heart pumps.",
    )
    assert one(None, layout="inline", shots=0) == one(None, layout="chat", shots=0)


def test_plain_layout_literally() -> None:
    prompt = one(tokenizer(None), system_prompt="Be brief.")
    assert prompt.text == (
        "Be brief.\n\nName it.\nQ1\nA1\n\nName it.\nQ2\nA2\n\nName the organ.\nThe heart pumps.\n"
    )
    assert prompt.messages == (Message(role="user", content=prompt.text),)


@pytest.mark.parametrize("shots", [0, 1, 2, 5])
def test_the_first_demonstrations_are_shown(shots: int) -> None:
    prompt = one(tokenizer(CHATML), shots=shots)
    shown = [m.content for m in prompt.messages if m.role == "assistant"]
    assert shown == ["A1", "A2"][:shots]
    assert (prompt.shots, prompt.dropped_shots) == (min(shots, 2), 0)


@pytest.mark.parametrize("template", CHATTY)
@pytest.mark.parametrize("layout", ["chat", "inline"])
@pytest.mark.parametrize("shots", [0, 2])
@pytest.mark.parametrize("system", [None, "Be brief."])
def test_tokens_are_those_of_the_models_own_template(
    template: str, layout: Any, shots: int, system: str | None
) -> None:
    model = tokenizer(template, bos=template != CHATML)
    prompt = one(model, layout=layout, shots=shots, system_prompt=system)
    turns = [{"role": m.role, "content": m.content} for m in prompt.messages]
    expected = model.apply_chat_template(turns, add_generation_prompt=True)["input_ids"]
    assert list(prompt.token_ids or ()) == expected
    assert model.decode(prompt.token_ids) == prompt.text


@pytest.mark.parametrize("template", [LLAMA3, MISTRAL])
def test_one_opening_token_and_no_closing_one(template: str) -> None:
    for ends in (False, True):
        ids = one(tokenizer(template, ends=ends)).token_ids or ()
        assert ids.count(0) == 1
        assert ids[0] == 0
        assert ids[-1] != 1


def test_plain_text_gets_the_opening_token_only() -> None:
    for ends in (False, True):
        ids = one(tokenizer(None, ends=ends)).token_ids or ()
        assert (ids[0], ids.count(0), ids.count(1)) == (0, 1, 0)
    assert (one(tokenizer(None, bos=False)).token_ids or ())[0] != 0


def test_plain_text_that_brings_its_opening_token_gets_no_second_one() -> None:
    ids = one(tokenizer(None), system_prompt="<s>Be brief.").token_ids or ()
    assert (ids[0], ids.count(0)) == (0, 1)


def test_layout_is_chosen_by_the_model() -> None:
    assert prompts.resolve_layout(PromptOptions(), tokenizer(CHATML)) == "chat"
    assert prompts.resolve_layout(PromptOptions(), tokenizer(None)) == "plain"
    assert prompts.resolve_layout(PromptOptions(), None) == "chat"
    assert prompts.resolve_layout(PromptOptions(layout="plain"), tokenizer(CHATML)) == "plain"
    with pytest.raises(InputError, match="--layout inline needs a chat template"):
        prompts.resolve_layout(PromptOptions(layout="inline"), tokenizer(None))


SYSTEM = [(CHATML, "system"), (LLAMA3, "system"), (MISTRAL, "user"), (DEAF, "user"), (None, "user")]


@pytest.mark.parametrize(("template", "role"), SYSTEM)
def test_the_system_prompt_always_reaches_the_model(template: str | None, role: str) -> None:
    options = PromptOptions(system_prompt="Be brief.")
    assert prompts.system_role(options, tokenizer(template)) == role
    prompt = one(tokenizer(template), system_prompt="Be brief.")
    assert (prompt.text or "").count("Be brief.") == 1
    assert prompt.messages[0].role == role
    if role == "user":
        assert prompt.messages[0].content.startswith("Be brief.\n\nName it.\nQ1")


def test_without_a_system_prompt_there_is_no_such_turn() -> None:
    assert prompts.system_role(PromptOptions(), tokenizer(MISTRAL)) == "none"
    assert one(None, system_prompt="").messages == one(None).messages
    assert prompts.system_role(PromptOptions(system_prompt="x"), None) == "system"


def test_template_arguments_reach_the_template() -> None:
    off = one(tokenizer(CHATML), template_args={"enable_thinking": False})
    assert (off.text or "").endswith("assistant\n<think>\n\n</think>\n\n")
    assert (one(tokenizer(CHATML)).text or "").endswith("assistant\n")


@pytest.mark.parametrize("name", ["tokenize", "add_generation_prompt", "return_dict"])
def test_template_arguments_of_the_harness_are_refused(name: str) -> None:
    with pytest.raises(InputError, match=f"--chat-template-arg {name} is set by the harness"):
        one(tokenizer(CHATML), template_args={name: True})


def test_a_template_that_cannot_render_is_bad_input() -> None:
    broken = "{{ raise_exception('no\n\ntemplate') }}"
    with pytest.raises(InputError, match="chat template cannot render the prompt") as caught:
        one(tokenizer(broken))
    assert "\n" not in str(caught.value)


def test_a_server_is_sent_turns_and_nothing_is_measured() -> None:
    prompt = one(None, limit=1, system_prompt="Be brief.")
    assert [m.role for m in prompt.messages] == ["system", *["user", "assistant"] * 2, "user"]
    assert (prompt.text, prompt.token_ids, prompt.cut_tokens) == (None, None, 0)
    turns = json.dumps([[m.role, m.content] for m in prompt.messages], separators=(",", ":"))
    assert prompt.sha == hashlib.sha256(turns.encode()).hexdigest()


def test_a_server_without_template_is_sent_text() -> None:
    prompt = one(None, layout="plain")
    assert prompt.text == prompt.messages[0].content
    assert prompt.token_ids is None


def test_sha_is_that_of_the_text() -> None:
    prompt = one(tokenizer(LLAMA3))
    assert prompt.sha == hashlib.sha256((prompt.text or "").encode()).hexdigest()


def test_prompts_keep_the_order_of_samples() -> None:
    asked = [sample(n, text=f"text {n}" * (n % 7)) for n in range(1100)]
    built = build(*asked, to=tokenizer(CHATML), shots=0)
    for given_, made in zip(asked, built, strict=True):
        assert made.messages[-1].content == f"Name the organ.\n{given_.input}"
        assert tokenizer(CHATML).decode(made.token_ids) == made.text


def test_tokenised_in_batches() -> None:
    calls: list[int] = []

    class Counting(Slow):
        is_fast = True

        def __call__(self, text: Any, **kwargs: Any) -> Any:
            calls.append(len(text))
            return self.inner(text, **kwargs)

    build(*[sample(n) for n in range(1000)], to=Counting(tokenizer(CHATML)))
    assert sum(calls) == 1000
    assert len(calls) <= 4


# -- fitting ------------------------------------------------------------------------------------


class Slow:
    """A tokenizer without offsets, as those written in Python are."""

    is_fast = False

    def __init__(self, inner: Any) -> None:
        self.inner = inner
        self.chat_template = inner.chat_template
        self.bos_token, self.eos_token = inner.bos_token, inner.eos_token
        self.eos_token_id = inner.eos_token_id

    def __call__(self, text: Any, **kwargs: Any) -> Any:
        assert "return_offsets_mapping" not in kwargs
        return self.inner(text, **kwargs)

    def apply_chat_template(self, conversation: Any, **kwargs: Any) -> Any:
        return self.inner.apply_chat_template(conversation, **kwargs)

    def decode(self, token_ids: Any, **kwargs: Any) -> str:
        text: str = self.inner.decode(token_ids, **kwargs)
        return text


def length(prompt: Prompt) -> int:
    return len(prompt.token_ids or ())


def test_a_prompt_that_just_fits_is_left_alone() -> None:
    whole = one(tokenizer(CHATML))
    assert one(tokenizer(CHATML), limit=length(whole)) == whole


def test_demonstrations_go_first_and_the_foremost_one_before_the_others() -> None:
    whole = one(tokenizer(CHATML))
    shorter = one(tokenizer(CHATML), limit=length(whole) - 1)
    assert (shorter.shots, shorter.dropped_shots, shorter.cut_tokens) == (1, 1, 0)
    assert [m.content for m in shorter.messages] == [
        "Name it.\nQ2", "A2", "Name the organ.\nThe heart pumps.",
    ]  # fmt: skip
    bare = one(tokenizer(CHATML), limit=length(shorter) - 1)
    assert (bare.shots, bare.dropped_shots, bare.cut_tokens) == (0, 2, 0)
    assert bare.text == one(tokenizer(CHATML), shots=0).text


def test_then_the_middle_of_the_input_goes() -> None:
    text = "HEAD " + "the heart pumps blood " * 50 + "TAIL"
    whole = one(tokenizer(CHATML), text=text, shots=0)
    cut = one(tokenizer(CHATML), text=text, limit=60)
    assert length(cut) <= 60
    assert (cut.shots, cut.dropped_shots) == (0, 2)
    shown = cut.messages[-1].content
    assert shown.startswith("Name the organ.\nHEAD the heart")
    assert shown.endswith("blood TAIL")
    assert shown.count(" … ") == 1
    # What is missing from the prompt is what was cut, but for the mark in its place.
    mark = len(tokenizer(CHATML)(" … ", add_special_tokens=False)["input_ids"])
    assert abs(length(whole) - length(cut) - cut.cut_tokens) <= mark + 2


@pytest.mark.parametrize("layout", ["chat", "inline", "plain"])
@pytest.mark.parametrize("template", [LLAMA3, CHATML])
@pytest.mark.parametrize("slow", [False, True])
@given(
    texts=st.lists(st.text(alphabet="ab \n心é😀<|s>", max_size=300), min_size=1, max_size=4),
    limit=st.integers(min_value=40, max_value=160),
    shots=st.integers(min_value=0, max_value=3),
)
@settings(max_examples=25, deadline=None)
def test_every_prompt_fits(
    layout: Any, template: str, slow: bool, texts: list[str], limit: int, shots: int
) -> None:
    model = Slow(tokenizer(template)) if slow else tokenizer(template)
    asked = [sample(n, text, shots=2) for n, text in enumerate(texts)]
    options = {"layout": layout, "shots": shots}
    fitted = build(*asked, to=model, limit=limit, **options)
    free = build(*asked, to=model, **options)
    for given_, whole, prompt in zip(asked, free, fitted, strict=True):
        assert length(prompt) <= limit
        assert prompt.shots + prompt.dropped_shots == min(shots, 2)
        if length(whole) <= limit:
            assert prompt == whole
        else:
            assert prompt.dropped_shots + prompt.cut_tokens > 0
        if prompt.cut_tokens:
            assert prompt.shots == 0
            shown = prompt.messages[-1].content.removeprefix("Name the organ.\n")
            shown = shown.removesuffix("\n") if layout == "plain" else shown
            head, gap, tail = shown.partition(" … ")
            assert given_.input.startswith(head)
            assert given_.input.endswith(tail)
            assert len(head) + len(tail) <= len(given_.input)
            assert gap or not shown


def test_limits_are_those_of_each_sample() -> None:
    asked = [sample(0, "the heart " * 100), sample(1, "the heart " * 100)]
    tight, free = prompts.build(
        asked, options=PromptOptions(), tokenizer=tokenizer(CHATML), max_prompt_tokens=[60, None]
    )
    assert length(tight) <= 60
    assert (free.cut_tokens, free.dropped_shots) == (0, 0)


def test_no_room_for_the_instruction() -> None:
    with pytest.raises(InputError, match=r"T/0: a prompt of at most 10 tokens has no room for"):
        one(tokenizer(CHATML), limit=10)
    assert one(tokenizer(CHATML), limit=40, text="").cut_tokens == 0


def test_overlong_prompts_are_refused_where_asked() -> None:
    asked = [sample(0), sample(1, "the heart " * 100), sample(2, "the heart " * 100)]
    count = length(build(asked[1], to=tokenizer(CHATML))[0])
    with pytest.raises(InputError) as caught:
        build(*asked, to=tokenizer(CHATML), limit=150, overlong="error")
    assert str(caught.value).startswith(
        f"2 of 3 prompts do not fit; the first is T/1 ({count} tokens, room for 150): "
    )
    assert len(build(*asked, to=tokenizer(CHATML), limit=1000, overlong="error")) == 3
