"""Turns loose fields (of JSON, tables, brackets) into the tuples of the five bracket forms."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

from medinst_eval.parsers.clean import fold, strip_wrapping
from medinst_eval.types import ParseContext

BracketForm = Literal["entities", "links", "relations", "events", "mentions"]
Item = tuple[str, ...]
LONGEST_MENTION = 300
"""Characters; what is longer is no mention."""

_MENTION = (
    "mention entity text name term span word surface entitytext entitymention entityname value"
    " string phrase coreference coreferenceentity coreferencemention coref reference entity1"
    " mentiontext surfaceform"
)
_TYPE = "type label entitytype entitylabel category class semantictype tag entitycategory group"
_ID = (
    "id identifier dbid databaseid databaseidentifier dbidentifier conceptid link linkedid"
    " entityid normalizedid cui databaselink ids identifiers dbnamedbid dbname/dbid"
)
_DATABASE = "db database dbname databasename source ontology"
_HEAD = "head subject subj entity1 arg1 e1 argument1 source from first headentity ent1 firstentity"
_TAIL = "tail object obj entity2 arg2 e2 argument2 target to second tailentity ent2 secondentity"
_RELATION = "relation relationtype relationship type predicate label rel relationlabel verb"
_TRIGGER = "trigger triggerword eventtrigger anchor triggertext triggerterm word"
_THEME = (
    "theme themeentity argument primaryargument entity arguments object target participant arg"
    " themearg themeargument mainargument"
)
_EVENT = "type eventtype event label category class"

FIELDS: dict[BracketForm, tuple[frozenset[str], ...]] = {
    "mentions": (frozenset(_MENTION.split()),),
    "entities": (frozenset(_MENTION.split()), frozenset(_TYPE.split())),
    "links": (frozenset(_MENTION.split()), frozenset(_ID.split())),
    "relations": tuple(frozenset(names.split()) for names in (_HEAD, _RELATION, _TAIL)),
    "events": tuple(frozenset(names.split()) for names in (_EVENT, _TRIGGER, _THEME)),
}
"""Names, folded, under which models give the fields of a form, in the order of its tuple."""
CLOSED: dict[BracketForm, int] = {"entities": 1, "relations": 1, "events": 0}
"""Field that comes from the closed set of types."""

_IDENTIFIER = re.compile(
    r"[A-Za-z][A-Za-z .-]{2,30}(?:\s?/\s?\S{1,200}[^\n]{0,300}|\s?:\s?[^\s/]{1,200})"
)
_RS = re.compile(r"\b(dbsnp)\s{0,2}[/:]\s{0,2}rs(?=\d)", re.IGNORECASE)
_COLON = re.compile(r"(?:^|(?<=, ))([A-Za-z][\w .-]{0,40}?)\s{0,2}:\s{0,2}(?=\S)")
_PLACEHOLDERS = frozenset(
    (
        *("entity", "entity1", "entity2", "type", "relation", "mention", "coreferenceentity"),
        *("dbname/dbid", "trigger", "themeentity", "theme", "eventtype", "relationtype"),
    )
)
_LETTER = re.compile(r"[^\W_]")
_NOTHING = frozenset({"none", "null", "n/a", "na", "nil", "noentities", "noentity", "empty", ""})


@lru_cache(maxsize=8)
def _casefold(text: str) -> str:
    return text.casefold()


def stands_in(text: str, source: str) -> bool:
    """Whether a source holds a mention, in any case, not cut out of a longer word."""
    text = text.strip()
    if not text or len(text) > LONGEST_MENTION:
        return False
    if text not in source:
        text, source = text.casefold(), _casefold(source)
    start = source.find(text)
    for _ in range(20):
        if start < 0:
            return False
        end = start + len(text)
        cut = (text[0].isalnum() and source[max(0, start - 1) : start].isalnum()) or (
            text[-1].isalnum() and source[end : end + 1].isalnum()
        )
        if not cut:
            return True
        start = source.find(text, start + 1)
    return False


@lru_cache(maxsize=512)
def _spellings(labels: tuple[str, ...]) -> Mapping[str, str]:
    known = {fold(label): label for label in reversed(labels)}
    plurals = {f"{key}s": label for key, label in known.items()}
    return plurals | known


def spell(text: str, labels: tuple[str, ...]) -> str | None:
    """The type that a text names, in the spelling of the closed set; None where it is none."""
    if text in labels:
        return text
    return _spellings(labels).get(fold(text)) if len(text) <= 100 else None


def bare(text: str) -> str:
    """A field without white space, quotes, emphasis and angle brackets around it."""
    text = strip_wrapping(text)
    if len(text) > 2 and text[0] == "<" and text[-1] == ">" and "<" not in text[1:-1]:
        text = strip_wrapping(text[1:-1])
    return text


def identifier(text: str) -> str:
    """A database identifier in the benchmark's form: `dbSNP:rs123` is `dbSNP/123`."""
    text = _RS.sub(r"\1/", text.strip())
    return text if "/" in text else _COLON.sub(r"\1/", text)


