"""Rows of a task as the page shows them, packed small enough to travel inside the page."""

from __future__ import annotations

import base64
import json
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from medinst_eval import parsers
from medinst_eval.report.forms import BRACKETS, MARKED
from medinst_eval.report.labels import metric_label
from medinst_eval.report.marks import (
    KINDS,
    Item,
    Mark,
    classify,
    compare_word_labels,
    locate,
)  # fmt: skip
from medinst_eval.types import Form, ParseContext

MAX_TEXT = 40_000
"""Characters of one text shown in the page; the run folder keeps all of it."""


@dataclass(frozen=True, kw_only=True)
class AnswerView:
    """What one run said to one sample."""

    status: str
    output: str
    answer: str
    """The parsed answer as text, for forms that are not marked in the text."""
    value: Any
    """The parsed answer as stored (lists), None where there is none."""
    note: str
    score: float | None
    wrong: bool
    items: tuple[Item, ...] = ()
    marks: tuple[Mark, ...] = ()


@dataclass(frozen=True, kw_only=True)
class SampleView:
    """One sample with the answers of all runs (None: the run has no such sample)."""

    id: str
    text: str
    gold: str
    gold_value: Any
    answers: tuple[AnswerView | None, ...]


@dataclass(frozen=True, kw_only=True)
class TaskSamples:
    """All samples of a task."""

    task: str
    form: Form
    score_metric: str
    higher_is_better: bool
    samples: tuple[SampleView, ...]
    graded: bool = False
    """Answers are better or worse rather than right or wrong: `wrong` means below the mean."""
    labels: tuple[str, ...] = ()


def score_metric(result: Mapping[str, Any], records: Sequence[Mapping[str, Any]]) -> str:
    """The metric that orders samples: the first headline that has values per sample."""
    primary = result.get("primary", {})
    present: dict[str, None] = {}
    for record in records:
        if values := record.get("metrics"):
            present.update(dict.fromkeys(values))
            break
    for name in (primary.get("standard"), primary.get("paper"), *present):
        if name in present:
            return str(name)
    return ""


def view_task(
    task: str,
    form: Form,
    result: Mapping[str, Any],
    runs: Sequence[Sequence[Mapping[str, Any]]],
    inputs: Mapping[str, str],
    labels: tuple[str, ...] = (),
) -> TaskSamples:
    """Bring the samples of one task, of one or more runs, side by side by id and key.

    Args:
        task: Name of the task.
        form: Form of its answers.
        result: Its part of the first run's `results.json`.
        runs: Records of `samples.jsonl`, one sequence per run.
        inputs: Sample id -> input text, where the records carry none.
        labels: The closed label set, if any.
    """
    metric = next((m for records in runs if (m := score_metric(result, records))), "")
    higher = bool(result.get("metrics", {}).get(metric, {}).get("higher_is_better", True))
    by_key: list[dict[tuple[str, str], Mapping[str, Any]]] = [
        {(str(r["id"]), str(r.get("key", ""))): r for r in records} for records in runs
    ]
    order = dict.fromkeys(key for records in by_key for key in records)
    samples = []
    for key in order:
        found = [records.get(key) for records in by_key]
        first = next(r for r in found if r is not None)
        text = str(first.get("input") or inputs.get(key[0], ""))
        gold = str(first.get("gold", ""))
        value = gold_value(form, first.get("gold_answer"), gold, text, labels)
        if form == "word_labels" and not text:
            text = " ".join(word for word, _ in labelled_words(gold))
        answers = tuple(
            None if record is None else view_answer(form, record, value, text, metric, higher)
            for record in found
        )
        samples.append(
            SampleView(id=key[0], text=text, gold=gold, gold_value=value, answers=answers)
        )
    graded = form == "text" and any(
        a is not None and a.score not in (None, 0.0, 1.0) for s in samples for a in s.answers
    )
    return TaskSamples(
        task=task, form=form, score_metric=metric, higher_is_better=higher, graded=graded,
        samples=tuple(_below_mean(samples) if graded else samples), labels=labels,
    )  # fmt: skip


def _below_mean(samples: Sequence[SampleView]) -> list[SampleView]:
    """Graded answers: `wrong` is what scores below the mean of all answers."""
    scores = [a.score for s in samples for a in s.answers if a and a.score is not None]
    mean = sum(scores) / len(scores)

    def judged(answer: AnswerView | None) -> AnswerView | None:
        if answer is None:
            return None
        below = answer.score is None or answer.score < mean
        return replace(answer, wrong=answer.status != "ok" or below)

    return [replace(s, answers=tuple(judged(a) for a in s.answers)) for s in samples]


def labelled_words(gold: str) -> list[tuple[str, str]]:
    """`word [B] word [I]` as pairs; tokens that are no label belong to the word before."""
    pairs: list[tuple[str, str]] = []
    word = ""
    for token in gold.split():
        if token in ("[B]", "[I]", "[O]"):
            pairs.append((word, token[1]))
            word = ""
        else:
            word = f"{word} {token}" if word else token
    return pairs


