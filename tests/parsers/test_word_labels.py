"""Labelled words: every way of writing them, and their alignment to the input."""

from __future__ import annotations

import json

import pytest

from medinst_eval.parsers import parse, parse_gold
from medinst_eval.types import ParseContext

WORDS = ["Patients", "with", "breast", "cancer", "and", "A", "-", "T", "were", "seen"]
LABELS = tuple("OOBIOBIIOO")
CONTEXT = ParseContext(
    input=" ".join(WORDS), labels=("B", "I", "O"), prompt=f"Label each word.\n{' '.join(WORDS)}"
)
GOLD = " ".join(f"{word} [{label}]" for word, label in zip(WORDS, LABELS, strict=True))
PAIRS = list(zip(WORDS, LABELS, strict=True))


@pytest.mark.parametrize(
    "text",
    [
        GOLD,
        f"Answer: {GOLD}",
        f"```\n{GOLD}\n```",
        f"{CONTEXT.prompt}\n{GOLD}",
        f"Sentence: {CONTEXT.input}\n{GOLD}",
        GOLD.replace("[B]", "[B-Disease]").replace("[I]", "[I-Disease]"),
        GOLD.replace("[", "【").replace("]", "】"),
        GOLD.replace("[", "(").replace("]", ")"),
        GOLD.replace(" [", "["),
        " ".join(f"{word}/{label}" for word, label in PAIRS),
        "\n".join(f"{word} {label}" for word, label in PAIRS),
        "\n".join(f"{word}\t{label}" for word, label in PAIRS),
        "\n".join(f"- {word}: {label}" for word, label in PAIRS),
        "\n".join(f"{n}. {word} - {label}" for n, (word, label) in enumerate(PAIRS, 1)),
        "| Word | Label |\n|---|---|\n" + "\n".join(f"| {w} | {label} |" for w, label in PAIRS),
        json.dumps(PAIRS),
        json.dumps([{"word": word, "label": label} for word, label in PAIRS]),
        json.dumps({"tokens": WORDS, "labels": list(LABELS)}),
        "```json\n" + json.dumps(list(LABELS)) + "\n```",
        " ".join(LABELS),
        " ".join(f"{word} {label}" for word, label in PAIRS),
        " ".join(f"[{label}] {word}" for word, label in PAIRS),
        "Patients with <span>breast cancer</span> and <span>A - T</span> were seen",
        "Here you are:\n\nPatients with <b>breast cancer</b> and <b>A-T</b> were seen.\n\nNote: ok",
        f"{GOLD} {GOLD} {GOLD}",
        f"{GOLD}<|im_end|>",
    ],
)
def test_written_in_many_ways(text: str) -> None:
    assert parse("word_labels", text, CONTEXT).value == LABELS


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        # Words left out, repeated, joined, split, respelt.
        ("breast [B] cancer [I] and [O] A [B] - [I] T [I] were [O]", LABELS),
        ("Patients [O] with [O] breast [B] cancer [I] and [O]", tuple("OOBIOOOOOO")),
        (GOLD.replace("with [O]", "with [O] with [O]"), LABELS),
        (GOLD.replace("A [B] - [I] T [I]", "A-T [B]"), LABELS),
        (GOLD.replace("breast [B] cancer [I]", "breastcancer [B]"), LABELS),
        (GOLD.replace("Patients [O]", "Pa [O] tients [O]"), LABELS),
        (GOLD.replace("breast [B]", "brest [B]"), LABELS),
        (GOLD.replace("breast [B] cancer [I]", "breast cancer [B]"), LABELS),
        (GOLD.replace("Patients", "PATIENTS"), LABELS),
        # BIOES and BILOU.
        (GOLD.replace("cancer [I]", "cancer [E]"), LABELS),
        (GOLD.replace("breast [B] cancer [I]", "breast [B] cancer [L]"), LABELS),
    ],
)
def test_alignment(text: str, expected: tuple[str, ...]) -> None:
    assert parse("word_labels", text, CONTEXT).value == expected


def test_alignment_is_no_shift() -> None:
    words = [f"w{n}" for n in range(60)]
    labels = ["B" if n % 7 == 0 else "O" for n in range(60)]
    kept = [n for n in range(60) if n not in (3, 4, 30)]
    text = " ".join(f"{words[n]} [{labels[n]}]" for n in kept)
    expected = tuple(labels[n] if n in kept else "O" for n in range(60))
    assert parse("word_labels", text, ParseContext(input=" ".join(words))).value == expected


def test_joined_words_keep_one_entity() -> None:
    context = ParseContext(input="non - Hodgkin lymphoma", labels=("B", "I", "O"))
    assert parse("word_labels", "non-Hodgkin [B] lymphoma [I]", context).value == tuple("BIII")
    assert parse("word_labels", "non [O] -Hodgkin [B] lymphoma [I]", context).value == tuple("OBII")


@pytest.mark.parametrize(
    "text",
    [
        "The sentence mentions a disease.",
        CONTEXT.input,
        "Mice [O] have [O] asthma [B]",
        "<span>breast cancer</span>",
        "[B] [I] [O]",
        "Patients with breast [Disease] cancer [Disease] and [O] A - T were [O] seen [O]",
        "Some [O] other [O] text [O] of [O] the [O] same [O] length [O] and [O] kind [O] here [O]",
    ],
)
def test_too_little_of_the_input_is_unparsed(text: str) -> None:
    answer = parse("word_labels", text, CONTEXT)
    assert answer.status == "unparsed"
    assert answer.note


def test_chance_matches_in_a_long_text_do_not_count() -> None:
    words = [f"{word} w{n} v{n}" for n, word in enumerate(["the", "of", "in", "with", "and"] * 4)]
    other = " ".join(f"x{n} [O] y{n} [B] {words[n % 20].split()[0]} [B]" for n in range(400))
    context = ParseContext(input=" ".join(words))
    assert parse("word_labels", other, context).status == "unparsed"


def test_statement_of_none_is_no_entity() -> None:
    answer = parse("word_labels", "There are no disease entities in the sentence.", CONTEXT)
    assert answer.value == ("O",) * len(WORDS)


def test_gold() -> None:
    assert parse_gold("word_labels", GOLD, CONTEXT).value == LABELS
    brackets = ParseContext(input="[ PKA ]")
    assert parse_gold("word_labels", "[ [O] PKA [B] ] [O]", brackets).value == ("O", "B", "O")
    assert parse("word_labels", "[ [O] PKA [B] ] [O]", brackets).value == ("O", "B", "O")
    assert parse_gold("word_labels", "", CONTEXT).value == ()
    assert parse_gold("word_labels", "breast cancer", CONTEXT).status == "unparsed"
