"""The paper's rules on adversarial rows, against plain transcriptions of BENCHMARK's rules."""

from __future__ import annotations

import re
import string
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import f1_score

from medinst_eval.metrics import MetricContext, create
from medinst_eval.metrics.normalise import paper_normalise
from medinst_eval.metrics.paper import bracketed
from medinst_eval.types import Form

PIECES = [
    "[", "]", "[[", "]]", "<T>", "a", "an", "The", "A", "BRCA1", " ", ",", ".", "-", "Gene", "[B]",
    "[I]", "[O]", "[B-Disease]", "B", "0", "3", "03", "5", "6", "3.5", "４", "²", "α", "é", "肝炎",
    "İ", "ß", "'", "\n", "\t", "\u00a0", ", ", "yes", "no", "Ǆ", "\u0130", "_", "~",
]  # fmt: skip
texts = st.lists(st.sampled_from(PIECES), max_size=14).map("".join) | st.text(max_size=30)
pairs = st.lists(st.tuples(texts, texts), min_size=1, max_size=6)


def score(name: str, form: Form, rows: list[tuple[str, str]]) -> float:
    golds, answers = [gold for gold, _ in rows], [answer for _, answer in rows]
    metric = create(name, MetricContext(form=form, golds=golds))
    return float(metric.score(metric.batch_stats(golds, answers).sum(axis=0)))


def plain_normalise(text: str) -> str:
    kept = "".join(char for char in text.lower() if char not in set(string.punctuation))
    return " ".join(re.sub(r"\b(a|an|the)\b", " ", kept).split())


def plain_brackets(text: str) -> list[str]:
    """The rule, told character by character."""
    found, inside, depth = [], "", 0
    for char in text:
        if char == "]" and depth == 0:
            continue
        if char == "]":
            depth -= 1
            if depth == 0:
                found.append(inside)
                inside = ""
                continue
        if depth:
            inside += char
        if char == "[":
            depth += 1
    return found


def plain_f1(gold: list[str], answer: list[str]) -> float:
    common = sum((Counter(gold) & Counter(answer)).values())
    if common == 0:
        return 0.0
    precision, recall = common / len(answer), common / len(gold)
    return 2 * precision * recall / (precision + recall)


def plain_macro(gold: list[str], answer: list[str]) -> float:
    labels = sorted(set(gold))
    if not labels:
        return 0.0
    return float(f1_score(gold, answer, labels=labels, average="macro", zero_division=0))


def plain_squared_error(gold: str, answer: str) -> float:
    wanted, claimed = ({int(run) for run in re.findall(r"\d+", t)} for t in (gold, answer))
    on_scale = all(len(s) == 1 and s <= set(range(6)) for s in (wanted, claimed))
    return float((wanted.pop() - claimed.pop()) ** 2) if on_scale else 25.0


@given(texts)
def test_normalise(text: str) -> None:
    assert paper_normalise(text) == plain_normalise(text)


@given(texts)
def test_brackets(text: str) -> None:
    assert bracketed(text) == plain_brackets(text)


@given(pairs)
def test_entity_rule(rows: list[tuple[str, str]]) -> None:
    expected = np.mean(
        [plain_f1(*([plain_normalise(i) for i in plain_brackets(t)] for t in row)) for row in rows]
    )
    assert score("paper_entity_f1", "entities", rows) == pytest.approx(expected, abs=1e-12)


@given(pairs)
def test_multicls_rule(rows: list[tuple[str, str]]) -> None:
    expected = np.mean(
        [plain_f1(*([part.lower().strip() for part in t.split(", ")] for t in row)) for row in rows]
    )
    assert score("paper_entity_f1", "labels", rows) == pytest.approx(expected, abs=1e-12)


@given(pairs)
def test_bio_rule(rows: list[tuple[str, str]]) -> None:
    wanted, claimed = [], []
    for gold, answer in rows:
        labels, said = (re.findall(r"\[[BIO]\]", text) for text in (gold, answer))
        wanted += labels
        claimed += (said + ["N"] * len(labels))[: len(labels)]
    expected = plain_macro(wanted, claimed)
    assert score("paper_label_f1", "word_labels", rows) == pytest.approx(expected, abs=1e-12)


@given(pairs)
def test_cls_rule(rows: list[tuple[str, str]]) -> None:
    wanted, claimed = ([plain_normalise(row[side]) for row in rows] for side in (0, 1))
    expected = plain_macro(wanted, claimed)
    assert score("paper_label_f1", "label", rows) == pytest.approx(expected, abs=1e-12)


@given(pairs)
def test_em_rule(rows: list[tuple[str, str]]) -> None:
    expected = np.mean([plain_normalise(gold) == plain_normalise(answer) for gold, answer in rows])
    assert score("paper_em", "text", rows) == pytest.approx(expected, abs=1e-12)


@given(pairs)
def test_mse_rule(rows: list[tuple[str, str]]) -> None:
    expected = np.mean([plain_squared_error(gold, answer) for gold, answer in rows])
    assert score("paper_mse", "number", rows) == pytest.approx(expected, abs=1e-12)


@given(pairs)
def test_word_f1_rule(rows: list[tuple[str, str]]) -> None:
    expected = np.mean([plain_f1(*(plain_normalise(text).split() for text in row)) for row in rows])
    assert score("paper_word_f1", "text", rows) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("number", ["9" * 5000, "0" * 5000 + "7", "٣" * 5000])
def test_a_number_too_long_to_convert_is_off_the_scale(number: str) -> None:
    assert score("paper_mse", "number", [("3", number)]) == 25.0


def test_leading_zeros_are_no_other_number() -> None:
    assert score("paper_mse", "number", [("3", "0" * 5000 + "3"), ("0", "000")]) == 0.0


def test_a_megabyte_of_brackets_is_read_in_one_pass() -> None:
    text = "[" * 500_000 + "]" * 500_000
    assert [len(item) for item in bracketed(text)] == [999_998]


def test_a_resample_without_a_rare_label_is_scored_without_it() -> None:
    golds, answers = ["yes", "yes", "maybe"], ["yes", "no", "no"]
    metric = create("paper_label_f1", MetricContext(form="label", golds=golds))
    stats = metric.batch_stats(golds, answers)
    weights = np.array([[1, 1, 1], [2, 1, 0]])
    assert metric.score(weights @ stats) == pytest.approx([(2 / 3 + 0) / 2, 4 / 5])
