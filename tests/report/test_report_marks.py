"""Tuples of gold and answer, paired and found in the text."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from medinst_eval import metrics
from medinst_eval.metrics.base import MetricContext
from medinst_eval.report.marks import Item, classify, compare_word_labels, locate, word_spans

ENTITY_CASES = [
    ([("p53", "Gene")], [("p53", "Gene")], ["found"]),
    ([("p53", "Gene")], [("P53", "gene")], ["found"]),
    ([("p53", "Gene")], [("p53", "Protein")], ["wrong"]),
    ([("p53", "Gene")], [], ["missed"]),
    ([], [("p53", "Gene")], ["spurious"]),
    ([("p53", "Gene")] * 2, [("p53", "Gene")], ["found", "missed"]),
    ([("p53", "Gene")], [("p53", "Gene")] * 2, ["found", "spurious"]),
    # An exact pair is never given away to a pair with the wrong type.
    ([("p53", "A"), ("p53", "B")], [("p53", "B")], ["missed", "found"]),
    ([("p53", "A"), ("p53", "B")], [("p53", "B"), ("p53", "C")], ["wrong", "found"]),
    ([], [], []),
]


@pytest.mark.parametrize(("gold", "answer", "kinds"), ENTITY_CASES)
def test_entities_are_paired(gold, answer, kinds):
    assert [item.kind for item in classify("entities", gold, answer)] == kinds


@pytest.mark.parametrize(
    ("form", "gold", "answer", "kind"),
    [
        ("relations", ("a", "binds", "b"), ("a", "inhibits", "b"), "wrong"),
        ("relations", ("a", "binds", "b"), ("a", "binds", "c"), "missed"),
        ("events", ("Binding", "binds", "x"), ("Growth", "binds", "x"), "wrong"),
        ("events", ("Binding", "binds", "x"), ("Binding", "grows", "x"), "missed"),
        ("links", ("p53", "NCBI/1"), ("p53", "NCBI/2"), "wrong"),
        ("mentions", ("it",), ("It",), "found"),
    ],
)
def test_wrong_type_needs_the_same_text(form, gold, answer, kind):
    first = classify(form, [gold], [answer])[0]
    assert first.kind == kind
    assert (first.predicted == answer) == (kind == "wrong")


TUPLES = st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from(["X", "Y"])), max_size=8)


@given(TUPLES, TUPLES)
def test_every_tuple_is_counted_once_and_as_the_metric_counts(gold, answer):
    kinds = Counter(item.kind for item in classify("entities", gold, answer))
    assert kinds["found"] + kinds["missed"] + kinds["wrong"] == len(gold)
    assert kinds["found"] + kinds["spurious"] + kinds["wrong"] == len(answer)
    metric = metrics.create("entity_f1", MetricContext(form="entities"))
    assert kinds["found"] == metric.sample_stats(tuple(gold), tuple(answer))[0]


def spans(form, items, text):
    return [text[m.start : m.end] for m in locate(form, items, text)]


def found(*parts):
    return Item(kind="found", parts=parts)


def test_repeats_take_the_next_occurrence():
    text = "p53 and P53 and p53"
    marks = locate("entities", [found("p53", "Gene")] * 3, text)
    assert [(m.start, m.end) for m in marks] == [(0, 3), (8, 11), (16, 19)]


@pytest.mark.parametrize(
    ("mention", "text", "start"),
    [
        ("cell", "cells of a cell", 11),
        ("cell", "cells only", 0),
        ("IL-2", "anti-IL-2 IL-2", 5),
        ("(p53)", "the (p53) gene", 4),
        ("İL", "an İL here", 3),
        ("ß", "a straße ß", 9),
    ],
)
def test_whole_words_are_preferred(mention, text, start):
    (mark,) = locate("entities", [found(mention, "T")], text)
    assert mark.start == start


def test_what_is_not_in_the_text_has_no_mark():
    assert locate("entities", [found("absent", "T"), found("", "T")], "some text") == []


def test_participants_of_relations_are_marked_with_their_number():
    items = [found("a1", "binds", "b1"), Item(kind="missed", parts=("b1", "binds", "c1"))]
    text = "a1 binds b1 and b1 binds c1"
    marks = locate("relations", items, text)
    assert [(text[m.start : m.end], m.item) for m in marks] == [
        ("a1", 0), ("b1", 0), ("b1", 1), ("c1", 1),
    ]  # fmt: skip


BIO = st.lists(st.sampled_from("BIO"), min_size=1, max_size=8)


@given(BIO, BIO)
def test_word_labels_are_counted_as_the_metric_counts(gold, answer):
    answer = (answer + ["O"] * len(gold))[: len(gold)]
    items, _ = compare_word_labels(" ".join(f"w{i}" for i in range(len(gold))), gold, answer)
    kinds = Counter(item.kind for item in items)
    metric = metrics.create("entity_f1", MetricContext(form="word_labels"))
    counted = [kinds["found"], kinds["spurious"], kinds["missed"]]
    assert counted == list(metric.sample_stats(tuple(gold), tuple(answer)))


def test_word_labels_are_compared_as_entities():
    text = "high BRCA1  gene levels of p53"
    items, marks = compare_word_labels(text, list("OBIOOB"), list("OBOOOB"))
    kinds = [(item.kind, item.parts[0]) for item in items]
    assert kinds == [("missed", "BRCA1  gene"), ("found", "p53"), ("spurious", "BRCA1")]
    assert [text[m.start : m.end] for m in marks] == [parts for _, parts in kinds]


def test_answers_longer_than_the_text_are_cut():
    items, _ = compare_word_labels("one two", list("OO"), list("OOBI"))
    assert items == []


@given(st.text(max_size=40))
def test_words_keep_their_offsets(text):
    assert [text[a:b] for a, b in word_spans(text)] == text.split()
