"""Log-probabilities of fixed continuations, asked of an engine one next token at a time.

A choice scores the sum over its tokens of log p(token | prompt, earlier tokens of the choice),
from the raw logits in natural logarithms, not normalised by length. The choices form a trie; each
inner node is one question "what are the log-probabilities of these next tokens after prompt +
prefix?". Choices of one token each (A, B, C, D) need a single question per prompt.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from medinst_eval.backends.base import Tokenizer

Prefix = tuple[int, ...]
Logprobs = Mapping[Prefix, Mapping[int, float]]
"""For each prefix the log-probability of each next token."""

TAIL = 64
"""Characters of the prompt's end that are tokenised together with a choice."""


def continuation_ids(
    tokenizer: Tokenizer, text: str, choices: Sequence[str]
) -> list[tuple[int, ...]]:
    """Tokens of each choice as it continues a prompt.

    Behind a chat template's header a choice is spelt as the template itself spells an answer there.
    Elsewhere a prompt that ends in plain text (`Answer:`) is continued by a space and the choice;
    after white space or a token of the tokenizer's own by the choice itself. Prompt end and choice
    are tokenised together and the prompt's tokens taken off; where they merge into one token, the
    choice is tokenised alone.
    """
    tail = text[-TAIL:]
    gap = _gap(tokenizer, tail)
    prefix = _ids(tokenizer, tail)
    found = []
    for choice in choices:
        piece = choice if choice[:1].isspace() else gap + choice
        joint = _ids(tokenizer, tail + piece)
        alone = joint[: len(prefix)] != prefix or len(joint) == len(prefix)
        found.append(tuple(_ids(tokenizer, piece) if alone else joint[len(prefix) :]))
    return found


def _gap(tokenizer: Tokenizer, tail: str) -> str:
    """What stands between the end of a prompt and its answer: white space or nothing."""
    header, gap = _template_gap(tokenizer)
    if header and tail.endswith(header):
        return gap
    added = getattr(tokenizer, "added_tokens_decoder", {}).values()
    if not tail or tail[-1].isspace() or tail.endswith(tuple(token.content for token in added)):
        return ""
    return " "


def _template_gap(tokenizer: Tokenizer) -> tuple[str, str]:
    """The end of a prompt by the chat template, and what the template writes before an answer.

    The header is empty where there is no template, or one that heads answers differently when they
    are history.
    """
    if not getattr(tokenizer, "chat_template", None):
        return "", ""
    from jinja2 import TemplateError

    question = {"role": "user", "content": "Q?"}
    answer = {"role": "assistant", "content": "A"}
    try:
        asked = tokenizer.apply_chat_template(
            [question], tokenize=False, add_generation_prompt=True
        )
        answered = tokenizer.apply_chat_template([question, answer], tokenize=False)
    except TemplateError:
        return "", ""
    header, rest = asked.rpartition("Q?")[2], answered.removeprefix(asked)
    gap = rest[: len(rest) - len(rest.lstrip())]
    if rest == answered or not rest.startswith(f"{gap}A"):
        return "", ""
    return header, gap


def _ids(tokenizer: Tokenizer, text: str) -> list[int]:
    return [int(one) for one in tokenizer(text, add_special_tokens=False)["input_ids"]]


def questions(continuations: Sequence[Sequence[int]]) -> dict[Prefix, list[int]]:
    """Prefixes of the trie, each with the next tokens whose log-probability is needed."""
    asked: dict[Prefix, list[int]] = {}
    for tokens in continuations:
        for position, token in enumerate(tokens):
            wanted = asked.setdefault(tuple(tokens[:position]), [])
            if token not in wanted:
                wanted.append(token)
    return asked


def scores(continuations: Sequence[Sequence[int]], logprobs: Logprobs) -> tuple[float, ...]:
    """Sum of log-probabilities of each continuation, in their order."""
    return tuple(
        sum(logprobs[tuple(tokens[:position])][token] for position, token in enumerate(tokens))
        for tokens in continuations
    )


def best(choices: Sequence[str], values: Sequence[float]) -> str:
    """The choice with the highest score, the first of equals."""
    return choices[max(range(len(choices)), key=lambda index: values[index])]
