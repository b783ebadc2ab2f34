"""Parser for labelled words: `word [O] word [B] word [I]` and what models make of it."""

from __future__ import annotations

import re
from collections.abc import Callable

from medinst_eval.parsers import align, clean, markup, structured
from medinst_eval.parsers.brackets import says_none
from medinst_eval.types import ParseContext, ParsedAnswer

Pairs = list[tuple[str, align.Label]]

_TAG = r"(?:[BIOESLU](?:[-_][^\s\[\]()<>|,/]{1,60})?|[BIOESLU][ :][A-Za-z]{1,40})"
_BRACKETED = re.compile(rf"[\[(<{{]\s{{0,3}}({_TAG})\s{{0,3}}[\])>}}]")
_SLASHED = re.compile(rf"(?<!\S)(\S{{1,200}}?)[/_|\\]({_TAG})(?=[\s,;]|$)")
_LINE = re.compile(
    rf"\s{{0,8}}(?:[-*•>|]\s{{1,4}})?(?:\d{{1,4}}[.):]\s{{1,4}})?(?P<word>\S{{1,200}}?)[\"'*`]{{0,3}}"
    rf"(?:\s{{0,4}}(?:[:=|,\t]|->|→|–|-(?=\s))\s{{0,4}}|\s{{1,8}})[\"'*`\[(]{{0,3}}"
    rf"(?P<label>{_TAG})[\"'*`\])]{{0,3}}[\s|,;]{{0,8}}"
)
_OTHER_LABEL = re.compile(r"\S\s?(\[[A-Za-z][A-Za-z _-]{1,40}\])(?=\s|$)")
_STEPS = {"B": "B", "I": "I", "O": "O", "E": "I", "L": "I", "S": "B", "U": "B"}
_BARE = re.compile(rf"[\s,;|\[\]\"'()]{{0,4}}({_TAG})(?=[\s,;|\]\"')]|$)")
_LONGEST_CHUNK = 6
"""Words before one label that may all belong to it; of more only the last does."""
_LEAST_FOUND = 0.5
"""Share of the input's words that must be found in the output."""


def parse(text: str, context: ParseContext) -> ParsedAnswer:
    """Read one label (B, I or O) for every word of the input.

    Types behind a label are left out (`B-Disease` is B); BIOES and BILOU become BIO. The words
    are aligned to those of the input; a word the model left out is O. Unparsed when fewer than
    half of the input's words are found.
    """
    if not text.strip():
        return ParsedAnswer(status="empty")
    strict = _strict(text, context.input.split())
    if strict is not None:
        return ParsedAnswer(status="ok", value=strict)
    if len(text) > clean.LONGEST:
        return ParsedAnswer(status="unparsed", note=clean.TOO_LONG)
    words = context.input.split()
    prepared = clean.prepare(text, context, within=False)
    prepared = clean.strip_prefix(clean.straighten_brackets(prepared))
    best: tuple[int, tuple[str, ...]] | None = None
    for reader in _READERS:
        pairs = reader(prepared, context)
        if not pairs:
            continue
        if not words:
            return ParsedAnswer(status="ok", value=tuple(label or "O" for _, label in pairs))
        labels, found = align.transfer(pairs, words)
        if best is None or found > best[0]:
            best = found, labels
        if found >= 0.9 * len(words):
            break
    if best is None or best[0] < _LEAST_FOUND * len(words):
        bare = _bare_labels(prepared, len(words))
        if bare is not None:
            return ParsedAnswer(status="ok", value=bare)
    if best is None:
        if words and says_none(prepared):
            return ParsedAnswer(status="ok", value=("O",) * len(words))
        return ParsedAnswer(status="unparsed", note="no labelled words")
    found, labels = best
    if found < _LEAST_FOUND * len(words):
        note = f"only {found} of the input's {len(words)} words found"
        return ParsedAnswer(status="unparsed", note=note)
    return ParsedAnswer(status="ok", value=labels)


def parse_gold(text: str, context: ParseContext) -> ParsedAnswer:
    """Read gold labels: every word of the input followed by `[B]`, `[I]` or `[O]`."""
    if not text.strip():
        return ParsedAnswer(status="ok", value=())
    strict = _strict(text, context.input.split())
    if strict is not None:
        return ParsedAnswer(status="ok", value=strict)
    pairs = _alternating(text)
    if pairs is None:
        return ParsedAnswer(status="unparsed", note="not of the form 'word [LABEL] word [LABEL]'")
    labels, _ = align.transfer(pairs, context.input.split())
    return ParsedAnswer(status="ok", value=labels)


def _alternating(text: str) -> Pairs | None:
    """Words and labels of a text in the benchmark's own form, or None."""
    tokens = text.split()
    if len(tokens) % 2 or not set(tokens[1::2]) <= {"[B]", "[I]", "[O]"}:
        return None
    return [(word, tag[1]) for word, tag in zip(tokens[::2], tokens[1::2], strict=True)]


def _strict(text: str, words: list[str]) -> tuple[str, ...] | None:
    pairs = _alternating(text)
    if pairs is None or (words and [word for word, _ in pairs] != words):
        return None
    return tuple(label or "O" for _, label in pairs)


def _step(tag: str) -> str:
    return _STEPS[tag[0]]


def _foreign(text: str, context: ParseContext) -> bool:
    """Whether words carry labels of another kind, such as `cancer [Disease]`."""
    return any(
        not _BRACKETED.fullmatch(match[1]) and match[1] not in context.input
        for match in _OTHER_LABEL.finditer(text)
    )


