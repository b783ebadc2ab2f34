"""The three layouts: a sample's turns before any template is applied."""

from __future__ import annotations

from collections.abc import Sequence

from medinst_eval.types import Layout, Message

Pairs = Sequence[tuple[str, str]]


def turns(
    layout: Layout,
    question: str,
    pairs: Pairs,
    system_prompt: str | None,
    *,
    merge_system: bool = False,
) -> tuple[Message, ...]:
    """Chat turns of a prompt; in the `plain` layout one user turn that holds the whole text.

    Args:
        layout: The layout.
        question: `instruction + "\\n" + input`.
        pairs: Demonstrations (user, answer).
        system_prompt: Text that stands before everything.
        merge_system: Put the system prompt at the head of the first user turn.
    """
    if layout == "plain":
        opening = f"{system_prompt}\n\n" if system_prompt else ""
        return (Message(role="user", content=opening + plain_text(question, pairs)),)
    if layout == "inline" and pairs:
        question, pairs = inline_text(question, pairs), ()
    messages = [
        turn
        for user, answer in pairs
        for turn in (
            Message(role="user", content=user),
            Message(role="assistant", content=answer),
        )
    ]
    messages.append(Message(role="user", content=question))
    if system_prompt and merge_system:
        first = messages[0]
        messages[0] = Message(role="user", content=f"{system_prompt}\n\n{first.content}")
    elif system_prompt:
        messages.insert(0, Message(role="system", content=system_prompt))
    return tuple(messages)


def plain_text(question: str, pairs: Pairs) -> str:
    """Demonstrations and question as running text that the answer continues.

    The answer stands on a line of its own, but behind a colon (`Answer:`) on the same.
    """
    shown = "".join(f"{user}{_gap(user)}{answer}\n\n" for user, answer in pairs)
    return f"{shown}{question}{_gap(question).rstrip(' ')}"


def _gap(text: str) -> str:
    return " " if text.endswith(":") else "\n"


def inline_text(question: str, pairs: Pairs) -> str:
    """Demonstrations and question in one user turn, each part under a heading of its own."""
    shown = "".join(
        f"Example {number}:\n{user}\nAnswer: {answer}\n\n"
        for number, (user, answer) in enumerate(pairs, start=1)
    )
    return f"{shown}Now answer this one:\n{question}"
