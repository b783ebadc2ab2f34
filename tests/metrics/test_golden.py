"""One golden file per metric: rows and the score worked out by hand for them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from medinst_eval import metrics
from medinst_eval.metrics import MetricContext, MetricUnavailable

GOLDEN = Path(__file__).parent / "golden"


def as_answer(value: Any) -> Any:
    """JSON lists as the tuples that parsers give."""
    return tuple(as_answer(item) for item in value) if isinstance(value, list) else value


def cases() -> Iterator[Any]:
    """All cases but BERTScore's, which wait for a real encoder in test_bertscore.py."""
    for path in sorted(GOLDEN.glob("*.json")):
        entry = json.loads(path.read_text(encoding="utf-8"))
        if entry["metric"] == "bertscore_f1":
            continue
        for task in entry["tasks"]:
            for case in task["cases"]:
                label = f"{entry['metric']}-{task['form']}-{case['what']}"
                yield pytest.param(entry["metric"], task, case, id=label)


@pytest.mark.parametrize(("name", "task", "case"), list(cases()))
def test_golden(name: str, task: dict[str, Any], case: dict[str, Any]) -> None:
    golds = [as_answer(row["gold"]) for row in case["rows"]]
    answers = [as_answer(row["answer"]) for row in case["rows"]]
    scale = task.get("scale")
    context = MetricContext(
        form=task["form"],
        golds=golds,
        labels=tuple(task.get("labels", ())),
        scale=None if scale is None else (scale[0], scale[1]),
        options=task.get("options", {}),
    )
    metric = metrics.create(name, context)
    try:
        stats = metric.batch_stats(golds, answers)
    except MetricUnavailable as error:
        pytest.skip(str(error))
    value = metric.score(stats.sum(axis=0) if metric.is_sum else stats)
    assert float(value) == pytest.approx(case["score"], abs=1e-12)
    if "per_row" in case:
        assert metric.score(stats) == pytest.approx(np.array(case["per_row"]), abs=1e-12)


def test_every_metric_has_a_golden_file() -> None:
    assert {path.stem for path in GOLDEN.glob("*.json")} == set(metrics.BUILT_IN)