def _leading(text: str) -> Pairs:
    """`[B] breast [I] cancer`: labels before their words; none where one stands at the end."""
    labels = list(_BRACKETED.finditer(text))
    ends = [match.start() for match in labels[1:]] + [len(text)]
    pairs: Pairs = []
    for match, end in zip(labels, ends, strict=True):
        words = text[match.end() : end].split()
        if len(words) != 1:
            return []
        pairs.append((words[0], _step(match[1])))
    return pairs


def _plain(text: str, _: ParseContext) -> Pairs:
    """`breast B cancer I`: words and labels in turn."""
    tokens = text.split()
    if len(tokens) % 2 or not all(re.fullmatch(_TAG, tag) for tag in tokens[1::2]):
        return []
    return [(word, _step(tag)) for word, tag in zip(tokens[::2], tokens[1::2], strict=True)]


def _bracketed(text: str, context: ParseContext) -> Pairs:
    """`word [B]`, `two words [B-Disease]`, `word (B)`: what stands between labels is labelled."""
    pairs: Pairs = []
    position = 0
    if _foreign(text, context):
        return []
    if _BRACKETED.match(text):
        return _leading(text)
    for match in _BRACKETED.finditer(text):
        chunk = text[position : match.start()]
        chunk = chunk.rpartition("\n")[2] if chunk.rpartition("\n")[2].strip() else chunk
        position = match.end()
        words = chunk.strip(" \t\n,;|").split() or chunk.split()
        label = _step(match[1])
        if len(words) > _LONGEST_CHUNK:
            pairs += [(word, None) for word in words[-_LONGEST_CHUNK:-1]]
            words = words[-1:]
        rest = "I" if label == "B" else label
        pairs += [(word, rest if number else label) for number, word in enumerate(words)]
    return pairs


def _slashed(text: str, _: ParseContext) -> Pairs:
    """`word/B`, `word_B`, `word|B-Disease`."""
    return [(match[1], _step(match[2])) for match in _SLASHED.finditer(text)]


def _lines(text: str, _: ParseContext) -> Pairs:
    """One word a line with its label behind a space, tab, colon, dash or table bar."""
    pairs: Pairs = []
    for line in text.split("\n"):
        match = _LINE.fullmatch(line) if len(line) <= 400 else None
        if match:
            word = match["word"]
            pairs.append((word.strip("\"'*`") or word, _step(match["label"])))
    return pairs


def _json(text: str, context: ParseContext) -> Pairs:
    """Lists of pairs, lists of objects, one object word -> label, or two lists side by side."""
    value = structured.read(text)
    if value is None:
        return []
    tokens, labels = _side_by_side(value, context)
    if tokens:
        return list(zip(tokens, labels, strict=True))
    pairs: Pairs = []
    for record in structured.records(value):
        texts = [item.strip() for item in record.values() if isinstance(item, str)]
        tags = [item for item in texts if re.fullmatch(_TAG, item)]
        others = [item for item in texts if not re.fullmatch(_TAG, item)]
        if len(texts) == 2 and tags:
            word = others[0] if others else texts[0]
            pairs.append((word, _step(tags[-1])))
        elif len(record) > 2 and len(tags) == len(texts):
            pairs += [(str(word), _step(str(tag))) for word, tag in record.items()]
    if not pairs and isinstance(value, dict):
        items = [(key, item) for key, item in value.items() if isinstance(item, str)]
        pairs = [(str(key), _step(item)) for key, item in items if re.fullmatch(_TAG, item)]
    return pairs


def _side_by_side(
    value: structured.Value, context: ParseContext
) -> tuple[list[str], list[align.Label]]:
    """Two lists of one length, one of them labels; or labels alone, one for each word."""
    words = context.input.split()
    lists = (
        [item for item in value.values() if isinstance(item, list)]
        if isinstance(value, dict)
        else [value]
        if isinstance(value, list)
        else []
    )
    texts = [[str(item) for item in one] for one in lists]
    tagged = [one for one in texts if one and all(re.fullmatch(_TAG, item) for item in one)]
    for labels in tagged:
        steps: list[align.Label] = [_step(item) for item in labels]
        for tokens in texts:
            if tokens is not labels and len(tokens) == len(labels):
                return tokens, steps
        if len(labels) == len(words):
            return words, steps
    return [], []


def _marked(text: str, _: ParseContext) -> Pairs:
    """The sentence with its entities in tags: `<span …>breast cancer</span>`, `<mark>…</mark>`.

    Only lines with a tag are read, so that an unmarked copy of the sentence is not taken for it.
    """
    lines = (_tagged(line) for line in text.split("\n") if "</" in line)
    return [pair for pairs in lines for pair in pairs]


def _marked_within(text: str, _: ParseContext) -> Pairs:
    """As `_marked`, with the lines that have no tag."""
    return _tagged(text)


def _tagged(text: str) -> Pairs:
    pieces = markup.pieces(text)
    if all(name is None for _, name in pieces):
        return []
    pairs: Pairs = []
    for body, name in pieces:
        words = body.split()
        if name is None:
            pairs += [(word, "O") for word in words]
        else:
            pairs += [(word, "I" if number else "B") for number, word in enumerate(words)]
    return pairs


_READERS: tuple[Callable[[str, ParseContext], Pairs], ...] = (
    _bracketed, _json, _slashed, _lines, _marked, _marked_within, _plain,
)  # fmt: skip


def _bare_labels(text: str, count: int) -> tuple[str, ...] | None:
    """Labels without words, accepted only where there is exactly one for each word."""
    labels: list[str] = []
    position = 0
    while match := _BARE.match(text, position):
        labels.append(_step(match[1]))
        position = match.end()
    rest = text[position:].strip(" \t\n.,;|[]\"'()")
    return tuple(labels) if count and len(labels) == count and not rest else None
