"""Standard metrics against the libraries that define them: tables, real golds, Hypothesis."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from rouge_score.rouge_scorer import RougeScorer
from sacrebleu.metrics import CHRF
from scipy import stats as scipy_stats
from seqeval.metrics import f1_score as seqeval_f1
from seqeval.metrics import precision_score, recall_score
from seqeval.scheme import IOB2
from sklearn import metrics as sk
from sklearn.preprocessing import MultiLabelBinarizer

from medinst_eval.metrics import MetricContext, create
from medinst_eval.metrics.text import rouge_words
from medinst_eval.types import Form

Wrong = Callable[[str, int], tuple[list[str], list[str]]]


def score(
    name: str, form: Form, golds: Sequence[Any], answers: Sequence[Any], **task: Any
) -> float:
    metric = create(name, MetricContext(form=form, golds=golds, **task))
    stats = metric.batch_stats(golds, answers)
    return float(metric.score(stats.sum(axis=0) if metric.is_sum else stats))


# -- seqeval -------------------------------------------------------------------------------------

LABELS = ["O", "B", "I", "B-Gene", "I-Gene", "B-Drug", "I-Drug"]
sequence_pairs = st.lists(
    st.integers(1, 9).flatmap(
        lambda size: st.tuples(
            *[st.lists(st.sampled_from(LABELS), min_size=size, max_size=size)] * 2
        )
    ),
    min_size=1,
    max_size=5,
)
SEQEVAL = {
    "entity_f1": seqeval_f1,
    "entity_precision": precision_score,
    "entity_recall": recall_score,
}


@given(sequence_pairs)
def test_word_labels_as_seqeval(pairs: list[tuple[list[str], list[str]]]) -> None:
    golds, answers = [list(gold) for gold, _ in pairs], [list(answer) for _, answer in pairs]
    assume(any(label.startswith("B") for row in golds for label in row))
    for name, oracle in SEQEVAL.items():
        expected = oracle(golds, answers, mode="strict", scheme=IOB2, zero_division=0)
        assert score(name, "word_labels", golds, answers) == pytest.approx(expected, abs=1e-12)
    flat = [[label for row in side for label in row] for side in (golds, answers)]
    assert score("token_accuracy", "word_labels", golds, answers) == pytest.approx(
        sk.accuracy_score(*flat), abs=1e-12
    )


@pytest.mark.parametrize("task", ["NCBI-disease", "BC5CDR"])
def test_real_word_labels_as_seqeval(task: str, golds: Callable[[str], list[str]]) -> None:
    rng = random.Random(task)
    rows = [[word[1:-1] for word in gold.split(" ")[1::2]] for gold in golds(task)]
    rows = [row for row in rows if set(row) <= {"B", "I", "O"}]
    assert len(rows) > 100
    answers = [
        [rng.choice("BIO") if rng.random() < 0.15 else label for label in row] for row in rows
    ]
    for name, oracle in SEQEVAL.items():
        expected = oracle(rows, answers, mode="strict", scheme=IOB2)
        assert score(name, "word_labels", rows, answers) == pytest.approx(expected, abs=1e-12)


# -- sets ----------------------------------------------------------------------------------------

tuples = st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from("XY")), max_size=6)


@given(st.lists(st.tuples(tuples, tuples), min_size=1, max_size=5))
def test_sets_as_scikit_learn_on_counted_items(pairs: list[tuple[Any, Any]]) -> None:
    """Each (row, item, number of its occurrence) is one cell of an indicator matrix."""

    def cells(items: Sequence[Any], row: int) -> list[Any]:
        return [(row, item, items[:place].count(item)) for place, item in enumerate(items)]

    wanted, claimed = (
        {cell for row, pair in enumerate(pairs) for cell in cells(pair[side], row)}
        for side in (0, 1)
    )
    assume(wanted)
    universe = sorted(wanted | claimed)
    y_true, y_pred = ([cell in side for cell in universe] for side in (wanted, claimed))
    golds, answers = [p[0] for p in pairs], [p[1] for p in pairs]
    expected = sk.precision_recall_fscore_support(y_true, y_pred, average="binary", zero_division=0)
    for name, value in zip(("precision", "recall", "f1"), expected[:3], strict=True):
        got = score(f"entity_{name}", "entities", golds, answers)
        assert got == pytest.approx(value, abs=1e-12)


@given(st.permutations(list(range(4))), st.randoms())
def test_order_of_items_and_rows_does_not_matter(order: list[int], rng: random.Random) -> None:
    golds: list[Any] = [[("a", "X"), ("a", "X"), ("b", "Y")], [], [("c", "X")], [("a", "Y")]]
    answers: list[Any] = [[("a", "X"), ("b", "X")], [("c", "X")], None, [("a", "Y")]]
    mixed = [None if row is None else rng.sample(row, len(row)) for row in answers]
    shuffled = [golds[i] for i in order], [mixed[i] for i in order]
    for name in ("entity_f1", "entity_precision", "entity_recall", "mention_f1"):
        assert score(name, "entities", *shuffled) == score(name, "entities", golds, answers)


# -- labels --------------------------------------------------------------------------------------

some_label = st.sampled_from(["yes", "no", "maybe", "else"])


@given(st.lists(st.tuples(some_label, some_label), min_size=1, max_size=20))
def test_single_labels_as_scikit_learn(pairs: list[tuple[str, str]]) -> None:
    golds, answers = [p[0] for p in pairs], [p[1] for p in pairs]
    expected = sk.f1_score(
        golds, answers, labels=sorted(set(golds)), average="macro", zero_division=0
    )
    known = ("yes", "no", "maybe")
    assert score("macro_f1", "label", golds, answers, labels=known) == pytest.approx(expected)
    assert score("accuracy", "label", golds, answers) == sk.accuracy_score(golds, answers)


some_labels = st.lists(st.sampled_from(["a", "b", "c", "d"]), unique=True, max_size=4)


@given(st.lists(st.tuples(some_labels.filter(bool), some_labels), min_size=1, max_size=12))
def test_several_labels_as_scikit_learn(pairs: list[tuple[list[str], list[str]]]) -> None:
    golds, answers = [p[0] for p in pairs], [p[1] for p in pairs]
    columns = MultiLabelBinarizer(classes=list("abcd"))
    y_true, y_pred = columns.fit_transform(golds), columns.transform(answers)
    seen = [place for place, label in enumerate("abcd") if any(label in g for g in golds)]
    expected = {
        "micro_f1": sk.f1_score(y_true, y_pred, average="micro", zero_division=0),
        "macro_f1": sk.f1_score(y_true, y_pred, labels=seen, average="macro", zero_division=0),
        "subset_accuracy": sk.accuracy_score(y_true, y_pred),
    }
    for name, value in expected.items():
        assert score(name, "labels", golds, answers) == pytest.approx(value, abs=1e-12)


# -- numbers -------------------------------------------------------------------------------------

grades = st.sampled_from([0.0, 1.0, 2.0, 2.5, 3.0, 3.3, 4.0, 5.0])


@given(st.lists(st.tuples(grades, grades), min_size=3, max_size=40))
def test_numbers_as_scipy_and_scikit_learn(pairs: list[tuple[float, float]]) -> None:
    golds, answers = [p[0] for p in pairs], [p[1] for p in pairs]
    task = {"scale": (0.0, 5.0)}
    mse = score("mse", "number", golds, answers, **task)
    assert mse == pytest.approx(sk.mean_squared_error(golds, answers), abs=1e-12)
    got = [score(name, "number", golds, answers, **task) for name in ("pearson", "spearman")]
    if len(set(golds)) == 1 or len(set(answers)) == 1:
        assert got == [0.0, 0.0]
        return
    expected = [scipy_stats.pearsonr(golds, answers)[0], scipy_stats.spearmanr(golds, answers)[0]]
    assert got == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("value", [0.1, 2.3, 3.3, 4.7])
def test_a_constant_column_is_no_correlation_in_any_resample(value: float) -> None:
    golds = [0.0, 1.0, 2.2, 3.1, 5.0] * 40
    metric = create("pearson", MetricContext(form="number", scale=(0.0, 5.0)))
    stats = metric.batch_stats(golds, [value] * len(golds))
    weights = np.random.default_rng(1).multinomial(len(golds), [1 / len(golds)] * len(golds), 500)
    assert np.all(metric.score(weights @ stats) == 0.0)


@given(st.lists(grades, min_size=2, max_size=40), st.sampled_from([(0.0, 5.0), (1.0, 5.0)]))
def test_equal_columns_correlate_to_the_last_bit(
    golds: list[float], scale: tuple[float, float]
) -> None:
    expected = 0.0 if len(set(golds)) == 1 else 1.0
    for name in ("pearson", "spearman"):
        assert score(name, "number", golds, golds, scale=scale) == expected


def test_resampled_pearson_is_the_pearson_of_the_resample() -> None:
    rng = np.random.default_rng(2)
    golds, answers = rng.uniform(0, 5, 30), rng.uniform(0, 5, 30)
    draws = rng.integers(30, size=(50, 30))
    for name, oracle in (("pearson", scipy_stats.pearsonr), ("spearman", scipy_stats.spearmanr)):
        metric = create(name, MetricContext(form="number", scale=(0.0, 5.0)))
        rows = metric.batch_stats(list(golds), list(answers))[draws]
        got = metric.score(rows.sum(axis=1) if metric.is_sum else rows)
        expected = [oracle(golds[draw], answers[draw])[0] for draw in draws]
        assert got == pytest.approx(np.array(expected), abs=1e-9)


# -- texts ---------------------------------------------------------------------------------------

words = st.text(alphabet="abcdefgh ABC019.,-αé\n", max_size=60) | st.text(max_size=40)


def rouge_oracle(golds: Sequence[str], answers: Sequence[str]) -> list[float]:
    scorer = RougeScorer(["rougeL"], use_stemmer=True)
    pairs = zip(golds, answers, strict=True)
    return [scorer.score(gold, answer)["rougeL"].fmeasure for gold, answer in pairs]


@given(words, words)
def test_rouge_as_rouge_score(gold: str, answer: str) -> None:
    expected = rouge_oracle([gold], [answer])[0]
    for name in ("rouge_l", "paper_rouge_l"):
        assert score(name, "text", [gold], [answer]) == pytest.approx(expected, abs=1e-9)


@given(words)
def test_rouge_words_as_rouge_score(text: str) -> None:
    scorer = RougeScorer(["rougeL"], use_stemmer=True)
    assert list(rouge_words(text)) == scorer._tokenizer.tokenize(text)


@pytest.mark.parametrize("task", ["ParaMed", "MedQA", "AnEM-RE", "Multi-XScience"])
def test_rouge_of_real_texts(task: str, wrong: Wrong) -> None:
    golds, answers = wrong(task, 1)
    golds, answers = golds[:60], answers[:60]
    expected = np.mean(rouge_oracle(golds, answers))
    assert score("paper_rouge_l", "text", golds, answers) == pytest.approx(expected, abs=1e-9)


@given(st.lists(st.tuples(words, words), min_size=1, max_size=6))
@settings(max_examples=60)
def test_chrf_as_sacrebleu(pairs: list[tuple[str, str]]) -> None:
    golds, answers = [p[0] for p in pairs], [p[1] for p in pairs]
    expected = CHRF().corpus_score(answers, [golds]).score / 100
    assert score("chrf", "text", golds, answers) == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("task", ["ParaMed", "Multi-XScience"])
def test_chrf_of_real_texts(task: str, wrong: Wrong) -> None:
    golds, answers = wrong(task, 2)
    expected = CHRF().corpus_score(answers, [golds]).score / 100
    assert score("chrf", "text", golds, answers) == pytest.approx(expected, abs=1e-9)


def test_a_very_long_output_is_no_trouble() -> None:
    gold, answer = "tumour cells grow " * 50, "cells of tumours grow slowly " * 20_000
    assert 0 < score("rouge_l", "text", [gold], [answer]) < 0.01
