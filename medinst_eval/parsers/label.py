"""Parsers for one label and for several labels of a closed set."""

from __future__ import annotations

import re
from functools import lru_cache

from medinst_eval.parsers import clean, closed, deciding
from medinst_eval.parsers.choice import options_from_input
from medinst_eval.types import ParseContext, ParsedAnswer

SYNONYMS: dict[str, tuple[str, ...]] = {
    # SciFact's own labels are SUPPORT, CONTRADICT and NOT_ENOUGH_INFO, FEVER's SUPPORTS, REFUTES
    # and NOT ENOUGH INFO, those of natural language inference entailment, contradiction, neutral.
    "support": ("entailment", "entails", "entailed"),
    "refute": ("contradicts", "contradict", "contradicted", "contradiction", "contradictory"),
    "contradict": ("refutes", "refute", "refuted", "contradiction", "contradictory"),
    "neutral": (
        "NEI",
        "not enough info",
        "not enough information",
        "insufficient information",
        "insufficient evidence",
        "neither supports nor refutes",
        "neither support nor refute",
        "neither supports nor contradicts",
        "neither supported nor refuted",
        "does not support or refute",
        "neither confirms nor denies",
        "unverifiable",
    ),
}
"""Stem of a label -> the field's other names for it; used only where no label has that name."""

_SPLIT = re.compile(r"[,;|•·\n]|\s/\s")
_BULLET = re.compile(
    r"[\s>#]{0,8}(?:[-*+•·–]\s{0,4}|\(?\d{1,3}[.):]\s{0,4}|\[[ xX]?\]\s{0,4}){0,2}"
)
_NONE = re.compile(
    r"(?:there (?:are|is) )?(?:none|no|not any)(?: (?:of the )?(?:above|given|listed|relevant"
    r"|specific|cancer|applicable|these))?(?: (?:hallmarks?|labels?|categor(?:y|ies)))?"
    r"(?: of cancer)?(?: (?:are|is|were|was))?(?: (?:discussed|mentioned|present|found|identified"
    r"|appl(?:y|ies)|applicable|described|addressed))?(?: in (?:the|this) \w{1,12})?",
    re.IGNORECASE,
)


_NOT = re.compile(r"\b(?:not|no|neither|nor|without|never|cannot)\b|n't\b", re.IGNORECASE)


def parse(text: str, context: ParseContext) -> ParsedAnswer:
    """Read one label of a closed set, in whatever dress.

    A label in another inflection counts ("supported" for `Supports`); a label that is denied
    ("does not support") or one of two does not.
    """
    if not text.strip():
        return ParsedAnswer(status="empty")
    if text.strip() in context.labels:
        return ParsedAnswer(status="ok", value=text.strip())
    if len(text) > clean.LONGEST:
        return ParsedAnswer(status="unparsed", note=clean.TOO_LONG)
    if not context.labels:
        bare = clean.bare(clean.prepare(text, context))
        return _given(bare.rstrip("."))
    vocabulary = _vocabulary(_in_asked_order(context), letters=_asked(context))
    index, note = deciding.decide(vocabulary, clean.prepare(text, context))
    if index is None:
        return ParsedAnswer(status="unparsed", note=note)
    return ParsedAnswer(status="ok", value=vocabulary.names[index])


def parse_gold(text: str, context: ParseContext) -> ParsedAnswer:
    """Read a gold label: the text itself, spelled as in the closed set where it is in it."""
    if not text.strip():
        return ParsedAnswer(status="empty")
    spelled = {label.casefold(): label for label in context.labels}
    bare = text.strip()
    return ParsedAnswer(status="ok", value=spelled.get(bare.casefold(), bare))


