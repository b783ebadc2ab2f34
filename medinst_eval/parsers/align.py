"""Carries labels from the words a model wrote over to the words of the input."""

from __future__ import annotations

from collections.abc import Hashable, Sequence

Label = str | None
"""`B`, `I`, `O`, or None for a word without a label."""

_MOST_CHARACTERS = 20_000
"""Longest stretch of changed words that is compared letter by letter."""


def transfer(
    written: Sequence[tuple[str, Label]], words: Sequence[str]
) -> tuple[tuple[str, ...], int]:
    """Label every word of the input by aligning the written words to it.

    Words are aligned first, by their longest common subsequence; stretches that differ (a word
    split, joined or respelt) are aligned letter by letter. A word of the input takes the first
    label other than O of what is aligned to it; without any it is O.

    Args:
        written: Words of the model with their labels, in order.
        words: Words of the input.

    Returns:
        One label per word of the input, and how many of the words were found in the output.
    """
    labels: list[Label] = [None] * len(words)
    keys = [word.casefold() for word in words]
    # A model in a loop writes without end; what lies far behind the input cannot belong to it.
    written = written[: 20 * len(words) + 1000]
    written_keys = [word.casefold() for word, _ in written]
    for tag, a, b, c, d in _blocks(written_keys, keys):
        if tag == "equal":
            labels[c:d] = [label for _, label in written[a:b]]
        elif tag == "replace":
            labels[c:d] = _by_letter(written[a:b], keys[c:d])
    found = sum(label is not None for label in labels)
    return tuple(label or "O" for label in labels), found


def _blocks(
    first: Sequence[Hashable], second: Sequence[Hashable]
) -> list[tuple[str, int, int, int, int]]:
    """Opcodes from `first` to `second`, neighbouring changes joined into one replacement."""
    from rapidfuzz.distance import LCSseq

    blocks: list[tuple[str, int, int, int, int]] = []
    for code in LCSseq.opcodes(first, second):
        tag, a, b, c, d = code.tag, code.src_start, code.src_end, code.dest_start, code.dest_end
        if blocks and tag != "equal" and blocks[-1][0] != "equal":
            _, start, _, other, _ = blocks[-1]
            a, c = start, other
            blocks.pop()
            tag = "replace" if b > a and d > c else "insert" if d > c else "delete"
        blocks.append((tag, a, b, c, d))
    return blocks


def _by_letter(written: Sequence[tuple[str, Label]], words: Sequence[str]) -> list[Label]:
    """Labels for a stretch of words that the model wrote differently."""
    from rapidfuzz.distance import LCSseq

    letters = "".join(word.casefold() for word, _ in written)
    target = "".join(words)
    nothing: list[Label] = [None] * len(words)
    if not letters or not target or len(letters) + len(target) > _MOST_CHARACTERS:
        return nothing
    marks: list[Label] = []
    for word, label in written:
        # The letters behind the first of a B word continue the entity.
        rest = "I" if label == "B" else label
        marks += [label, *[rest] * (len(word.casefold()) - 1)]
    carried: list[Label] = [None] * len(target)
    for code in LCSseq.opcodes(letters, target):
        if code.tag == "equal":
            carried[code.dest_start : code.dest_end] = marks[code.src_start : code.src_end]
    labels: list[Label] = []
    start = 0
    for word in words:
        piece = carried[start : start + len(word)]
        start += len(word)
        known = [mark for mark in piece if mark is not None]
        # Letters shared by chance do not make two words the same.
        if 2 * len(known) < len(word) or not known:
            labels.append(None)
        else:
            labels.append(next((mark for mark in known if mark != "O"), "O"))
    return labels