def is_identifier(text: str) -> bool:
    """Whether a text looks like `DB/identifier` or `DB:identifier`."""
    return _IDENTIFIER.fullmatch(text.strip()) is not None


@dataclass(frozen=True, kw_only=True, slots=True)
class Shaper:
    """Makes tuples of one form; every method gives None where the fields make none."""

    form: BracketForm
    context: ParseContext

    @property
    def size(self) -> int:
        return len(FIELDS[self.form])

    def item(self, fields: Sequence[str]) -> Item | None:
        """A tuple from exactly as many fields as the form has, in the form's order.

        A type in the wrong place is put right where exactly one field names a type.
        """
        parts = [bare(field) for field in fields]
        labels = self.context.labels
        place = CLOSED.get(self.form)
        if place is not None:
            parts = self._placed(parts)
            parts[place] = spell(parts[place], labels) or parts[place]
        elif self.form == "links":
            if is_identifier(parts[0]) and not is_identifier(parts[1]):
                parts.reverse()
            parts[1] = identifier(parts[1])
        if all(fold(part) in _PLACEHOLDERS for part in parts):
            return None
        mention = parts[1] if self.form == "events" else parts[0]
        if mention.casefold().replace(" ", "") in _NOTHING or not _LETTER.search(mention):
            return None
        heads = self.size == 2 and fold(mention) in FIELDS[self.form][1]
        if heads and not stands_in(mention, self.context.input):
            return None
        return tuple(parts)

    def _placed(self, parts: list[str]) -> list[str]:
        """Fields with the type where it belongs, if exactly one of them names a type."""
        place = CLOSED.get(self.form)
        named = [n for n, part in enumerate(parts) if spell(part, self.context.labels)]
        if place is not None and len(named) == 1 and place != named[0]:
            parts.insert(place, parts.pop(named[0]))
        return parts

    def polish(self, item: Item) -> Item | None:
        """An item in the benchmark's form with its type spelt as in the closed set.

        Decoration around a mention goes, unless the input has the mention so.
        """
        place = CLOSED.get(self.form)
        fields = self._placed(list(item))
        for number, field in enumerate(fields):
            if number == place:
                fields[number] = spell(field, self.context.labels) or field
            elif self.form == "links" and number == 1:
                fields[number] = identifier(field)
            elif field not in self.context.input:
                fields[number] = strip_wrapping(field) or field
        if all(fold(field) in _PLACEHOLDERS for field in fields):
            return None
        if fields[0].casefold().replace(" ", "") in _NOTHING:
            return None
        return tuple(fields)

    def untyped(self, mention: str) -> Item | None:
        """A mention without type or identifier; in the forms of three fields there is none."""
        if self.form == "mentions":
            return self.item((mention,))
        return self.item((mention, "")) if self.size == 2 else None

    def record(self, record: Mapping[str, str]) -> Item | None:
        """A tuple from named fields."""
        folded = {fold(name): text for name, text in record.items()}
        found: list[str | None] = []
        for names in FIELDS[self.form]:
            key = next((key for key in folded if key in names), None)
            found.append(folded.pop(key) if key is not None else None)
        if self.form == "links":
            database = next((folded[key] for key in folded if key in _DATABASE.split()), None)
            if database and found[1] and "/" not in found[1]:
                found[1] = f"{database}/{found[1]}"
        if self.size <= 2:
            fields = [field or "" for field in found]
            return self.item(fields) if fields[0] else None
        if self.form == "relations" and not (found[0] and found[2]):
            return self._pair(record)
        if any(field is None for field in found):
            return self._partial(found)
        return self.item([field or "" for field in found])

    def _partial(self, found: Sequence[str | None]) -> Item | None:
        """A relation without its name, an event without its type: the name stays empty."""
        place = CLOSED[self.form]
        if all(field for number, field in enumerate(found) if number != place):
            return self.item([field or "" for field in found])
        return None

    def _pair(self, record: Mapping[str, str]) -> Item | None:
        """Two entities under names of the model's own, such as `chemical` and `disease`."""
        names = FIELDS["relations"][1]
        named = {fold(name): text for name, text in record.items()}
        relation = next((text for name, text in named.items() if name in names), "")
        ends = [text for name, text in named.items() if name not in names and text.strip()]
        return self.item((ends[0], relation, ends[1])) if len(ends) == 2 else None
