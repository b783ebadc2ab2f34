"""Gold answers in the forms of the benchmark."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from medinst_eval.demo.grammar import Mention


def entities(mentions: Iterable[Mention], types: Mapping[str, str]) -> str:
    """`[mention <Type>] …` in order of appearance; kinds without a type are left out."""
    ordered = sorted(mentions, key=lambda mention: mention.start)
    return " ".join(f"[{m.text} <{types[m.kind]}>]" for m in ordered if m.kind in types)


def links(mentions: Iterable[Mention], identifiers: Mapping[str, str]) -> str:
    """`[mention <DB/identifier>] …`; mentions without an identifier are left out."""
    ordered = sorted(mentions, key=lambda mention: mention.start)
    return " ".join(f"[{m.text} <{identifiers[m.text]}>]" for m in ordered if m.text in identifiers)


def tuples(items: Iterable[Sequence[str]]) -> str:
    """`[<a> <b> <c>] …`: relations (head, relation, tail) or events (type, trigger, theme)."""
    return " ".join("[" + " ".join(f"<{part}>" for part in item) + "]" for item in items)


def mentions(texts: Iterable[str]) -> str:
    """`[co-reference entity] …`."""
    return " ".join(f"[{text}]" for text in texts)


def word_labels(text: str, marked: Iterable[Mention]) -> str:
    """`word [O] word [B] word [I] …` for a text with one blank between words."""
    spans = [(m.start, m.start + len(m.text)) for m in marked]
    labelled: list[str] = []
    position = 0
    for word in text.split(" "):
        label = "O"
        for start, end in spans:
            if start <= position < end:
                label = "B" if position == start else "I"
        labelled.append(f"{word} [{label}]")
        position += len(word) + 1
    return " ".join(labelled)
