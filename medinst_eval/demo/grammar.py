"""A small grammar of biomedical sentences: templates with slots, filled from word lists and facts.

Everything random is drawn from the generator that the caller passes, so that a seed fixes the text.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from random import Random
from typing import Any, cast

import yaml

_FOLDER = Path(__file__).parent
_SLOT = re.compile(r"\{([a-z_]+)(\d?)\}")


@dataclass(frozen=True, kw_only=True, slots=True)
class Mention:
    """A filled slot: where it lies in the text and what was put there."""

    slot: str
    """Name in the template, e.g. `protein2`."""
    kind: str
    """Kind of thing, e.g. `protein`."""
    start: int
    text: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Passage:
    """A sentence with its mentions, the facts behind it and its gold relations or events."""

    text: str
    mentions: tuple[Mention, ...]
    values: Mapping[str, str]
    """Slot -> text as it first appears; fact fields that no slot shows as they are."""
    gold: tuple[tuple[str, ...], ...] = ()


@cache
def lexicon() -> Mapping[str, Any]:
    """Word lists, facts and fillers (`lexicon.yaml`)."""
    return cast(Mapping[str, Any], yaml.safe_load((_FOLDER / "lexicon.yaml").read_text("utf-8")))


@cache
def templates() -> Mapping[str, Any]:
    """Sentence templates and instructions (`templates.yaml`)."""
    return cast(Mapping[str, Any], yaml.safe_load((_FOLDER / "templates.yaml").read_text("utf-8")))


def draw(rng: Random, kind: str, taken: Sequence[str] = ()) -> str:
    """Draw a name of a kind (or a filler word) that is not among those taken."""
    words = lexicon()["kinds"].get(kind) or lexicon()["fillers"][kind]
    return str(rng.choice([word for word in words if word not in taken]))


def draw_fact(rng: Random, name: str) -> dict[str, str]:
    """Draw things that belong together, as slot -> text."""
    return dict(rng.choice(lexicon()["facts"][name]))


def capitalise(text: str) -> str:
    """Capital first letter, unless the first word is a symbol such as `c-Fos`."""
    first = text.split(" ", 1)[0]
    marked = any(c.isupper() or c.isdigit() or c == "[" for c in first[1:])
    symbol = "-" in first[:3] or marked or not first[:1].isalpha()
    return text if symbol else text[:1].upper() + text[1:]


def realise(template: str, rng: Random, known: Mapping[str, str] | None = None) -> Passage:
    """Fill a template.

    Args:
        template: `[fact |] text with {slots} [| gold; gold]`.
        rng: Source of every choice.
        known: Slots that are already decided; other slots avoid their texts.
    """
    fact, text, gold = _split(template)
    values = dict(known or {})
    if fact:
        values = {**draw_fact(rng, fact), **values}
    for slot in _SLOT.finditer(text):
        name = slot[0][1:-1]
        if name not in values:
            values[name] = draw(rng, slot[1], tuple(values.values()))
    parts: list[str] = []
    mentions: list[Mention] = []
    shown = dict(values)
    position = 0
    length = 0
    for slot in _SLOT.finditer(text):
        name = slot[0][1:-1]
        parts.append(text[position : slot.start()])
        length += len(parts[-1])
        word = capitalise(values[name]) if length == 0 else values[name]
        if not any(mention.slot == name for mention in mentions):
            shown[name] = word
        mentions.append(Mention(slot=name, kind=slot[1], start=length, text=word))
        parts.append(word)
        length += len(word)
        position = slot.end()
    whole = "".join(parts) + text[position:]
    return Passage(
        text=capitalise(whole) if not mentions or mentions[0].start else whole,
        mentions=tuple(mentions),
        values=shown,
        gold=tuple(_gold(item, whole, shown) for item in gold),
    )


def join(passages: Sequence[Passage]) -> Passage:
    """Put sentences after each other, one blank between."""
    mentions: list[Mention] = []
    offset = 0
    for passage in passages:
        mentions += [
            Mention(slot=m.slot, kind=m.kind, start=m.start + offset, text=m.text)
            for m in passage.mentions
        ]
        offset += len(passage.text) + 1
    return Passage(
        text=" ".join(passage.text for passage in passages),
        mentions=tuple(mentions),
        values={key: value for passage in passages for key, value in passage.values.items()},
        gold=tuple(item for passage in passages for item in passage.gold),
    )


def _split(template: str) -> tuple[str, str, list[str]]:
    """Fact name (or empty), text, gold items."""
    parts = [part.strip() for part in template.split(" | ")]
    fact = parts.pop(0) if parts[0] in lexicon()["facts"] else ""
    return fact, parts[0], [item.strip() for item in parts[1].split(";")] if parts[1:] else []


def _gold(item: str, text: str, values: Mapping[str, str]) -> tuple[str, ...]:
    """One gold tuple: slots by their text, other words as the text spells them."""
    return tuple(values.get(word) or _as_spelt(word, text) for word in item.split())


def _as_spelt(word: str, text: str) -> str:
    """The word, with a capital where the text begins with it."""
    return capitalise(word) if text.startswith(capitalise(word) + " ") else word
