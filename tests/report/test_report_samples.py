"""Samples as they travel inside the page."""

from __future__ import annotations

import base64
import json
import zlib

import pytest

from medinst_eval.report.forms import form_of
from medinst_eval.report.samples import labelled_words, pack, view_task

RESULT = {
    "metrics": {"paper_em": {"higher_is_better": True}, "accuracy": {"higher_is_better": True}},
    "primary": {"paper": "paper_em", "standard": "accuracy"},
}


def record(number, **more):
    base = {
        "task": "T", "id": f"T/{number}", "key": "k", "input": "a text", "gold": "yes",
        "gold_answer": "yes", "answer": "yes", "status": "ok", "output": "yes", "note": "",
        "metrics": {"paper_em": 1.0, "accuracy": 1.0},
    }  # fmt: skip
    return {**base, **more}


def unpack(packed):
    return json.loads(zlib.decompress(base64.b64decode(packed)))


def test_packed_samples_are_what_the_run_holds():
    view = view_task("T", "label", RESULT, [[record(0), record(1, answer="no", output="No!")]], {})
    payload = unpack(pack(view))
    assert payload["texts"] == ["a text"]
    first, second = payload["rows"]
    assert first["runs"] == [
        {"status": "ok", "wrong": 0, "output": "yes", "score": 1.0, "answer": "yes"}
    ]
    assert first["text"] == second["text"] == 0
    assert second["runs"][0]["output"] == "No!"


@pytest.mark.parametrize(
    ("form", "gold", "answer", "score", "status", "wrong"),
    [
        ("label", "yes", "yes", 1.0, "ok", False),
        ("label", "yes", "no", 0.0, "ok", True),
        ("label", "yes", None, 0.0, "unparsed", True),
        ("labels", ["a", "b"], ["b", "a"], None, "ok", False),
        ("labels", ["a", "b"], ["a"], None, "ok", True),
        ("number", 3.0, 3.0, None, "ok", False),
        ("number", 3.0, 4.0, None, "ok", True),
        ("entities", [["a", "T"]], [["a", "T"]], 1.0, "ok", False),
        ("entities", [["a", "T"]], [["a", "T"]], 1.0, "truncated", True),
        ("entities", [["a", "T"]], [], 0.0, "ok", True),
        ("entities", [], None, 0.0, "empty", True),
        ("text", "well", "well", 1.0, "ok", False),
        ("text", "well", "ill", 0.0, "ok", True),
    ],
)
def test_what_counts_as_wrong(form, gold, answer, score, status, wrong):
    metrics = {} if score is None else {"accuracy": score}
    row = record(0, gold_answer=gold, answer=answer, status=status, metrics=metrics)
    view = view_task("T", form, RESULT, [[row]], {})
    assert view.samples[0].answers[0].wrong is wrong


def test_graded_texts_are_wrong_below_the_mean():
    rows = [record(i, metrics={"accuracy": s}) for i, s in enumerate((0.2, 0.5, 0.9))]
    view = view_task("T", "text", RESULT, [rows], {})
    assert view.graded
    assert [s.answers[0].wrong for s in view.samples] == [True, True, False]
    assert unpack(pack(view))["wrong"] == "Below the mean"


def test_two_runs_meet_by_id_and_key():
    one = [record(0), record(1)]
    two = [record(1), record(2), record(0, key="other")]
    view = view_task("T", "label", RESULT, [one, two], {})
    assert [(s.id, [a is not None for a in s.answers]) for s in view.samples] == [
        ("T/0", [True, False]),
        ("T/1", [True, True]),
        ("T/2", [False, True]),
        ("T/0", [False, True]),
    ]


def test_long_texts_are_cut_and_say_so():
    row = record(0, form="entities", input="p53 " * 100, gold_answer=[["p53", "T"]] * 100,
                 answer=[["p53", "T"]] * 100, output="x" * 500)  # fmt: skip
    payload = unpack(pack(view_task("T", "entities", RESULT, [[row]], {}), max_text=40))
    assert payload["texts"][0].endswith("[360 more]")
    answer = payload["rows"][0]["runs"][0]
    assert answer["output"].endswith("[460 more]")
    assert max(end for _, end, _ in answer["marks"]) <= 40


def test_broken_characters_do_not_stop_the_page():
    row = record(0, output="lone \ud800 surrogate, \u2028 separator, \x00 null")
    payload = unpack(pack(view_task("T", "label", RESULT, [[row]], {})))
    assert (
        payload["rows"][0]["runs"][0]["output"] == "lone ? surrogate, \u2028 separator, \x00 null"
    )


def test_older_runs_without_inputs_and_parsed_golds_are_shown():
    row = record(0, input=None, gold_answer=None, gold="BRCA1 [B] gene [I] is [O] up [O]",
                 answer=["B", "O", "O", "O"])  # fmt: skip
    view = view_task("T", "word_labels", RESULT, [[row]], {})
    assert view.samples[0].text == "BRCA1 gene is up"
    assert [i.kind for i in view.samples[0].answers[0].items] == ["missed", "spurious"]
    row = record(0, input=None, gold_answer=None, gold="[p53 <Gene>]", answer=[["p53", "Gene"]])
    view = view_task("T", "entities", RESULT, [[row]], {"T/0": "of p53 here"})
    assert [i.kind for i in view.samples[0].answers[0].items] == ["found"]
    assert len(view.samples[0].answers[0].marks) == 1


def test_labelled_words_keep_brackets_that_are_no_labels():
    assert labelled_words("a [B] [x] [O] b c [I]") == [("a", "B"), ("[x]", "O"), ("b c", "I")]


@pytest.mark.parametrize(
    ("metrics", "answers", "form"),
    [
        (["relation_f1", "pair_f1"], [], "relations"),
        (["entity_f1", "token_accuracy"], [], "word_labels"),
        (["entity_f1", "mention_f1"], [], "entities"),
        (["mention_f1"], [], "mentions"),
        (["accuracy", "macro_f1"], [], "label"),
        (["accuracy"], [], "choice"),
        (["own"], [3], "number"),
        (["own"], [None, [["a", "b"]]], "entities"),
        (["own"], [["a"]], "labels"),
        (["own"], ["x"], "text"),
        (["own"], [], "text"),
    ],
)
def test_form_of_own_tasks(metrics, answers, form):
    assert form_of({"metrics": {name: {} for name in metrics}}, answers) == form
    assert form_of({"metrics": {}}, [], "events") == "events"
