"""Reasoning and answer are told apart, for each family of models."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from medinst_eval.parsers import reasoning


@pytest.mark.parametrize(
    ("text", "thought", "answer"),
    [
        ("<think>hm</think>B", "hm", "B"),
        ("<think>\n\n</think>\n\nB", "", "B"),
        ("hm, the prompt opened it\n</think>\n\nB", "hm, the prompt opened it", "B"),
        ("<thinking>hm</thinking>\nB", "hm", "B"),
        ("<reasoning>hm</reasoning><answer>B</answer>", "hm", "<answer>B</answer>"),
        ("<seed:think>hm</seed:think>B", "hm", "B"),
        ("[THINK]hm[/THINK]B", "hm", "B"),
        ("◁think▷hm◁/think▷B", "hm", "B"),
        ("<|START_THINKING|>hm<|END_THINKING|><|START_RESPONSE|>B<|END_RESPONSE|>", "hm", "B"),
        ("<|channel>thought\nhm<channel|>B", "hm", "B"),
        ("<think>a</think>x<think>b</think>y", "a\nb", "xy"),
        ("<think>a </think> is a tag </think> B", "a\nis a tag", "B"),
        ("<think>a</think>B</think>", "a", "B"),
        (
            "<|channel|>analysis<|message|>hm<|end|><|start|>assistant"
            "<|channel|>final<|message|>B<|return|>",
            "hm",
            "B",
        ),
        ("hm<|end|><|start|>assistant<|channel|>final<|message|>B", "hm", "B"),
        ("analysisThe user asks.assistantfinalB", "The user asks.", "B"),
        ("Here is my thought process: hm\nHere is my response: B", "hm", "B"),
    ],
)
def test_split(text: str, thought: str, answer: str) -> None:
    assert reasoning.split(text) == reasoning.Split(
        answer=answer, reasoning=thought, unfinished=False
    )


@pytest.mark.parametrize(
    ("text", "thought"),
    [
        ("<think>hm, so B", "hm, so B"),
        ("[THINK]hm", "hm"),
        ("<think>a</think>B<think>again", "a\nagain"),
        ("<|channel|>analysis<|message|>hm", "hm"),
        ("analysisThe user asks for", "The user asks for"),
    ],
)
def test_reasoning_that_never_ends_is_no_answer(text: str, thought: str) -> None:
    assert reasoning.split(text) == reasoning.Split(answer="", reasoning=thought, unfinished=True)


@pytest.mark.parametrize("text", ["B", "[IL-2 <Protein>]", "", "analysis of variance", "a < b"])
def test_text_without_reasoning_is_left_alone(text: str) -> None:
    assert reasoning.split(text) == reasoning.Split(answer=text, reasoning=None, unfinished=False)


@given(st.text(), st.text())
def test_any_thought_and_any_answer(thought: str, answer: str) -> None:
    marks = ("<", ">", "[", "]", "◁", "▷", "|")
    if any(mark in thought + answer for mark in marks) or not answer.strip():
        return
    split = reasoning.split(f"<think>{thought}</think>{answer}")
    assert split.answer == answer.strip()
    assert split.reasoning == thought.strip()
