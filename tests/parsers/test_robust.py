"""Whatever the text: no parser raises, none is slow, answers have the shape of their form."""

from __future__ import annotations

import random
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from medinst_eval.parsers import forms, options_from_input, parse, parse_gold, reasoning
from medinst_eval.types import ParseContext, ParsedAnswer

FORMS = forms()
INPUT = "IL-2 binds p21 [WAF1] ( see [1] ) .\nOptions: IL-2 / a the / yes / 3.5 / +/-"
LABELS = {
    "entities": ("Protein", "Gene_x"),
    "relations": ("CID",),
    "events": ("Binding", "Growth"),
    "label": ("Supports", "Refutes", "Neutral"),
    "labels": ("none", "resisting cell death", "a, b"),
    "word_labels": ("B", "I", "O"),
}
_SIGNS = """[ ] < > { } ( ) " ' “ ” ` ``` ** * _ | || - 1. : , ; . -> → = \\ \\u \\ud800 \\boxed{ /
& ~~~ &lt; <think> </think> <|channel|> <|message|> final analysis <answer> </answer> </s> <b> </b>
<span_class="Protein"> </span> <Protein> B I O [B] [O] B-Disease yes no maybe Supports not Refutes
A C 0 3 5 3.5 /5 2-3 ① ٣ ½ 𝟛 é İ ß ﬀ 中 文 answer_is Answer: score none No_entities IL-2 CID a the
Options: "entity" "type": null {" ": 【 】 ＜ ＞ NCBI_Gene/7486 dbSNP:rs12 Binding or and"""
PIECES = [*_SIGNS.replace("_", " ").split(" "), *_SIGNS.split()]
PIECES += ["  ", "\n", "\n\n", "\t", "\r", "\x00", "\u200b", "\ufeff", "\ud800", "- ", "1. "]


def _context(form: str, *, known: bool = True) -> ParseContext:
    if not known:
        return ParseContext()
    return ParseContext(
        input=INPUT,
        prompt=f"Do it.\n{INPUT}",
        labels=LABELS.get(form, ()),
        options=("IL-2", "a the", "yes", "3.5", "+/-") if form == "choice" else (),
        scale=(0.0, 5.0) if form == "number" else None,
    )


def _check(form: str, answer: ParsedAnswer, context: ParseContext) -> None:
    assert (answer.value is not None) == (answer.status == "ok")
    value = answer.value
    if value is None:
        return
    if form == "number":
        assert isinstance(value, float)
        assert context.scale is None or context.scale[0] <= value <= context.scale[1]
    elif form in ("label", "choice", "text"):
        assert isinstance(value, str)
    else:
        assert isinstance(value, tuple)
    sizes = {"entities": 2, "links": 2, "relations": 3, "events": 3, "mentions": 1}
    if form in sizes and isinstance(value, tuple):
        assert all(len(item) == sizes[form] for item in value)
        assert all(isinstance(field, str) for item in value for field in item)


def _both(form: str, text: str, *, known: bool) -> None:
    context = _context(form, known=known)
    answer = parse(form, text, context)
    _check(form, answer, context)
    if form == "word_labels" and known and isinstance(answer.value, tuple):
        assert len(answer.value) == len(INPUT.split())
        assert set(answer.value) <= {"B", "I", "O"}
    if form in ("label", "choice") and known and answer.value is not None:
        assert answer.value in (context.options or context.labels)
    _check(form, parse_gold(form, text, context), context)


@settings(max_examples=150, deadline=None)
@given(st.text(), st.booleans())
def test_any_text(text: str, known: bool) -> None:
    for form in FORMS:
        _both(form, text, known=known)
    reasoning.split(text)
    options_from_input(text)


@settings(max_examples=150, deadline=None)
@given(st.lists(st.sampled_from(PIECES), max_size=60), st.booleans())
def test_any_mixture_of_signs(pieces: list[str], known: bool) -> None:
    text = "".join(pieces)
    for form in FORMS:
        _both(form, text, known=known)
    split = reasoning.split(text)
    assert not (split.unfinished and split.answer)


@pytest.mark.parametrize("form", FORMS)
def test_blank_is_empty(form: str) -> None:
    assert parse(form, " \n\t", _context(form)).status == "empty"
    assert parse(form, "", _context(form)).status == "empty"


WALLS = (
    "[", "]", "[]", "<", ">", '"', "'", "1", "1. ", " ", "\n", "|", "*", "`", "{\"", "[[\"a\",",
    "[a <Protein>] ", "[<a> <CID> <b>] ", "word [B] ", "<span>x</span> ", "answer is ", "a -> b\n",
    "x: y\n", "- x\n", "| a | b |\n", "<think>x", "</think>",
)  # fmt: skip


def _seconds(form: str, text: str) -> float:
    start = time.process_time()
    _both(form, text, known=True)
    return time.process_time() - start


@pytest.mark.parametrize("form", FORMS)
def test_time_grows_with_length_and_no_faster(form: str) -> None:
    for wall in WALLS:
        text = wall * (40_000 // len(wall))
        assert _seconds(form, text) < 2.0, wall


@pytest.mark.slow
@pytest.mark.parametrize("form", FORMS)
def test_a_megabyte(form: str) -> None:
    for wall in WALLS:
        assert _seconds(form, wall * (1_000_000 // len(wall))) < 4.0, wall
        # The longest text that is read in full.
        assert _seconds(form, wall * (199_000 // len(wall))) < 4.0, wall


@pytest.mark.slow
def test_reasoning_of_a_megabyte() -> None:
    for wall in (*WALLS, "<|channel|>final<|message|>x", "◁think▷", "analysisX assistantfinal"):
        start = time.process_time()
        reasoning.split(wall * (1_000_000 // len(wall)))
        assert time.process_time() - start < 2.0, wall


@pytest.mark.slow
def test_a_million_random_characters() -> None:
    chance = random.Random(32)
    done = 0
    while done < 1_000_000:
        text = "".join(chance.choices(PIECES, k=chance.choice((3, 10, 40, 200, 1000))))
        for form in FORMS:
            _both(form, text, known=chance.random() < 0.8)
        reasoning.split(text)
        done += len(text)
