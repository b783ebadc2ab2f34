"""Datasets answered with a number or a text: similarity, related work and translation."""

from __future__ import annotations

from random import Random
from typing import cast

from medinst_eval.demo.grammar import capitalise, templates

Pair = tuple[str, str]
"""Input text and gold answer."""

_PARTS = ("agent", "action", "target", "who", "when")


def similarity_row(rng: Random) -> Pair:
    """`Text 1: …`, `Text 2: …` and how many of their five parts mean the same (0 to 5)."""
    groups = cast(dict[str, list[list[str]]], templates()["similarity"])
    score = rng.randint(0, len(_PARTS))
    same = set(rng.sample(_PARTS, score))
    first: list[str] = []
    second: list[str] = []
    for part in _PARTS:
        one, other = rng.sample(groups[part], 2)
        first.append(rng.choice(one))
        second.append(rng.choice(one if part in same else other))
    texts = [capitalise(" ".join(words)) + "." for words in (first, second)]
    return f"Text 1: {texts[0]}\nText 2: {texts[1]}", str(score)


def related_work_row(rng: Random) -> Pair:
    """`Abstract: …`, `References: @cite_1: … @cite_2: …` and a related-work paragraph."""
    parts = templates()["related_work"]
    methods, data = rng.sample(parts["method"], 3), rng.sample(parts["data"], 3)
    slots = {"topic": rng.choice(parts["topic"]), "method": methods[0], "data": data[0]}
    abstract = rng.choice(parts["abstract"]).format(**slots)
    cited = [
        f"@cite_{n}: " + rng.choice(parts["reference"]).format(method=methods[n], data=data[n])
        for n in (1, 2)
    ]
    summary = parts["summary"].format(
        **slots, method2=methods[1], method3=methods[2], data2=data[1], data3=data[2]
    )
    return f"Abstract: {abstract}\nReferences: {' '.join(cited)}", summary


def translation_row(rng: Random) -> Pair:
    """A Chinese sentence and its English translation."""
    parts = templates()["translation"]
    chinese, english = rng.choice(parts["pairs"])
    fact = rng.choice(parts["treats"])
    texts = [
        dict(zip(("chemical", "disease"), fact[language], strict=True)) for language in ("zh", "en")
    ]
    for kind in ("group", "time"):
        for text, word in zip(texts, rng.choice(list(parts[kind].items())), strict=True):
            text[kind] = word
    return chinese.format(**texts[0]), capitalise(english.format(**texts[1]))