def parse_labels(text: str, context: ParseContext) -> ParsedAnswer:
    """Read several labels of a closed set; unknown ones are dropped and named in the note."""
    if not text.strip():
        return ParsedAnswer(status="empty")
    strict = _listed(text, context.labels)
    if strict is not None and not _contradicts_itself(strict):
        return ParsedAnswer(status="ok", value=strict)
    if len(text) > clean.LONGEST:
        return ParsedAnswer(status="unparsed", note=clean.TOO_LONG)
    bare = clean.bare(clean.prepare(text, context))
    if not context.labels:
        return _open_labels(bare)
    vocabulary = _plural_vocabulary(context.labels)
    none = next((label for label in context.labels if label.casefold() == "none"), None)
    if _says_none(bare):
        return ParsedAnswer(status="ok", value=(none,) if none else ())
    found, unknown, other = _segments(bare, vocabulary)
    if not found or any(_NOT.search(piece) for piece in (*unknown, *other)):
        found, note = _prose(bare, vocabulary)
        if note:
            return ParsedAnswer(status="unparsed", note=note)
        other = []
    return _settle([vocabulary.names[index] for index in found], unknown, other)


def parse_labels_gold(text: str, context: ParseContext) -> ParsedAnswer:
    """Read gold labels: parted by ", "; an empty gold is no label at all."""
    listed = _listed(text, context.labels)
    if listed is None:
        listed = tuple(part.strip() for part in text.split(", ") if part.strip())
    return ParsedAnswer(status="ok", value=listed)


def _asked(context: ParseContext) -> bool:
    """Whether the input offers the labels as options, so that they may be called A, B, C."""
    options = context.options or options_from_input(context.input)
    return {option.casefold() for option in options} == {name.casefold() for name in context.labels}


def _in_asked_order(context: ParseContext) -> tuple[str, ...]:
    if not _asked(context):
        return context.labels
    spelled = {label.casefold(): label for label in context.labels}
    options = context.options or options_from_input(context.input)
    return tuple(spelled[option.casefold()] for option in options)


def _given(text: str) -> ParsedAnswer:
    if not text:
        return ParsedAnswer(status="unparsed", note="nothing but decoration")
    return ParsedAnswer(status="ok", value=text)


def _listed(text: str, labels: tuple[str, ...]) -> tuple[str, ...] | None:
    """The labels of a text in the benchmark's own form, or None."""
    if not text.strip():
        return ()
    parts = tuple(part.strip() for part in text.strip().split(", "))
    return parts if set(parts) <= set(labels) else None


def _open_labels(text: str) -> ParsedAnswer:
    parts = [_bare_segment(part) for part in _SPLIT.split(text)]
    kept = tuple(part for part in parts if part)
    if not kept:
        return ParsedAnswer(status="unparsed", note="no label")
    return ParsedAnswer(status="ok", value=kept)


def _bare_segment(segment: str) -> str:
    segment = segment[closed.end_of(_BULLET, segment, 0) :]
    return segment.strip(" \t\"'“”‘’*_`[]{}().:#")


def _says_none(text: str) -> bool:
    bare = re.sub(r"[\s.\"'*_\[\]{}()]+", " ", text[:300]).strip()
    return len(text) <= 200 and (bare == "" or _NONE.fullmatch(bare) is not None)


def _segments(text: str, vocabulary: closed.Vocabulary) -> tuple[list[int], list[str], list[str]]:
    """Labels that stand alone between separators; short segments that are none; the rest."""
    found: list[int] = []
    unknown: list[str] = []
    other: list[str] = []
    for segment in _SPLIT.split(text):
        bare = _bare_segment(segment)
        if not bare:
            continue
        for piece in [bare] if _key(bare) in vocabulary.exact else _pieces(bare, vocabulary):
            index = vocabulary.exact.get(_key(piece))
            if index is not None:
                found.append(index)
            elif len(piece) <= 60:
                unknown.append(piece)
            else:
                other.append(piece)
    return found, unknown, other


