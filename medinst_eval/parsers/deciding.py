"""Decides which one member of a closed set an answer names; shared by label and choice."""

from __future__ import annotations

import re

from medinst_eval.parsers import clean, closed

_FIELD = re.compile(
    r"[\"']?\b(?:final_?answer|answer_?choice|answer_?letter|answer_?label|answer_?text|answer"
    r"|predicted_?label|label|prediction|predicted|classification|class|category|verdict|choice"
    r"|selected_?option|correct_?option|correct_?answer|option|relationship|relation|stance|result"
    r"|response|output)[\"']\s{0,8}:\s{0,8}",
    re.IGNORECASE,
)
_FINAL = re.compile(
    r"\\boxed\s?\{(?:\\text\s?\{)?|\bfinal[ _](?:answer|label|verdict|classification|choice)\b"
    r"[*_\"')]{0,4}\s{0,3}(?:is\b|:|=|-)?[*_]{0,3}",
    re.IGNORECASE,
)
_MARK = re.compile(
    r"\b(?:answers?|answer[_ ](?:choice|label|letter|option)|label|classification|verdict"
    r"|conclusion|prediction|decision|stance|relationship"
    r"|(?:correct|best|right|appropriate|likely) (?:option|choice|diagnosis|label|answer choice))\b"
    r"(?:\s{1,3}(?:here|to (?:the|this) question))?[*_\"')]{0,4}\s{0,3}"
    r"(?:(?:is|would be|should be|must be|was|are)\b|:|=|->|→)[*_]{0,3}",
    re.IGNORECASE,
)
_AFTER = r"(?:\s{1,3}(?:choice|option|label|letter))?[*_\"')]{0,4}\s{0,3}(?::|=|->|→)?[*_]{0,3}"
_CHOSEN = re.compile(
    r"\b(?:i|i'd|i'll|i would|i will|we|we would|would|will|to) (?:think|believe|choose|select|pick"
    rf"|go with|answer|say|conclude|classify (?:it|this) as)\b{_AFTER}",
    re.IGNORECASE,
)
_NAMED = re.compile(rf"\b(?:options?|choices?|answers?|letter|label)\b{_AFTER}", re.IGNORECASE)
_NONE_FITS = re.compile(
    r"\bnone of the (?:\w{1,12} ){0,2}(?:options|choices|answers|above|labels)\b"
    r"|\bnot (?:listed|given|provided|included|among|one of)\b|\bno (?:correct|suitable) ",
    re.IGNORECASE,
)
_VALUE = re.compile(r"[^\"\n]{1,1000}")
_SENTENCE_END = re.compile(r"[.!?][\"')\]]{0,2}\s|\n")
_SHORT = 200
"""Characters up to which a text is taken as one statement."""
_MEMBER = 2000
"""Longest text that is compared with the members as a whole."""


def decide(vocabulary: closed.Vocabulary, text: str) -> tuple[int | None, str]:
    """The one member that a cleaned answer names, or None and the reason.

    Looked for in this order, the first that names a member decides: the whole text; a field such
    as `"answer_choice":`; "final answer" or a box; "the answer is", the start and the last line
    together; the only member in the text. Two members in the deciding place: none.
    """
    index = _whole(vocabulary, text)
    if index is not None:
        return index, ""
    text = closed.plain(text)
    try:
        for tier in (_fields, _finals, _marks, _chosen, _named):
            found, settled = tier(vocabulary, text)
            if len(found) == 1:
                return found.pop(), ""
            if found:
                return None, "names more than one answer"
            if settled:
                return None, "the answer given is none of the possible ones"
    except closed.Conflict:
        return None, "names more than one answer"
    return _only(vocabulary, text)


def _whole(vocabulary: closed.Vocabulary, text: str) -> int | None:
    return vocabulary.exact.get(clean.fold(text)) if len(text) <= _MEMBER else None


