"""What is measured: the registry of metrics.

`create("entity_f1", MetricContext(form="entities"))` gives a metric bound to a task. Metrics of
one's own are classes derived from `Metric`, offered by an installed package under the entry point
group `medinst_eval.metrics` with the metric's name as the entry point's name.
"""

from __future__ import annotations

import difflib
from functools import cache
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from typing import TYPE_CHECKING

from medinst_eval.errors import InputError
from medinst_eval.metrics.base import Metric, MetricContext, MetricUnavailable

if TYPE_CHECKING:
    from medinst_eval.metrics.evaluate_module import as_evaluate

GROUP = "medinst_eval.metrics"

BUILT_IN = {
    "paper_label_f1": "paper:PaperLabelF1",
    "paper_entity_f1": "paper:PaperEntityF1",
    "paper_em": "paper:PaperExactMatch",
    "paper_mse": "paper:PaperMse",
    "paper_rouge_l": "paper:PaperRougeL",
    "paper_word_f1": "paper:PaperWordF1",
    "entity_f1": "sets:EntityF1",
    "entity_precision": "sets:EntityPrecision",
    "entity_recall": "sets:EntityRecall",
    "token_accuracy": "tagging:TokenAccuracy",
    "mention_f1": "sets:MentionF1",
    "link_f1": "sets:LinkF1",
    "relation_f1": "sets:RelationF1",
    "relation_precision": "sets:RelationPrecision",
    "relation_recall": "sets:RelationRecall",
    "pair_f1": "sets:PairF1",
    "event_f1": "sets:EventF1",
    "trigger_f1": "sets:TriggerF1",
    "accuracy": "labels:Accuracy",
    "macro_f1": "labels:MacroF1",
    "micro_f1": "labels:MicroF1",
    "subset_accuracy": "labels:SubsetAccuracy",
    "pearson": "regression:Pearson",
    "spearman": "regression:Spearman",
    "mse": "regression:Mse",
    "rouge_l": "text:RougeL",
    "chrf": "text:ChrF",
    "meteor": "meteor:Meteor",
    "bertscore_f1": "bertscore:BertScoreF1",
}
"""Metric name -> module of this package and class, loaded when asked for."""


@cache
def _plugins() -> dict[str, EntryPoint]:
    return {point.name: point for point in entry_points(group=GROUP)}


def names() -> tuple[str, ...]:
    """Names of all metrics: the built-in ones in the order of the docs, then plug-ins by name."""
    return (*BUILT_IN, *sorted(set(_plugins()) - set(BUILT_IN)))


def get(name: str) -> type[Metric]:
    """The class of a metric. A built-in name cannot be taken over by a plug-in.

    Raises:
        InputError: No metric has that name, or a plug-in cannot be loaded or is no metric.
    """
    if name in BUILT_IN:
        module, attribute = BUILT_IN[name].split(":")
        built_in: type[Metric] = getattr(import_module(f"{__name__}.{module}"), attribute)
        return built_in
    if name in _plugins():
        return _load(_plugins()[name])
    close = difflib.get_close_matches(name, names(), n=1)
    hint = f"did you mean '{close[0]}'?" if close else f"known metrics: {', '.join(names())}"
    raise InputError(f"unknown metric '{name}': {hint}")


def _load(point: EntryPoint) -> type[Metric]:
    try:
        found = point.load()
    except (ImportError, AttributeError) as error:
        raise InputError(
            f"metric '{point.name}' cannot be loaded from {point.value}: {error}; "
            "repair or uninstall the package that offers it"
        ) from error
    if not (isinstance(found, type) and issubclass(found, Metric)):
        raise InputError(
            f"metric '{point.name}': {point.value} is not a class derived from "
            "medinst_eval.metrics.Metric"
        )
    return found


def create(name: str, context: MetricContext) -> Metric:
    """A metric bound to a task.

    Raises:
        InputError: No metric has that name, or it does not apply to the task's answer form.
    """
    found = get(name)
    if found.forms and context.form not in found.forms:
        raise InputError(
            f"metric '{name}' does not apply to answers of form '{context.form}'; "
            f"it takes {', '.join(found.forms)}"
        )
    return found(context)


def __getattr__(name: str) -> object:
    """`as_evaluate` is loaded on first use: it needs the `evaluate` extra and the parsers."""
    if name == "as_evaluate":
        return import_module(f"{__name__}.evaluate_module").as_evaluate
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


__all__ = [
    "Metric",
    "MetricContext",
    "MetricUnavailable",
    "as_evaluate",
    "create",
    "get",
    "names",
]
