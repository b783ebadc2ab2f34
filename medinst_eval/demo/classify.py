"""Classification datasets: questions, claims, messages and hallmarks of cancer."""

from __future__ import annotations

from collections.abc import Mapping
from random import Random

from medinst_eval.demo.grammar import capitalise, draw, draw_fact, lexicon, realise, templates

Pair = tuple[str, str]
"""Input text and gold answer."""

OPTIONS = 5
"""Options of an examination question."""


def instruction(name: str) -> str:
    """Instruction of a dataset without parameters."""
    return str(templates()["instructions"][name])


def claim_instruction(name: str) -> str:
    """Instruction of a claim dataset, with the labels that it uses."""
    labels = claim_labels(name)
    quoted = [f"'{label}'" for label in labels]
    return instruction("TE").format(labels=", ".join(quoted[:-1]) + f" or {quoted[-1]}")


def hallmark_instruction() -> str:
    """Instruction of Hallmarks-of-Cancer."""
    return instruction("Hallmarks-of-Cancer").format(labels=", ".join(templates()["hallmarks"]))


def claim_labels(name: str) -> list[str]:
    """Labels that occur in a claim dataset."""
    return [key for key in templates()["claims"][name][0] if key != "claim"]


def question_row(labels: tuple[str, ...], rng: Random) -> Pair:
    """`Question: …`, `Context: …`, `Options: …` and one of the labels."""
    questions = templates()["questions"]
    label = rng.choice(labels)
    about = rng.choice(("effect", "harm"))
    if label == "yes":
        known = draw_fact(rng, "treats" if about == "effect" else "adverse")
    else:
        known = {"chemical": draw(rng, "chemical"), "disease": draw(rng, "disease")}
    question = realise(rng.choice(questions["ask"][about]), rng, known).text
    context = realise(rng.choice(questions[label][about]), rng, known).text
    options = " / ".join(labels)
    return f"Question: {question}\nContext: {context}\nOptions: {options}", label


def exam_row(rng: Random) -> Pair:
    """`Question: …` and `Options: a / b / c / d / e`; the answer is the text of an option."""
    exam = templates()["exam"]
    kind = rng.choice(("diagnosis", "treatment", "cause"))
    facts = exam[kind]["facts"]
    finding = rng.choice(list(facts))
    answer = facts[finding]
    options = [
        answer,
        *rng.sample([text for text in facts.values() if text != answer], OPTIONS - 1),
    ]
    rng.shuffle(options)
    person = rng.choice(exam["people"])
    article = "An" if person.startswith("8") else "A"
    asked = rng.choice(exam[kind]["question"])
    question = f"{article} {person} has {finding}. {asked}"
    return f"Question: {question}\nOptions: {' / '.join(options)}", answer


def claim_row(name: str, rng: Random) -> Pair:
    """`Claim: …`, `Evidence: …` and how the evidence stands to the claim."""
    group = rng.choice(templates()["claims"][name])
    label = rng.choice(claim_labels(name))
    known: dict[str, str] = {}
    if "{chemical}" in group["claim"] and label == "Supports":
        known = draw_fact(rng, "adverse")
    if "{protein}" in group["claim"] and label == "Supports":
        known = draw_fact(rng, "signal")
    claim = realise(group["claim"], rng, known)
    evidence = realise(rng.choice(group[label]), rng, {**known, **_plain(claim.values)})
    return f"Claim: {claim.text}\nEvidence: {evidence.text}", label


def dialogue_row(rng: Random) -> Pair:
    """A message of an online consultation and who wrote it."""
    label = rng.choice(("patient", "doctor"))
    return realise(rng.choice(templates()["dialogue"][label]), rng).text, label


def hallmark_row(rng: Random) -> Pair:
    """A sentence on cancer and the hallmarks it discusses, joined by `, `."""
    hallmarks = templates()["hallmarks"]
    draws = rng.random()
    labels = ["none"]
    if draws > 0.4:
        labels = rng.sample(
            [name for name in hallmarks if name != "none"], 2 if draws > 0.85 else 1
        )
    first = realise(rng.choice(hallmarks[labels[0]]), rng)
    parts = [first.text]
    for label in labels[1:]:
        parts.append(_decapitalise(realise(rng.choice(hallmarks[label]), rng).text))
    return capitalise(" and ".join(parts)) + " .", ", ".join(labels)


def _plain(values: Mapping[str, str]) -> dict[str, str]:
    """Slot texts as the word lists spell them: a capital at the start of a sentence is undone."""
    words = {
        word
        for group in ("kinds", "fillers")
        for kind in lexicon()[group].values()
        for word in kind
    }
    return {
        slot: text if text in words or _decapitalise(text) not in words else _decapitalise(text)
        for slot, text in values.items()
    }


def _decapitalise(text: str) -> str:
    """Small first letter, unless the first word is a symbol such as `EGFR`."""
    first = text.split(" ", 1)[0]
    symbol = any(c.isupper() or c.isdigit() for c in first[1:])
    return text if symbol else text[:1].lower() + text[1:]