def _fields(vocabulary: closed.Vocabulary, text: str) -> tuple[set[int], bool]:
    found: set[int] = set()
    settled = False
    for match in _FIELD.finditer(text):
        start = closed.end_of(closed.SPACE, text, match.end())
        value = _VALUE.match(text, start)
        body = value[0] if value else ""
        if not body or "{" in text[match.end() : start]:
            continue
        settled = True
        index = _whole(vocabulary, body)
        if index is None:
            hit = vocabulary.at(body, 0, filler=False)
            index = (
                hit.index if hit and not closed.negated(body, hit) else _only(vocabulary, body)[0]
            )
        if index is not None:
            found.add(index)
    return found, settled


def _finals(vocabulary: closed.Vocabulary, text: str) -> tuple[set[int], bool]:
    return _after(vocabulary, text, _FINAL), False


def _marks(vocabulary: closed.Vocabulary, text: str) -> tuple[set[int], bool]:
    found = _after(vocabulary, text, _MARK)
    head = vocabulary.at(text, 0, filler=False)
    if head is not None and _leads(vocabulary, text, head):
        found.add(head.index)
    last = text.rstrip().rpartition("\n")[2]
    index = _whole(vocabulary, last)
    if index is not None:
        found.add(index)
    return found, False


def _chosen(vocabulary: closed.Vocabulary, text: str) -> tuple[set[int], bool]:
    return _after(vocabulary, text, _CHOSEN), False


def _named(vocabulary: closed.Vocabulary, text: str) -> tuple[set[int], bool]:
    """ "Option B": where several are told over, denied ones too, none is chosen."""
    hits = _hits(vocabulary, text, _NAMED)
    if len({hit.index for hit in hits}) > 1:
        raise closed.Conflict
    return {hit.index for hit in hits if not closed.negated(text, hit)}, False


def _after(vocabulary: closed.Vocabulary, text: str, pattern: re.Pattern[str]) -> set[int]:
    """Members named behind a pattern and not denied."""
    hits = _hits(vocabulary, text, pattern)
    return {hit.index for hit in hits if not closed.negated(text, hit)}


def _hits(vocabulary: closed.Vocabulary, text: str, pattern: re.Pattern[str]) -> list[closed.Hit]:
    found: list[closed.Hit] = []
    for match in pattern.finditer(text):
        hit = vocabulary.at(text, match.end())
        if hit is None:
            continue
        weak = hit.index in vocabulary.weak and hit.kind == "text"
        if not weak or closed.ALONE.match(text, hit.end):
            found.append(hit)
    return found


def _leads(vocabulary: closed.Vocabulary, text: str, hit: closed.Hit) -> bool:
    """Whether a hit at the start of the text is meant as the answer."""
    if hit.kind == "text":
        if text[hit.end : hit.end + 1] == "," and hit.index not in vocabulary.weak:
            # "X, then Y" is a list.
            return all(other.index == hit.index for other in vocabulary.scan(text))
        return closed.ALONE.match(text, hit.end) is not None or vocabulary.names[hit.index] == "yes"
    if not hit.closed:
        return False
    # "A. … B. …": the options told over, not chosen.
    following = chr(ord("A") + hit.index + 1) if hit.kind == "letter" else str(hit.index + 2)
    return re.search(rf"(?:^|\s)\(?{following}[).:]\s", text) is None


def _outer_sentences(text: str) -> tuple[int, int]:
    """Where the first sentence ends and where the last one starts; short texts are one sentence."""
    ends = [match.end() for match in _SENTENCE_END.finditer(text.rstrip())]
    if len(text) <= _SHORT or not ends:
        return len(text), 0
    return ends[0], ends[-1]


def _only(vocabulary: closed.Vocabulary, text: str) -> tuple[int | None, str]:
    """The only member of a text that is not denied; of a long text in its first or last sentence.

    What is mentioned on the way of a long argument is no answer.
    """
    found: set[int] = set()
    denied = _NONE_FITS.search(text) is not None
    first, last = _outer_sentences(text)
    placed = False
    for hit in vocabulary.scan(text):
        denied = denied or closed.negated(text, hit)
        placed = placed or hit.start < first or hit.end > last
        found.add(hit.index)
    if len(found) > 1:
        return None, "names more than one answer"
    if not found:
        return None, "names none of the possible answers"
    if denied:
        return None, "names an answer only to deny it, or says it in doubt"
    if not placed:
        return None, "names an answer only on the way of an argument"
    return found.pop(), ""
