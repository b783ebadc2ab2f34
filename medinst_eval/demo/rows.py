"""Rows of the demonstration datasets: instruction, input and gold answer, drawn from the grammar.

Besides the 32 tasks there are a few sibling datasets that appear in demonstrations only, as in the
benchmark, where demonstrations come from other datasets of the same category.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from random import Random

from medinst_eval.demo import classify, extract, generate
from medinst_eval.demo.extract import Pair


@dataclass(frozen=True, kw_only=True, slots=True)
class Row:
    """One row in the benchmark's fields; `history` is empty in the zero-shot variant."""

    instruction: str
    input: str
    output: str
    history: tuple[tuple[str, str], ...] = ()

    @property
    def user(self) -> str:
        """What a chat model is shown for the row itself."""
        return f"{self.instruction}\n{self.input}"


@dataclass(frozen=True, kw_only=True, slots=True)
class Source:
    """A dataset: its instruction and a generator of (input, output) pairs."""

    instruction: str
    make: Callable[[Random], Pair]
    shots_from: tuple[str, ...]
    """Datasets that its demonstrations are drawn from."""


def _sources() -> dict[str, Source]:
    sources: dict[str, Source] = {}

    def add(
        group: tuple[str, ...], name: str, instruction: str, make: Callable[[Random], Pair]
    ) -> None:
        others = tuple(other for other in group if other != name)
        sources[name] = Source(instruction=instruction, make=make, shots_from=others or (name,))

    words, ner = tuple(extract.WORDS), tuple(extract.ENTITIES)
    for name in words:
        add(words, name, extract.instruction(name), partial(extract.word_row, name))
    for name in ner:
        add(ner, name, extract.instruction(name), partial(extract.entity_row, name))
    ned = ("tmVar-v3-NED", "MeDAL", "BC5CDR-NED")
    add(ned, "tmVar-v3-NED", extract.instruction("tmVar-v3-NED"), extract.variant_link_row)
    add(ned, "MeDAL", extract.instruction("MeDAL"), extract.abbreviation_row)
    add(ned, "BC5CDR-NED", extract.instruction("BC5CDR-NED"), extract.mesh_link_row)
    for group, make in (
        (extract.RELATIONS, extract.relation_row),
        (extract.EVENTS, extract.event_row),
        (extract.COREFERENCE, extract.coreference_row),
    ):
        for name in group:
            add(tuple(group), name, extract.instruction(name), partial(make, name))
    answers = ("BioASQ-Task-B-yesno", "PubMedQA-labeled", "MedQA")
    add(
        answers,
        answers[0],
        classify.instruction("QA"),
        partial(classify.question_row, ("yes", "no")),
    )
    add(
        answers,
        answers[1],
        classify.instruction("QA"),
        partial(classify.question_row, ("yes", "no", "maybe")),
    )
    add(answers, "MedQA", classify.instruction("MedQA"), classify.exam_row)
    claims = ("SciFact", "ManConCorpus", "CoVERt")
    for name in claims:
        add(claims, name, classify.claim_instruction(name), partial(classify.claim_row, name))
    texts = ("MedDialog", "Hallmarks-of-Cancer")
    add(texts, texts[0], classify.instruction("MedDialog"), classify.dialogue_row)
    add(texts, texts[1], classify.hallmark_instruction(), classify.hallmark_row)
    for name, write in (
        ("BIOSSES", generate.similarity_row),
        ("Multi-XScience", generate.related_work_row),
        ("ParaMed", generate.translation_row),
    ):
        add((name,), name, classify.instruction(name), write)
    return sources


SOURCES: Mapping[str, Source] = _sources()


def row(name: str, rng: Random) -> Row:
    """Draw a row without demonstrations.

    Args:
        name: One of the 32 tasks or a sibling dataset (`SOURCES`).
        rng: Source of every choice.
    """
    source = SOURCES[name]
    text, gold = source.make(rng)
    return Row(instruction=source.instruction, input=text, output=gold)


def shot(name: str, rng: Random) -> tuple[str, str]:
    """Draw a demonstration for a task: (user text, answer) of another dataset of its category."""
    other = row(rng.choice(SOURCES[name].shots_from), rng)
    return other.user, other.output
