"""Metrics over sets of things found: entities, links, relations, events, mentions.

All count over the corpus (micro): tp, fp and fn are summed over rows before one F1 is taken, so
that every gold item weighs the same. Within a row items are a multiset: a mention that occurs
three times has to be found three times.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from typing import Any, ClassVar, Literal

from medinst_eval.metrics import counts
from medinst_eval.metrics.base import FloatArray, Metric
from medinst_eval.metrics.normalise import STANDARD_RULE, normalise
from medinst_eval.metrics.signature import sign
from medinst_eval.metrics.tagging import STRICT_RULE, spans
from medinst_eval.types import Form

Items = Callable[[Iterable[Any]], list[Hashable]]
"""Takes from an answer what has to match, item by item."""

_AVERAGES: Mapping[str, Callable[[FloatArray], FloatArray]] = {
    "f1": counts.micro_f1,
    "precision": counts.micro_precision,
    "recall": counts.micro_recall,
}


def _tuples(items: Iterable[Sequence[str]]) -> list[Hashable]:
    return [tuple(normalise(part) for part in item) for item in items]


def _firsts(items: Iterable[Sequence[str]]) -> list[Hashable]:
    return [normalise(item[0]) for item in items]


def _first_twos(items: Iterable[Sequence[str]]) -> list[Hashable]:
    return _tuples(item[:2] for item in items)


def _ends(items: Iterable[Sequence[str]]) -> list[Hashable]:
    return [tuple(sorted((normalise(item[0]), normalise(item[-1])))) for item in items]


def _spans(labels: Iterable[str]) -> list[Hashable]:
    return [*spans(list(labels))]


class CountMetric(Metric):
    """Base of the set metrics: statistics (tp, fp, fn) of the parts of items that must match.

    No answer (empty, unparsed, truncated): every gold item of the row is missed.
    """

    items: ClassVar[Mapping[Form, tuple[str, Items]]]
    """Answer form -> name of what must match, and the function that takes it from an answer."""
    average: ClassVar[Literal["f1", "precision", "recall"]] = "f1"

    def sample_stats(self, gold: Iterable[Any], answer: Iterable[Any] | None) -> Sequence[float]:
        """(tp, fp, fn)."""
        items = self.items[self.context.form][1]
        return counts.multiset_counts(items(gold), items(answer or ()))

    def score(self, sums: FloatArray) -> FloatArray:
        """Micro average, shape (..., 3) -> (...); 1 where nothing was to be found or claimed."""
        return _AVERAGES[self.average](sums)

    @property
    def signature(self) -> str:
        """Form, what must match, normalisation, averaging."""
        form = self.context.form
        rule = "none" if form == "word_labels" else STANDARD_RULE
        pairs = (("match", self.items[form][0]), ("norm", rule), ("count", "multiset"))
        return sign(self.name, ("form", form), *pairs, ("avg", "micro"))


class _EntityMetric(CountMetric):
    """Entities, either bracketed or as word labels."""

    forms = ("entities", "word_labels")
    items: ClassVar[Mapping[Form, tuple[str, Items]]] = {
        "entities": ("mention+type", _tuples),
        "word_labels": (STRICT_RULE, _spans),
    }
    citation = """@misc{seqeval,
  title = {{seqeval}: A Python framework for sequence labeling evaluation},
  author = {Hiroki Nakayama},
  url = {https://github.com/chakki-works/seqeval},
  year = {2018}
}"""


class EntityF1(_EntityMetric):
    """Entities found with their boundaries and type: the harmonic mean of precision and recall.

    Formula:
        F1 = 2 tp / (2 tp + fp + fn), summed over the corpus.
    Matching:
        Bracket form: mention and type both equal after normalisation, repeats counted. Word
        labels: seqeval's strict IOB2, first and last word and type equal; an I that follows no B
        is no entity.
    Trap:
        A mention that is one word too long is one false positive and one false negative.
    Differs:
        `paper_entity_f1` averages over rows, deletes articles and punctuation, and gives 0 to a
        row with nothing to find; `paper_label_f1` counts labels, not entities.
    Source:
        seqeval (`mode="strict"`, IOB2, micro average); for brackets the same counts on
        multisets.
    """

    name = "entity_f1"


class EntityPrecision(_EntityMetric):
    """Share of the claimed entities that are in the gold.

    Formula:
        P = tp / (tp + fp), summed over the corpus; nothing claimed: 0.
    Matching:
        As `entity_f1`.
    Trap:
        A model that claims one sure entity and no more has precision 1.
    Differs:
        The paper publishes no precision.
    Source:
        seqeval (`precision_score`, strict, micro average).
    """

    name = "entity_precision"
    average = "precision"


class EntityRecall(_EntityMetric):
    """Share of the gold's entities that were found.

    Formula:
        R = tp / (tp + fn), summed over the corpus.
    Matching:
        As `entity_f1`.
    Trap:
        A model that claims everything has recall 1.
    Differs:
        The paper publishes no recall.
    Source:
        seqeval (`recall_score`, strict, micro average).
    """

    name = "entity_recall"
    average = "recall"


class MentionF1(CountMetric):
    """Mentions found, whatever type or identifier they were given.

    Formula:
        F1 = 2 tp / (2 tp + fp + fn), summed over the corpus.
    Matching:
        The mention's text after normalisation, repeats counted.
    Trap:
        Positions are not compared: the same word claimed elsewhere in the text counts.
    Differs:
        For coreference `paper_entity_f1` compares the same mentions, but averages over rows and
        deletes articles and punctuation ("the virus" equals "virus").
    Source:
        The lenient counterpart of `entity_f1` and `link_f1`; the headline of coreference.
    """

    name = "mention_f1"
    forms = ("mentions", "entities", "links")
    items: ClassVar[Mapping[Form, tuple[str, Items]]] = {
        "mentions": ("mention", _firsts),
        "entities": ("mention", _firsts),
        "links": ("mention", _firsts),
    }


class LinkF1(CountMetric):
    """Mentions found and linked to the right identifier.

    Formula:
        F1 = 2 tp / (2 tp + fp + fn), summed over the corpus.
    Matching:
        Mention and identifier both equal after normalisation; the identifier is compared whole,
        several identifiers of one mention together and in their order.
    Trap:
        "7486" is not "NCBI Gene/7486": the database is part of the identifier.
    Differs:
        `paper_entity_f1` averages over rows and deletes punctuation, so that "dbSNP/747319628"
        equals "dbSNP747319628".
    Source:
        Strict normalisation F1 as in the BioCreative tasks, on multisets.
    """

    name = "link_f1"
    forms = ("links",)
    items: ClassVar[Mapping[Form, tuple[str, Items]]] = {"links": ("mention+identifier", _tuples)}


class _RelationMetric(CountMetric):
    forms = ("relations",)
    items: ClassVar[Mapping[Form, tuple[str, Items]]] = {
        "relations": ("head+relation+tail", _tuples)
    }


class RelationF1(_RelationMetric):
    """Relations found with both entities, their direction and the type.

    Formula:
        F1 = 2 tp / (2 tp + fp + fn), summed over the corpus.
    Matching:
        Head, relation and tail all equal after normalisation, in this order, repeats counted.
    Trap:
        Head and tail exchanged is wrong, also for a relation that has no direction of its own.
    Differs:
        `paper_entity_f1` averages over rows and compares one string without punctuation, so that
        <a b> <c> <d> equals <a> <b c> <d>.
    Source:
        Strict relation extraction F1 (micro), on multisets.
    """

    name = "relation_f1"


class RelationPrecision(_RelationMetric):
    """Share of the claimed relations that are in the gold.

    Formula:
        P = tp / (tp + fp), summed over the corpus; nothing claimed: 0.
    Matching:
        As `relation_f1`.
    Trap:
        High for a model that claims little.
    Differs:
        The paper publishes no precision.
    Source:
        Strict relation extraction precision (micro).
    """

    name = "relation_precision"
    average = "precision"


class RelationRecall(_RelationMetric):
    """Share of the gold's relations that were found.

    Formula:
        R = tp / (tp + fn), summed over the corpus.
    Matching:
        As `relation_f1`.
    Trap:
        High for a model that claims every pair.
    Differs:
        The paper publishes no recall.
    Source:
        Strict relation extraction recall (micro).
    """

    name = "relation_recall"
    average = "recall"


class PairF1(CountMetric):
    """Pairs of entities found to be related, whatever the relation and its direction.

    Formula:
        F1 = 2 tp / (2 tp + fp + fn), summed over the corpus.
    Matching:
        The two entities equal after normalisation, in either order, repeats counted.
    Trap:
        A relation claimed the wrong way round counts as right.
    Differs:
        The paper has no lenient relation score.
    Source:
        The lenient counterpart of `relation_f1`.
    """

    name = "pair_f1"
    forms = ("relations",)
    items: ClassVar[Mapping[Form, tuple[str, Items]]] = {"relations": ("pair-unordered", _ends)}


class EventF1(CountMetric):
    """Events found with type, trigger and theme.

    Formula:
        F1 = 2 tp / (2 tp + fp + fn), summed over the corpus.
    Matching:
        Type, trigger and theme all equal after normalisation, repeats counted.
    Trap:
        An event with two themes is two items; one wrong trigger costs both.
    Differs:
        `paper_entity_f1` averages over rows and compares one string without punctuation.
    Source:
        Strict event extraction F1 (micro), on multisets.
    """

    name = "event_f1"
    forms = ("events",)
    items: ClassVar[Mapping[Form, tuple[str, Items]]] = {"events": ("type+trigger+theme", _tuples)}


class TriggerF1(CountMetric):
    """Event triggers found with the right type, whatever the theme.

    Formula:
        F1 = 2 tp / (2 tp + fp + fn), summed over the corpus.
    Matching:
        Type and trigger equal after normalisation, one per event, repeats counted.
    Trap:
        A trigger of three events weighs three times.
    Differs:
        The paper has no trigger score.
    Source:
        Trigger classification F1 of the BioNLP shared tasks, on multisets.
    """

    name = "trigger_f1"
    forms = ("events",)
    items: ClassVar[Mapping[Form, tuple[str, Items]]] = {"events": ("type+trigger", _first_twos)}
