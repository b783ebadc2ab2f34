"""METEOR against NLTK, in one process and in several."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from nltk.tokenize import wordpunct_tokenize
from nltk.translate.meteor_score import single_meteor_score

from medinst_eval.metrics import MetricContext, MetricUnavailable, create, meteor

TEXT = MetricContext(form="text")
WORDS = [
    "tumor", "tumour", "tumors", "neoplasm", "heart", "center", "core", "grow", "grows", "growing",
    "develop", "the", "The", ".", ",", "-", "IL-2", "肝炎", "patients", "patient", "affected",
    "sick", "ill", "illness",
]  # fmt: skip


def by_nltk(gold: str, answer: str, wordnet: Any) -> float:
    tokens = wordpunct_tokenize(gold), wordpunct_tokenize(answer)
    return float(single_meteor_score(*tokens, wordnet=wordnet))


@given(st.lists(st.sampled_from(WORDS), max_size=14), st.lists(st.sampled_from(WORDS), max_size=14))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_equal_to_nltk(wordnet: Any, gold: list[str], answer: list[str]) -> None:
    texts = " ".join(gold), " ".join(answer)
    assert meteor.meteor(*texts) == by_nltk(*texts, wordnet)


@pytest.mark.parametrize("task", ["ParaMed", "Multi-XScience"])
def test_equal_to_nltk_on_real_texts(
    task: str, wordnet: Any, wrong: Callable[[str, int], tuple[list[str], list[str]]]
) -> None:
    golds, answers = wrong(task, 1)
    golds, answers = golds[:80], answers[1:] + answers[:1]
    for gold, answer in zip(golds, answers, strict=False):
        assert meteor.meteor(gold, answer) == by_nltk(gold, answer, wordnet)


@pytest.mark.slow
@pytest.mark.usefixtures("wordnet")
def test_several_processes_give_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    pairs = [("The tumour grows.", "A tumor grew."), ("cell", ""), ("µ 肝炎", "肝炎 µ")] * 3
    expected = [meteor.meteor(gold, answer) for gold, answer in pairs]
    worked: list[int] = []
    run = subprocess.run

    def counting(*args: Any, **kwargs: Any) -> Any:
        done = run(*args, **kwargs)
        worked.append(done.returncode)
        return done

    monkeypatch.setattr(meteor.subprocess, "run", counting)
    assert meteor.meteor_pairs(pairs, processes=2) == expected
    assert worked == [0, 0]


@pytest.mark.usefixtures("wordnet")
def test_a_process_that_cannot_start_is_done_without(monkeypatch: pytest.MonkeyPatch) -> None:
    pairs = [("a cell", "the cell")] * 4
    monkeypatch.setattr(sys, "executable", "/no/such/python")
    assert meteor.meteor_pairs(pairs, processes=2) == [meteor.meteor(*pairs[0])] * 4


@pytest.mark.usefixtures("wordnet")
def test_many_rows_share_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    parts: list[int] = []

    def fake(pairs: Any) -> list[float]:
        parts.append(len(pairs))
        return [0.25] * len(pairs)

    monkeypatch.setattr(meteor, "_in_process", fake)
    monkeypatch.setattr(meteor.os, "sched_getaffinity", lambda _: set(range(8)), raising=False)
    values = meteor.meteor_pairs([("a", "b")] * 25_000)
    assert (values, sorted(parts)) == ([0.25] * 25_000, [12_500, 12_500])


@pytest.mark.usefixtures("wordnet")
def test_signature_names_tokenizer_and_versions() -> None:
    signature = create("meteor", TEXT).signature
    assert signature.startswith("metric:meteor|alpha:0.9|beta:3|gamma:0.5|tok:wordpunct|case:lc|")
    assert "|wordnet:3.0|nltk:" in signature


def test_without_wordnet_the_metric_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    def unavailable() -> None:
        raise MetricUnavailable("WordNet is not to be had (why); do this")

    monkeypatch.setattr(meteor, "reader", unavailable)
    metric = create("meteor", TEXT)
    assert "|wordnet:absent|" in metric.signature
    with pytest.raises(MetricUnavailable, match="do this"):
        metric.batch_stats(["a"], [None])