def _pieces(segment: str, vocabulary: closed.Vocabulary) -> list[str]:
    """Parts of a segment: "and X", "X and Y", "label: X", "X: why", "X (why)", "X - why"."""
    if len(segment) > 1000:
        return [segment]
    segment = re.sub(r"^(?:and|or|also)\s", "", segment)
    head = re.split(r"\s?[:(=]\s?|\s[-–—]\s", segment, maxsplit=1)
    for piece in head:
        if _key(_bare_segment(piece)) in vocabulary.exact:
            return [_bare_segment(piece)]
    halves = [
        (segment[: match.start()], segment[match.end() :])
        for match in re.finditer(r"\s(?:and|&)\s", segment)
    ]
    for left, right in halves:
        if _key(left) in vocabulary.exact and _key(right) in vocabulary.exact:
            return [left, right]
    return [segment]


def _prose(text: str, vocabulary: closed.Vocabulary) -> tuple[list[int], str]:
    text = closed.plain(text)
    found: list[int] = []
    for hit in vocabulary.scan(text):
        if closed.negated(text, hit):
            return [], "names a label only to deny it, or says it in doubt"
        found.append(hit.index)
    return found, "" if found else "names none of the possible labels"


def _contradicts_itself(labels: tuple[str, ...]) -> bool:
    return len(set(labels)) > 1 and any(label.casefold() == "none" for label in labels)


def _settle(names: list[str], unknown: list[str], other: list[str]) -> ParsedAnswer:
    kept = tuple(dict.fromkeys(names))
    if _contradicts_itself(kept):
        return ParsedAnswer(status="unparsed", note="says none and names labels")
    dropped = [piece for piece in unknown if piece]
    note = f"unknown labels dropped: {', '.join(dropped[:5])}" if dropped and not other else ""
    return ParsedAnswer(status="ok", value=kept, note=note[:200])


_SPELLING = (("tumour", "tumor"), ("signalling", "signaling"), ("energetic ", "energetics "))


def _key(text: str) -> str:
    key = clean.fold(text) if len(text) <= 200 else ""
    for british, american in _SPELLING:
        key = key.replace(british, american)
    return key


@lru_cache(maxsize=256)
def _vocabulary(labels: tuple[str, ...], *, letters: bool) -> closed.Vocabulary:
    surfaces: list[tuple[str, int]] = []
    taken = {label.casefold() for label in labels}
    stems = [_stem(label) for label in labels]
    for index, label in enumerate(labels):
        surfaces.append((label, index))
        if re.fullmatch(r"[A-Za-z]{5,}", label):
            surfaces += [(form, index) for form in _inflections(stems[index])]
    for index, stem in enumerate(stems):
        extra = SYNONYMS.get(stem, ())
        surfaces += [
            (name, index)
            for name in extra
            if name.casefold() not in taken and not any(_stem(name) == other for other in stems)
        ]
    return closed.build(labels, surfaces, letters=letters)


@lru_cache(maxsize=256)
def _plural_vocabulary(labels: tuple[str, ...]) -> closed.Vocabulary:
    surfaces = [(label, index) for index, label in enumerate(labels)]
    for index, label in enumerate(labels):
        british = label.replace("tumor", "tumour").replace("signaling", "signalling")
        if british != label:
            surfaces.append((british, index))
    return closed.build(labels, surfaces)


def _stem(label: str) -> str:
    """Verb stem of a one-word label: `Supports`, `SUPPORTED` and `Support` have the same."""
    word = label.casefold()
    for ending in ("ing", "ed", "es", "s"):
        if word.endswith(ending) and not word.endswith("ss") and len(word) - len(ending) >= 4:
            cut = word[: -len(ending)]
            # "refuted", "refutes", "refuting" -> "refute"
            return cut + "e" if ending != "s" and re.search(r"[^aeiou][aeiou]t$", cut) else cut
    return word


def _inflections(stem: str) -> list[str]:
    base = stem[:-1] if stem.endswith("e") else stem
    return [stem, f"{stem}s", f"{base}ed", f"{base}es", f"{base}ing"]
