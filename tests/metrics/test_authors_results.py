"""The paper's metrics against numbers computed by the authors' own script."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from medinst_eval.metrics import MetricContext, create
from medinst_eval.types import Form

WORD_LABELS = {"NCBI-disease", "BC5CDR"}
METRIC_OF = {
    "rouge": "paper_rouge_l",
    "f1": "paper_word_f1",
    "label_leval_f1": "paper_label_f1",
    "label_level_f1": "paper_label_f1",
    "em": "paper_em",
    "entity_level_f1": "paper_entity_f1",
    "mse": "paper_mse",
}
FORM_OF: dict[str, Form] = {
    "label_leval_f1": "word_labels",
    "label_level_f1": "label",
    "entity_level_f1": "entities",
    "mse": "number",
}


def form_of(task: str, key: str) -> Form:
    """The form that selects the rule the authors used for this task."""
    return "labels" if task == "Hallmarks-of-Cancer" else FORM_OF.get(key, "text")


def test_every_published_number_is_reproduced(shared: Path) -> None:
    path = shared / "benchmark" / "authors_results.json"
    if not path.is_file():
        pytest.skip("the authors' results are absent")
    compared = 0
    for tasks in json.loads(path.read_text(encoding="utf-8")).values():
        for task, entry in tasks.items():
            golds = [row["target"] for row in entry["generated"]]
            answers = [row["prediction"] for row in entry["generated"]]
            for key, expected in entry["metrics"].items():
                context = MetricContext(form=form_of(task, key), golds=golds)
                metric = create(METRIC_OF[key], context)
                value = metric.score(metric.batch_stats(golds, answers).sum(axis=0))
                assert value == pytest.approx(expected, abs=1e-12), (task, key)
                compared += 1
    assert compared == 85
