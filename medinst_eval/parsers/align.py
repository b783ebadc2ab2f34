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
    pieces, marks, starts = _pieces(written, limit=50 * len(words) + 2000)
    targets: list[str] = []
    owners: list[int] = []
    for number, word in enumerate(words):
        for piece in _PIECE.findall(word.casefold()):
            targets.append(piece)
            owners.append(number)
    origin: list[int | None] = [None] * len(targets)
    for block in _blocks(pieces, targets):
        places = range(block.written.start, block.written.stop)
        if block.equal:
            origin[block.words] = places
        else:
            near = _by_letter(pieces[block.written], marks[block.written], targets[block.words])
            origin[block.words] = [None if n is None else places[n] for n in near]
    return _gather(_carry(origin, marks, starts), targets, owners, words)


def _pieces(
    written: Sequence[tuple[str, Label]], *, limit: int
) -> tuple[list[str], list[Label], list[int]]:
    """Pieces of the written words, their labels, and for each the piece its entity starts with.

    Behind the first piece of a B word comes I. What lies far behind the end of the input cannot
    belong to it: a model in a loop writes on.
    """
    pieces: list[str] = []
    marks: list[Label] = []
    starts: list[int] = []
    start = -1
    for word, label in written:
        found = _PIECE.findall(word.casefold())
        if label == "B":
            start = len(pieces)
        elif label != "I":
            start = -1
        rest = "I" if label == "B" else label
        pieces += found
        marks += [label, *[rest] * (len(found) - 1)][: len(found)]
        starts += [start] * len(found)
        if len(pieces) > limit:
            break
    return pieces, marks, starts


def _carry(
    origin: Sequence[int | None], marks: Sequence[Label], starts: Sequence[int]
) -> list[Label]:
    """Labels by origin; the first piece found of an entity whose start was not found is its B."""
    found = {place for place in origin if place is not None}
    begun: set[int] = set()
    before: int | None = None
    carried: list[Label] = []
    for place in origin:
        mark = None if place is None else marks[place]
        if mark == "B" and place == before:
            # A word of the model that covers several of the input.
            mark = "I"
        before = place
        if place is not None and mark == "I":
            start = starts[place]
            if start >= 0 and start not in found and start not in begun:
                begun.add(start)
                mark = "B"
        carried.append(mark)
    return carried


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
) -> list[int | None]:
    """For each target the written piece that shares its letters, one with an entity first."""
    from rapidfuzz.distance import LCSseq

    letters, target = "".join(pieces), "".join(targets)
    if not letters or not target or len(letters) + len(target) > _MOST_LETTERS:
        return [None] * len(targets)
    spread = [number for number, piece in enumerate(pieces) for _ in piece]
    carried: list[int | None] = [None] * len(target)
    for code in LCSseq.opcodes(letters, target):
        if code.tag == "equal":
            carried[code.dest_start : code.dest_end] = spread[code.src_start : code.src_end]
    found: list[int | None] = []
    start = 0
    for piece in targets:
        known = [place for place in carried[start : start + len(piece)] if place is not None]
        start += len(piece)
        enough = known and 2 * len(known) >= len(piece)
        first = next((place for place in known if marks[place] not in (None, "O")), None)
        found.append((known[0] if first is None else first) if enough else None)
    return found