def gold_value(form: Form, stored: Any, gold: str, text: str, labels: tuple[str, ...]) -> Any:
    """The parsed gold: as stored with the sample, else parsed now; else the text as it stands."""
    if stored is not None:
        return [tuple(map(str, p)) for p in stored] if form in BRACKETS else stored
    if form == "word_labels" and not text:
        return [label for _, label in labelled_words(gold)]
    parsed = parsers.parse_gold(form, gold, ParseContext(input=text, labels=labels))
    if parsed.value is not None:
        return parsed.value
    return () if form in MARKED or form == "labels" else gold


def view_answer(
    form: Form, record: Mapping[str, Any], gold: Any, text: str, metric: str, higher: bool
) -> AnswerView:
    """One run's answer to one sample, compared with the gold."""
    raw = record.get("answer")
    status = str(record.get("status", "ok"))
    items: Sequence[Item] = ()
    marks: Sequence[Mark] = ()
    if form == "word_labels":
        items, marks = compare_word_labels(text, gold, raw or ())
    elif form in BRACKETS:
        predicted = [tuple(map(str, parts)) for parts in raw or ()]
        items = classify(form, gold, predicted)
        marks = locate(form, items, text)
    score = (record.get("metrics") or {}).get(metric)
    if form in MARKED:
        wrong = any(item.kind != "found" for item in items) or status != "ok"
    else:
        best = score is not None and (score >= 1 if higher else score <= 0)
        wrong = status != "ok" or not (best or same_value(form, raw, gold))
    return AnswerView(
        status=status,
        output=str(record.get("output") or ""),
        answer=show_value(raw),
        value=raw,
        note=str(record.get("note") or ""),
        score=None if score is None else float(score),
        wrong=wrong,
        items=tuple(items),
        marks=tuple(marks),
    )


def same_value(form: Form, answer: Any, gold: Any) -> bool:
    """Whether a label, list of labels or number equals the gold."""
    if answer is None:
        return False
    if form == "labels":
        return sorted(map(str.casefold, answer)) == sorted(map(str.casefold, gold))
    if form == "number":
        return float(answer) == float(gold) if isinstance(gold, int | float) else False
    return str(answer).casefold() == str(gold).casefold()


def show_value(value: Any) -> str:
    """An answer as one line of text."""
    if value is None:
        return ""
    if isinstance(value, float):
        return f"{value:g}"
    if isinstance(value, list | tuple):
        return ", ".join(
            " | ".join(map(str, v)) if isinstance(v, list | tuple) else str(v) for v in value
        )
    return str(value)


# -- packing ------------------------------------------------------------------------------------


def pack(view: TaskSamples, *, max_text: int = MAX_TEXT) -> str:
    """All samples of a task as base64 of deflated JSON; equal input texts are stored once."""
    texts: dict[str, int] = {}
    rows = [_row(sample, texts, max_text, view.form) for sample in view.samples]
    payload = {
        "form": view.form,
        "marked": view.form in MARKED,
        "graded": view.graded,
        "wrong": "Below the mean" if view.graded else "Wrong",
        "metric_name": metric_label(view.score_metric),
        "higher": view.higher_is_better,
        "texts": [_cut(text, max_text) for text in texts],
        "rows": rows,
    }
    # Lone surrogates, which broken outputs may hold, cannot be encoded: they become "?".
    raw = json.dumps(payload, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")
    return base64.b64encode(zlib.compress(raw, 6)).decode("ascii")


def _cut(text: str, limit: int) -> str:
    return text if len(text) <= limit else f"{text[:limit]} … [{len(text) - limit:,} more]"


def _row(sample: SampleView, texts: dict[str, int], limit: int, form: Form) -> dict[str, Any]:
    row: dict[str, Any] = {"id": sample.id, "gold": _cut(sample.gold, limit), "runs": []}
    if sample.text:
        row["text"] = texts.setdefault(sample.text, len(texts))
    for answer in sample.answers:
        row["runs"].append(None if answer is None else _answer(answer, limit, form))
    return row


def _answer(answer: AnswerView, limit: int, form: Form) -> dict[str, Any]:
    packed: dict[str, Any] = {"status": answer.status, "wrong": int(answer.wrong)}
    if answer.output:
        packed["output"] = _cut(answer.output, limit)
    if answer.note:
        packed["note"] = answer.note
    if answer.score is not None:
        packed["score"] = round(answer.score, 4)
    if form in MARKED:
        packed["items"] = [
            [KINDS.index(i.kind), list(i.parts), *([list(i.predicted)] if i.predicted else [])]
            for i in answer.items
        ]
        packed["marks"] = [[m.start, m.end, m.item] for m in answer.marks if m.end <= limit]
    elif answer.answer:
        packed["answer"] = _cut(answer.answer, limit)
    return packed
