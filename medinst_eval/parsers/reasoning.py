"""Splits the reasoning of a model from its answer, for the marks of the common model families."""

from __future__ import annotations

import re
from dataclasses import dataclass

_WORDS = r"(?:\w{1,12}:)?(?:think|thinking|thought|thoughts|reasoning|analysis|scratchpad)"
_OPEN = (
    rf"<{_WORDS}>|\[THINK\]|◁think▷|<\|START_THINKING\|>|<\|begin_of_thought\|>"
    r"|<\|open\|>think<\|sep\|>|<\|channel>(?:thought)?"
)
_CLOSE = (
    rf"</{_WORDS}>|\[/THINK\]|◁/think▷|<\|END_THINKING\|>|<\|end_of_thought\|>"
    r"|<\|close\|>think<\|sep\|>|<channel\|>"
)
_MARK = re.compile(rf"(?P<open>{_OPEN})|(?P<close>{_CLOSE})")
_CHANNEL = re.compile(r"<\|channel\|>\s{0,4}(\w{0,20})[^<\n]{0,80}(?:<\|message\|>|\n)?")
_CHANNEL_END = re.compile(
    r"<\|(?:end|return|call|start|channel|constrain|message)\|>(?:assistant)?"
)
# Harmony output decoded without its special tokens: "analysisThe user …assistantfinalYes".
_BARE_START = re.compile(r"\s{0,20}analysis(?=[A-Z\"'“(])")
_BARE_FINAL = "assistantfinal"
# Granite: plain sentences instead of marks.
_SENTENCES = re.compile(
    r"\s{0,20}here(?:'s| is) my thought process:(?P<thought>.*?)here(?:'s| is) my response:",
    re.IGNORECASE | re.DOTALL,
)
_WRAP = re.compile(
    r"<\|(?:START|END)_RESPONSE\|>|\[(?:BEGIN|END) FINAL RESPONSE\]"
    r"|<\|(?:begin|end)_of_solution\|>|<\|(?:open|close)\|>(?:response|message)<\|sep\|>"
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Split:
    """An output taken apart."""

    answer: str
    """What follows the reasoning; empty while the reasoning has not ended."""
    reasoning: str | None
    """The reasoning without its marks; None where there is none."""
    unfinished: bool
    """The reasoning never ends: there is no answer."""


def split(text: str) -> Split:
    """Take the reasoning out of an output.

    Known are `<think>` and its relatives (thinking, thought, reasoning, analysis, scratchpad, with
    or without a prefix as in `<seed:think>`), `[THINK]`, `◁think▷`, `<|START_THINKING|>`,
    `<|channel>thought`, the channels of the harmony format with or without their special tokens,
    and Granite's sentences. A lone closing mark means that the prompt opened the block. A mark
    that is never closed makes the answer empty, whatever stands before it.

    Args:
        text: Output of a model.
    """
    if "<|channel|>" in text:
        return _channels(text)
    bare = _BARE_START.match(text)
    if bare:
        return _bare_channels(text, bare.end())
    sentences = _SENTENCES.match(text)
    if sentences:
        return Split(
            answer=text[sentences.end() :].strip(),
            reasoning=sentences["thought"].strip(),
            unfinished=False,
        )
    return _marks(text)


def _marks(text: str) -> Split:
    outside: list[str] = []
    thoughts: list[str] = []
    last, inside, found = 0, False, False
    end = len(text.rstrip())
    for mark in _MARK.finditer(text):
        if mark.lastgroup == "open":
            if inside:
                continue
            outside.append(text[last : mark.start()])
            inside = True
        elif inside:
            thoughts.append(text[last : mark.start()])
            inside = False
        else:
            outside.append(text[last : mark.start()])
            if mark.end() >= end and found and any(part.strip() for part in outside):
                # A stray closing mark after the answer.
                last = len(text)
                continue
            thoughts.append("".join(outside))
            outside = []
        found = True
        last = mark.end()
    if not found:
        return Split(answer=text, reasoning=None, unfinished=False)
    if inside:
        thoughts.append(text[last:])
        return Split(answer="", reasoning=_join(thoughts), unfinished=True)
    outside.append(text[last:])
    answer = _WRAP.sub("", "".join(outside)).strip()
    return Split(answer=answer, reasoning=_join(thoughts), unfinished=False)


def _channels(text: str) -> Split:
    finals: list[str] = []
    thoughts: list[str] = []
    marks = list(_CHANNEL.finditer(text))
    head = _CHANNEL_END.sub("", text[: marks[0].start()]).strip()
    if head and head != "assistant":
        # The template opened the first channel.
        thoughts.append(head)
    for mark, following in zip(marks, [*marks[1:], None], strict=True):
        end = following.start() if following else len(text)
        body = _CHANNEL_END.sub("", text[mark.end() : end])
        (finals if mark[1] == "final" else thoughts).append(body)
    reasoning = _join(thoughts) if thoughts else None
    if not finals:
        return Split(answer="", reasoning=reasoning, unfinished=True)
    return Split(answer="\n".join(finals).strip(), reasoning=reasoning, unfinished=False)


def _bare_channels(text: str, start: int) -> Split:
    final = text.rfind(_BARE_FINAL)
    if final < 0:
        return Split(answer="", reasoning=text[start:].strip(), unfinished=True)
    answer = text[final + len(_BARE_FINAL) :].strip()
    return Split(answer=answer, reasoning=text[start:final].strip(), unfinished=False)


def _join(parts: list[str]) -> str:
    return "\n".join(part.strip() for part in parts if part.strip())
