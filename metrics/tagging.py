"""Word labels: entities as seqeval's strict IOB2 reads them, and accuracy word by word."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain, islice, repeat
from operator import eq

from medinst_eval.metrics.means import MeanMetric
from medinst_eval.metrics.signature import sign

Span = tuple[str, int, int]
"""(type, first word, word after the last)."""

STRICT_RULE = "strict-iob2"


def spans(labels: Sequence[str]) -> list[Span]:
    """Entities of one row of labels, by the strict IOB2 rule.

    An entity starts at B and goes on over the I that follow with the same type; an I that
    continues nothing belongs to no entity. Labels may carry a type (`B-Disease`); without one
    the type is `_`.
    """
    found: list[Span] = []
    start, kind = -1, ""
    for place, label in enumerate(labels):
        prefix, its_kind = label[:1], label[1:].strip("-") or "_"
        if start >= 0 and not (prefix == "I" and its_kind == kind):
            found.append((kind, start, place))
            start = -1
        if prefix == "B":
            start, kind = place, its_kind
    if start >= 0:
        found.append((kind, start, len(labels)))
    return found


class TokenAccuracy(MeanMetric):
    """Share of words with the right label.

    Formula:
        Words whose label equals the gold's / words, summed over the data set.
    Matching:
        Labels aligned to the words of the input; a row without an answer counts all its words as
        wrong; a word that the answer leaves out counts as O.
    Trap:
        Most words are O, so calling everything O already scores high; read it beside
        `entity_f1`.
    Differs:
        `paper_label_f1` ignores the words and gives each of B, I and O a third of the score.
    Source:
        scikit-learn's `accuracy_score` over all words.
    """

    name = "token_accuracy"
    forms = ("word_labels",)

    def sample_stats(self, gold: Sequence[str], answer: Sequence[str] | None) -> Sequence[float]:
        """(right words, words)."""
        if answer is None:
            return (0.0, float(len(gold)))
        claimed = islice(chain(answer, repeat("O")), len(gold))
        return (float(sum(map(eq, gold, claimed))), float(len(gold)))

    def value(self, gold: Sequence[str], answer: Sequence[str] | None) -> float:
        """Share of right words of one row; 0 for a row without words."""
        right, words = self.sample_stats(gold, answer)
        return right / words if words else 0.0

    @property
    def signature(self) -> str:
        """Alignment and averaging."""
        return sign(self.name, ("pad", "O"), ("avg", "words"))
