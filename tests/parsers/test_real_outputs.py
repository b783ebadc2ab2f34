"""Real outputs of models, against readings made in another way."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from medinst_eval.parsers import options_from_input, parse
from medinst_eval.types import ParseContext


def _rows(shared: Path, source: str) -> list[dict[str, Any]]:
    path = shared / "data" / "llm_outputs" / f"{source}.jsonl"
    with path.open(encoding="utf-8") as file:
        return [json.loads(line) for line in file]


def test_options_of_json_answers(shared: Path) -> None:
    judged = 0
    for row in _rows(shared, "mirage"):
        options = options_from_input(row["prompt"])
        assert len(options) >= 2
        context = ParseContext(input=row["prompt"], prompt=row["prompt"], options=options)
        answer = parse("choice", row["output"], context)
        letters = re.findall(r'"answer_choice": "([A-J])(?:[.:)"][^"]*)?"', row["output"] + '"')
        several = re.search(r'"answer_choice": "[^"]*[,/ ][A-J]\.', row["output"])
        if len(set(letters)) == 1 and not several:
            assert answer.value == options[ord(letters[0]) - ord("A")], row["id"]
            judged += 1
        elif not row["output"].strip():
            assert answer.status == "empty"
    assert judged > 600


def test_no_option_is_taken_from_reasoning_that_names_none(shared: Path) -> None:
    """The reasoning alone, without the answer: what is read from it must be the answer."""
    right = wrong = 0
    for row in _rows(shared, "mirage"):
        options = options_from_input(row["prompt"])
        try:
            given = json.loads(row["output"])
        except ValueError:
            continue
        letter = re.match(r"[A-J]\b", given["answer_choice"])
        context = ParseContext(input=row["prompt"], options=options)
        answer = parse("choice", given["step_by_step_thinking"], context)
        if answer.status == "ok":
            meant = options[ord(letter[0]) - ord("A")] if letter else None
            right += answer.value == meant
            wrong += answer.value != meant
    assert right > 150
    assert wrong <= 2


def test_relations_in_json(shared: Path) -> None:
    for row in _rows(shared, "zeroshotre"):
        answer = parse("relations", row["output"], ParseContext(input=row["prompt"]))
        expected = [
            (item["chemical"].strip(), "", item["disease"].strip())
            for item in json.loads(row["output"])["relations"]
        ]
        assert answer.status == "ok", row["id"]
        assert isinstance(answer.value, tuple)
        assert [*answer.value] == expected, row["id"]


def _by_letters(output: str, words: list[str]) -> tuple[str, ...] | None:
    """Labels told by the marks' places among the letters; None where the letters differ."""
    letters: list[str] = []
    marks: list[str] = []
    mark = "O"
    for part in re.findall(r"<span[^>]*>|</span>|[^<]+|<", output):
        if part.startswith("<span"):
            mark = "B"
        elif part == "</span>":
            mark = "O"
        else:
            for letter in "".join(part.split()):
                letters.append(letter)
                marks.append(mark)
                mark = "I" if mark == "B" else mark
    if "".join(letters) != "".join(words):
        return None
    labels: list[str] = []
    for word in words:
        own, marks = marks[: len(word)], marks[len(word) :]
        labels.append(next((sign for sign in own if sign != "O"), "O"))
    return tuple(labels)


def test_word_labels_of_marked_sentences(shared: Path) -> None:
    judged = 0
    for row in _rows(shared, "llm-biomed-ner-re"):
        words = row["gold"]["tokens"]
        expected = _by_letters(row["output"], words)
        if expected is None or "<span" not in row["output"]:
            continue
        context = ParseContext(input=" ".join(words), prompt=row["prompt"])
        assert parse("word_labels", row["output"], context).value == expected, row["id"]
        judged += 1
    assert judged > 2500


@pytest.mark.parametrize("source", ["bio-mqm-zh2en", "moe-pruning-medinst32-sum"])
def test_texts_keep_their_content(shared: Path, source: str) -> None:
    for row in _rows(shared, source):
        answer = parse("text", row["output"], ParseContext(prompt=row["prompt"]))
        assert isinstance(answer.value, str)
        assert answer.value in row["output"]
        lost = row["output"].strip().replace(answer.value, "").strip()
        assert lost in ("", "**Related Work**"), row["id"]
