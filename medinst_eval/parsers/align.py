"""Carries labels from the words a model wrote over to the words of the input."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

Label = str | None
"""`B`, `I`, `O`, or None for a word without a label."""

_PIECE = re.compile(r"[^\W_]+|[\W_]")
_MOST_LETTERS = 20_000
"""Longest stretch of changed words that is compared letter by letter."""
_SURE = 3
"""Pieces in a row that are taken for the same text wherever they stand."""
_NEAR = 6
"""Shift between two matches up to which one vouches for the other."""


@dataclass(frozen=True, kw_only=True, slots=True)
class _Block:
    """A stretch of both sides: the same on both (`equal`), or not."""

    equal: bool
    written: slice
    words: slice

    @property
    def shift(self) -> int:
        return int(self.written.start) - int(self.words.start)


def transfer(
    written: Sequence[tuple[str, Label]], words: Sequence[str]
) -> tuple[tuple[str, ...], int]:
    """Label every word of the input by aligning the written words to it.

    Both sides are cut into runs of letters and digits and single other signs, so that a word
    split or joined is still found, and aligned by their longest common subsequence; stretches
    that differ in between are aligned letter by letter. Matches far from all others are chance
    and do not count. A word of the input takes the first label other than O of what is aligned
    to it; without any it is O.

    Args:
        written: Words of the model with their labels, in order.
        words: Words of the input.

    Returns:
        One label per word of the input, and how many of the words were found in the output.
    """
    pieces, marks = _pieces(written, limit=50 * len(words) + 2000)
    targets: list[str] = []
    owners: list[int] = []
    for number, word in enumerate(words):
        for piece in _PIECE.findall(word.casefold()):
            targets.append(piece)
            owners.append(number)
    carried: list[Label] = [None] * len(targets)
    for block in _blocks(pieces, targets):
        if block.equal:
            carried[block.words] = marks[block.written]
        else:
            carried[block.words] = _by_letter(
                pieces[block.written], marks[block.written], targets[block.words]
            )
    return _gather(carried, targets, owners, words)


def _pieces(written: Sequence[tuple[str, Label]], *, limit: int) -> tuple[list[str], list[Label]]:
    """Pieces of the written words with their labels; behind the first of a B word comes I.

    What lies far behind the end of the input cannot belong to it: a model in a loop writes on.
    """
    pieces: list[str] = []
    marks: list[Label] = []
    for word, label in written:
        found = _PIECE.findall(word.casefold())
        rest = "I" if label == "B" else label
        pieces += found
        marks += [label, *[rest] * (len(found) - 1)][: len(found)]
        if len(pieces) > limit:
            break
    return pieces, marks


def _gather(
    carried: Sequence[Label], targets: Sequence[str], owners: Sequence[int], words: Sequence[str]
) -> tuple[tuple[str, ...], int]:
    labels: list[str] = ["O"] * len(words)
    letters = [0] * len(words)
    for mark, piece, owner in zip(carried, targets, owners, strict=True):
        if mark is None:
            continue
        letters[owner] += len(piece)
        if labels[owner] == "O":
            labels[owner] = mark
    found = 0
    for number, word in enumerate(words):
        # A few signs shared by chance do not make two words the same.
        if 2 * letters[number] >= len(word):
            found += 1
        else:
            labels[number] = "O"
    return tuple(labels), found


def _blocks(written: Sequence[str], words: Sequence[str]) -> list[_Block]:
    """Equal stretches that can be trusted, and what lies between them on both sides."""
    from rapidfuzz.distance import LCSseq

    equal = [
        _Block(
            equal=True,
            written=slice(code.src_start, code.src_end),
            words=slice(code.dest_start, code.dest_end),
        )
        for code in LCSseq.opcodes(written, words)
        if code.tag == "equal"
    ]
    blocks: list[_Block] = []
    end_written = end_words = 0
    trusted = _trusted(equal)
    for number, block in enumerate(trusted):
        gap_written = slice(end_written, block.written.start)
        gap_words = slice(end_words, block.words.start)
        size = gap_words.stop - gap_words.start
        if size and gap_written.stop > gap_written.start:
            # Of a long stretch only the part next to the match can answer to the gap.
            if number == 0:
                gap_written = slice(max(0, gap_written.stop - 3 * size - 10), gap_written.stop)
            blocks.append(_Block(equal=False, written=gap_written, words=gap_words))
        blocks.append(block)
        end_written, end_words = block.written.stop, block.words.stop
    size = len(words) - end_words
    if size and end_written < len(written):
        last = min(len(written), end_written + 3 * size + 10)
        blocks.append(
            _Block(
                equal=False,
                written=slice(end_written, last),
                words=slice(end_words, len(words)),
            )
        )
    return blocks


def _trusted(blocks: Sequence[_Block]) -> list[_Block]:
    """Matches that are long, or stand at nearly the same shift as a neighbour or at no shift."""
    kept: list[_Block] = []
    for number, block in enumerate(blocks):
        size = block.written.stop - block.written.start
        beside = [blocks[n] for n in (number - 1, number + 1) if 0 <= n < len(blocks)]
        vouched = any(abs(block.shift - other.shift) <= _NEAR for other in beside)
        if size >= _SURE or vouched or abs(block.shift) <= _NEAR:
            kept.append(block)
    return kept


def _by_letter(
    pieces: Sequence[str], marks: Sequence[Label], targets: Sequence[str]
) -> list[Label]:
    """Labels for a stretch that the model wrote differently."""
    from rapidfuzz.distance import LCSseq

    letters, target = "".join(pieces), "".join(targets)
    if not letters or not target or len(letters) + len(target) > _MOST_LETTERS:
        return [None] * len(targets)
    spread: list[Label] = []
    for piece, mark in zip(pieces, marks, strict=True):
        rest = "I" if mark == "B" else mark
        spread += [mark, *[rest] * (len(piece) - 1)]
    carried: list[Label] = [None] * len(target)
    for code in LCSseq.opcodes(letters, target):
        if code.tag == "equal":
            carried[code.dest_start : code.dest_end] = spread[code.src_start : code.src_end]
    labels: list[Label] = []
    start = 0
    for piece in targets:
        known = [mark for mark in carried[start : start + len(piece)] if mark is not None]
        start += len(piece)
        enough = known and 2 * len(known) >= len(piece)
        first = next((mark for mark in known if mark != "O"), "O")
        labels.append(first if enough else None)
    return labels
