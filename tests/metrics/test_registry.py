"""Finding metrics by name, and those that other packages bring."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from importlib.metadata import EntryPoint
from typing import Any

import pytest

from medinst_eval import metrics
from medinst_eval.errors import InputError
from medinst_eval.metrics import Metric, MetricContext
from medinst_eval.metrics.base import FloatArray


class Length(Metric):
    """Words of the answer."""

    name = "length"

    def sample_stats(self, gold: Any, answer: Any) -> Sequence[float]:  # noqa: ARG002
        return (float(len(answer.split())),)

    def score(self, sums: FloatArray) -> FloatArray:
        return sums[..., 0]

    @property
    def signature(self) -> str:
        return "metric:length|v:1"


class NoMetric:
    """Offered by mistake."""


@pytest.fixture
def plugins(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    offered = [
        EntryPoint(name="length", value=f"{__name__}:Length", group=metrics.GROUP),
        EntryPoint(name="accuracy", value=f"{__name__}:Length", group=metrics.GROUP),
        EntryPoint(name="mistake", value=f"{__name__}:NoMetric", group=metrics.GROUP),
        EntryPoint(name="gone", value="no_such_module_here:Metric", group=metrics.GROUP),
        EntryPoint(name="lost", value=f"{__name__}:Nothing", group=metrics.GROUP),
    ]
    monkeypatch.setattr(metrics, "entry_points", lambda group: offered if group else [])
    metrics._plugins.cache_clear()
    yield
    metrics._plugins.cache_clear()


def test_each_name_gives_the_metric_of_that_name() -> None:
    for name in metrics.BUILT_IN:
        kind = metrics.get(name)
        assert issubclass(kind, Metric)
        assert kind.name == name
        assert kind.reads == ("text" if name.startswith("paper_") else "answer")


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("entity_f", "did you mean 'entity_f1'?"),
        ("pearsn", "did you mean 'pearson'?"),
        ("paper_rougel", "did you mean 'paper_rouge_l'?"),
        ("zzz", "known metrics: paper_label_f1, paper_entity_f1"),
    ],
)
def test_a_misspelt_name_is_answered_with_the_nearest(name: str, hint: str) -> None:
    with pytest.raises(InputError, match=f"unknown metric '{name}'") as caught:
        metrics.get(name)
    assert hint in str(caught.value)


def test_a_metric_says_which_forms_it_takes() -> None:
    with pytest.raises(InputError, match="'pearson' does not apply to answers of form 'entities'"):
        metrics.create("pearson", MetricContext(form="entities"))


@pytest.mark.usefixtures("plugins")
def test_a_package_can_bring_a_metric_but_not_replace_ours() -> None:
    assert metrics.get("length") is Length
    assert metrics.create("length", MetricContext(form="text")).sample_stats("", "a b") == (2.0,)
    assert metrics.get("accuracy").__module__ == "medinst_eval.metrics.labels"
    assert metrics.names() == (*metrics.BUILT_IN, "gone", "length", "lost", "mistake")


@pytest.mark.usefixtures("plugins")
@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("mistake", "is not a class derived from"),
        ("gone", "cannot be loaded from no_such_module_here:Metric"),
        ("lost", "cannot be loaded from"),
    ],
)
def test_a_broken_plugin_is_named(name: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        metrics.get(name)


def test_no_other_attribute_is_made_up() -> None:
    with pytest.raises(AttributeError, match="no attribute 'as_evaluat'"):
        getattr(metrics, "as_evaluat")  # noqa: B009
