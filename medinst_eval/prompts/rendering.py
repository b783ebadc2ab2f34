"""Turns -> text by the model's own chat template -> tokens, in batches."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal, Protocol

from medinst_eval.errors import InputError
from medinst_eval.prompts.layouts import Pairs, turns
from medinst_eval.prompts.tokens import WORTHWHILE, fast_engine, reader, token_lists
from medinst_eval.types import Layout, Message

# Prompts per call of the tokenizer: enough to keep its threads busy; what a call returns is
# several times larger than what is kept of it.
_BATCH = 512

# Arguments of `apply_chat_template` itself, which `--chat-template-arg` must not change.
_RESERVED = frozenset(
    {
        "add_generation_prompt",
        "continue_final_message",
        "conversation",
        "max_length",
        "padding",
        "return_assistant_tokens_mask",
        "return_dict",
        "return_tensors",
        "tokenize",
        "tokenizer_kwargs",
        "truncation",
    }
)


class Tokenizer(Protocol):
    """The part of a Hugging Face tokenizer that prompts need."""

    chat_template: str | None
    bos_token: str | None
    eos_token: str | None

    def __call__(self, text: Any, **kwargs: Any) -> Any: ...
    def apply_chat_template(self, conversation: Any, **kwargs: Any) -> Any: ...
    def decode(self, token_ids: Any, **kwargs: Any) -> str: ...


@dataclass(frozen=True, kw_only=True)
class Renderer:
    """One way of showing samples to one model."""

    layout: Layout
    system_prompt: str | None
    template_args: Mapping[str, Any]
    tokenizer: Tokenizer | None
    interned: dict[int, int] = field(default_factory=dict, repr=False)
    """One object per token id: millions of tokens would else be millions of integers."""

    def __post_init__(self) -> None:
        reserved = sorted(_RESERVED & set(self.template_args))
        if reserved:
            raise InputError(
                f"--chat-template-arg {reserved[0]} is set by the harness itself; leave it out"
            )

    @cached_property
    def system_role(self) -> Literal["none", "system", "user"]:
        """Whether the system prompt is a turn of its own or must open the first user turn."""
        if not self.system_prompt:
            return "none"
        if self.layout == "plain":
            return "user"
        if self.tokenizer is None:
            return "system"
        from jinja2 import TemplateError

        probe = turns(self.layout, "question", (), self.system_prompt)
        try:
            (text,) = self._render([probe])
        except TemplateError:
            return "user"
        # Some templates skip turns whose role they do not know.
        return "system" if self.system_prompt.strip() in text else "user"

    def messages(self, question: str, pairs: Pairs) -> tuple[Message, ...]:
        """Turns of one prompt."""
        merge = self.system_role == "user"
        return turns(self.layout, question, pairs, self.system_prompt, merge_system=merge)

    def texts(self, prompts: Sequence[tuple[Message, ...]]) -> list[str] | None:
        """What the model reads, template applied; None where a server applies it.

        Raises:
            InputError: The template cannot render the turns.
        """
        if self.layout == "plain":
            return [messages[0].content for messages in prompts]
        if self.tokenizer is None:
            return None
        from jinja2 import TemplateError

        try:
            return self._render(prompts)
        except (TemplateError, TypeError) as error:
            reason = " ".join(str(error).split())
            raise InputError(
                f"the model's chat template cannot render the prompt ({reason}); try --layout "
                "inline or plain, or check --chat-template-arg"
            ) from error

    def token_ids(self, texts: Sequence[str]) -> Iterator[tuple[int, ...]]:
        """Tokens of rendered texts, the special tokens that belong there included."""
        # A chat template writes all special tokens it wants; more would be wrong.
        special = self.layout == "plain"
        engine = self._engine if len(texts) >= WORTHWHILE else None
        read = reader(self.tokenizer, engine, texts, special=special)
        keep = self.interned.setdefault
        for start in range(0, len(texts), _BATCH):
            batch = texts[start : start + _BATCH]
            encoded = read(batch)
            if special:
                self._without_doubles(batch, encoded)
            for ids in encoded:
                yield tuple(map(keep, ids, ids))

    @cached_property
    def _engine(self) -> Any | None:
        return fast_engine(self.tokenizer)

    def _render(self, prompts: Sequence[tuple[Message, ...]]) -> list[str]:
        assert self.tokenizer is not None
        conversations = [
            [{"role": turn.role, "content": turn.content} for turn in messages]
            for messages in prompts
        ]
        rendered: list[str] = self.tokenizer.apply_chat_template(
            conversations, tokenize=False, add_generation_prompt=True, **self.template_args
        )
        return rendered

    def _without_doubles(self, texts: Sequence[str], encoded: list[list[int]]) -> None:
        """Mend prompts that open with a special token twice, or close with one."""
        assert self.tokenizer is not None
        bos, eos = self.tokenizer.bos_token, self.tokenizer.eos_token
        end = getattr(self.tokenizer, "eos_token_id", None)
        for index, text in enumerate(texts):
            if bos and text.startswith(bos):
                (encoded[index],) = token_lists(self.tokenizer, [text], special=False)
            elif end is not None and encoded[index][-1:] == [end] and not text.endswith(eos or ""):
                # A closing token, which some tokenizers add, would tell the model to stop here.
                encoded[index] = encoded[index][:-1]
