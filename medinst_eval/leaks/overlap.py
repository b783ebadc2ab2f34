"""Which test inputs does a text give away? An index of hashed word n-grams.

Built once over the test inputs; texts are then streamed past it, so that memory depends on the
test rows alone. A bit table answers for nearly all n-grams of a text that they occur nowhere.
"""

from __future__ import annotations

import re
import unicodedata
import zlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

_WORD = re.compile(r"[^\W_]+")
_TABLE_BITS = 27
_TABLE_MASK = np.uint64((1 << _TABLE_BITS) - 1)
_FACTOR = np.uint64(0x9E3779B97F4A7C15)
_MIX = np.uint64(0xBF58476D1CE4E5B9)

Hashes = npt.NDArray[np.uint64]


@dataclass(frozen=True, kw_only=True)
class Options:
    """What counts as giving an input away."""

    ngram: int = 8
    """Words per n-gram. Inputs with fewer than `ngram + 4` words are compared as a whole."""
    threshold: float = 0.5
    """Share of an input's n-grams that a text must hold."""
    too_common: int = 200
    """An n-gram in more test inputs than this is boilerplate and counts for none."""

    @property
    def shortest(self) -> int:
        """Fewest words of an input that is compared by n-grams."""
        return self.ngram + 4


@dataclass(frozen=True, kw_only=True)
class Hit:
    """A text that gives a test input away."""

    place: int
    """Number of the input."""
    share: float
    """Share of the input's n-grams in the text, 0 to 1; 1 for a repetition."""


@dataclass(frozen=True, kw_only=True)
class Index:
    """Hashed n-grams of the test inputs."""

    options: Options
    hashes: Hashes
    """Sorted; the input of `hashes[i]` is `owners[i]`."""
    owners: npt.NDArray[np.int64]
    sizes: npt.NDArray[np.int64]
    """Different n-grams of each input that count."""
    table: npt.NDArray[np.uint8]
    short: dict[str, list[int]]
    """Short inputs by their words."""


def words(text: str) -> list[str]:
    """Words of a text: NFKC, case folded, letters and digits only."""
    if not text.isascii():
        text = unicodedata.normalize("NFKC", text)
    return _WORD.findall(text.casefold())


def ngram_hashes(tokens: Sequence[str], size: int) -> Hashes:
    """64-bit hashes of all n-grams, equal in every process."""
    if len(tokens) < size:
        return np.empty(0, dtype=np.uint64)
    codes = np.fromiter((zlib.crc32(t.encode()) for t in tokens), np.uint64, len(tokens))
    codes = (codes + np.uint64(1)) * _MIX
    codes ^= codes >> np.uint64(31)
    total = np.zeros(len(tokens) - size + 1, dtype=np.uint64)
    for offset in range(size):
        total = total * _FACTOR + codes[offset : offset + len(total)]
    total ^= total >> np.uint64(29)
    return total


def build_index(inputs: Sequence[str], options: Options) -> Index:
    """Index test inputs; `Hit.place` counts in their order."""
    parts, owners, short = [], [], dict[str, list[int]]()
    for place, text in enumerate(inputs):
        tokens = words(text)
        if len(tokens) < options.shortest:
            short.setdefault(" ".join(tokens), []).append(place)
            continue
        found = np.unique(ngram_hashes(tokens, options.ngram))
        parts.append(found)
        owners.append(np.full(len(found), place, dtype=np.int64))
    hashes = np.concatenate(parts) if parts else np.empty(0, dtype=np.uint64)
    owner = np.concatenate(owners) if owners else np.empty(0, dtype=np.int64)
    order = np.argsort(hashes, kind="stable")
    hashes, owner = hashes[order], owner[order]
    _, inverse, counts = np.unique(hashes, return_inverse=True, return_counts=True)
    kept = counts[inverse] <= options.too_common if len(hashes) else np.empty(0, dtype=bool)
    hashes, owner = hashes[kept], owner[kept]
    table = np.zeros(1 << (_TABLE_BITS - 3), dtype=np.uint8)
    slots = hashes & _TABLE_MASK
    np.bitwise_or.at(table, slots >> np.uint64(3), _bit(slots))
    sizes = np.bincount(owner, minlength=len(inputs)).astype(np.int64)
    return Index(
        options=options, hashes=hashes, owners=owner, sizes=sizes, table=table, short=short
    )


def _bit(slots: Hashes) -> npt.NDArray[np.uint8]:
    return np.left_shift(np.uint8(1), (slots & np.uint64(7)).astype(np.uint8))


def hits(index: Index, text: str, tail: str | None = None) -> list[Hit]:
    """Test inputs that a text gives away.

    Args:
        index: The test inputs.
        text: The text, for instance a demonstration with its instruction.
        tail: The part of it that may be a short input as a whole; default: all of it.
    """
    tokens = words(text)
    alone = tokens if tail is None else words(tail)
    found = [Hit(place=p, share=1.0) for p in index.short.get(" ".join(alone), ()) if alone]
    hashes = ngram_hashes(tokens, index.options.ngram)
    slots = hashes & _TABLE_MASK
    maybe = hashes[(index.table[slots >> np.uint64(3)] & _bit(slots)) != 0]
    if len(maybe) == 0:
        return found
    maybe = np.unique(maybe)
    left = np.searchsorted(index.hashes, maybe, side="left")
    right = np.searchsorted(index.hashes, maybe, side="right")
    owners = [index.owners[a:b] for a, b in zip(left, right, strict=True) if a < b]
    if not owners:
        return found
    places, counts = np.unique(np.concatenate(owners), return_counts=True)
    shares = counts / index.sizes[places]
    for place, share in zip(places.tolist(), shares.tolist(), strict=True):
        if share >= index.options.threshold:
            found.append(Hit(place=place, share=share))
    return found
