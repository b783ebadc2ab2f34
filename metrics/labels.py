"""Metrics of answers that are one label, several labels, an option, or one exact text."""

from __future__ import annotations

from collections.abc import Sequence

from medinst_eval.metrics import counts
from medinst_eval.metrics.base import FloatArray, Metric, MetricContext
from medinst_eval.metrics.means import MeanMetric
from medinst_eval.metrics.normalise import STANDARD_RULE, normalise
from medinst_eval.metrics.signature import sign

Labels = str | Sequence[str]


def _label_set(answer: Labels | None) -> frozenset[str]:
    """Normalised labels of an answer, each once; none where there is no answer."""
    if answer is None:
        return frozenset()
    return frozenset(map(normalise, (answer,) if isinstance(answer, str) else answer))


class Accuracy(MeanMetric):
    """Share of rows whose answer is the gold's.

    Formula:
        Right rows / rows.
    Matching:
        The parsed label, option or text equals the gold's after normalisation (NFKC, case,
        white space, quotes, dashes). No answer is wrong.
    Trap:
        With unbalanced labels the most frequent one alone scores high; read `macro_f1` beside it.
    Differs:
        `paper_em` and `paper_label_f1` take the whole output: "B", "The answer is yes." and
        "Supports because …" are wrong there and read here.
    Source:
        scikit-learn's `accuracy_score`.
    """

    name = "accuracy"
    forms = ("label", "choice", "text")

    def value(self, gold: str, answer: str | None) -> float:
        """1 or 0."""
        return float(answer is not None and normalise(gold) == normalise(answer))

    @property
    def signature(self) -> str:
        """Form and normalisation."""
        return sign(self.name, ("form", self.context.form), ("norm", STANDARD_RULE))


class MacroF1(Metric):
    """F1 of each label, averaged over the labels: rare labels count as much as frequent ones.

    Formula:
        Mean over the labels that occur in the gold of 2 tp / (2 tp + fp + fn), with tp, fp and
        fn summed over the corpus.
    Matching:
        Labels equal after normalisation. No answer misses every label of the row. An answer
        outside the label set is a miss for the gold's label and a false claim for none.
    Trap:
        A label with two rows weighs as much as one with two hundred: look at the interval.
    Differs:
        `paper_label_f1` compares the whole output; the paper scores several labels by row.
    Source:
        scikit-learn's `f1_score(average="macro", labels=<labels in the gold>, zero_division=0)`.
    """

    name = "macro_f1"
    forms = ("label", "labels")

    def __init__(self, context: MetricContext) -> None:
        super().__init__(context)
        known = list(dict.fromkeys(map(normalise, context.labels)))
        seen = set().union(*(_label_set(gold) for gold in context.golds))  # type: ignore[arg-type]
        self.labels: tuple[str, ...] = (
            *(label for label in known if label in seen),
            *sorted(seen.difference(known)),
        )
        """Labels in the order of the statistics: those of the card, then others by name."""

    def sample_stats(self, gold: Labels, answer: Labels | None) -> Sequence[float]:
        """tp, fp, fn of each label in turn."""
        wanted, claimed = _label_set(gold), _label_set(answer)
        stats: list[float] = []
        for label in self.labels:
            found, said = label in wanted, label in claimed
            stats += [float(found and said), float(said and not found), float(found and not said)]
        return stats

    def score(self, sums: FloatArray) -> FloatArray:
        """Macro F1, shape (..., labels * 3) -> (...)."""
        return counts.macro_f1(sums)

    @property
    def signature(self) -> str:
        """Form, label set and normalisation."""
        pairs = (("form", self.context.form), ("labels", "in-gold"), ("norm", STANDARD_RULE))
        return sign(self.name, *pairs, ("avg", "macro"))


class MicroF1(Metric):
    """F1 over all (row, label) pairs of a task with several labels per row.

    Formula:
        F1 = 2 tp / (2 tp + fp + fn), summed over rows and labels.
    Matching:
        Sets of labels per row, equal after normalisation; a repeated label counts once. No
        answer misses every label of the row; a label outside the set is a false claim.
    Trap:
        Frequent labels dominate; read `macro_f1` beside it.
    Differs:
        `paper_entity_f1` takes F1 per row and averages, and splits only at ", ".
    Source:
        scikit-learn's `f1_score(average="micro")` on indicator columns.
    """

    name = "micro_f1"
    forms = ("labels",)

    def sample_stats(self, gold: Labels, answer: Labels | None) -> Sequence[float]:
        """(tp, fp, fn)."""
        return counts.multiset_counts(_label_set(gold), _label_set(answer))

    def score(self, sums: FloatArray) -> FloatArray:
        """Micro F1, shape (..., 3) -> (...)."""
        return counts.micro_f1(sums)

    @property
    def signature(self) -> str:
        """Normalisation and averaging."""
        return sign(self.name, ("norm", STANDARD_RULE), ("count", "set"), ("avg", "micro"))


class SubsetAccuracy(MeanMetric):
    """Share of rows whose set of labels is exactly the gold's.

    Formula:
        Rows with equal label sets / rows.
    Matching:
        Sets of labels after normalisation, order and repeats do not count. No answer is wrong.
    Trap:
        One label too many makes the row wrong.
    Differs:
        The paper has no exact-set score.
    Source:
        scikit-learn's `accuracy_score` on indicator columns.
    """

    name = "subset_accuracy"
    forms = ("labels",)

    def value(self, gold: Labels, answer: Labels | None) -> float:
        """1 or 0."""
        return float(answer is not None and _label_set(gold) == _label_set(answer))

    @property
    def signature(self) -> str:
        """Normalisation."""
        return sign(self.name, ("norm", STANDARD_RULE), ("count", "set"))
