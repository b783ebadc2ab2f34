"""The page of a run made by the pipeline itself, on the built-in data."""

from __future__ import annotations

import json
from collections import Counter

import pytest

import medinst_eval
from medinst_eval.cli.report import command
from medinst_eval.report import collect
from medinst_eval.store import read_run

HEADLINE = {
    "word_labels": "entity_f1", "entities": "entity_f1", "links": "link_f1",
    "relations": "relation_f1", "events": "event_f1", "mentions": "mention_f1",
}  # fmt: skip


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    output = tmp_path_factory.mktemp("results")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HF_HOME", str(output / "hf"))
        outcome = medinst_eval.evaluate(
            "majority", backend="baseline", data="demo", output=output, limit=8,
            tasks="NER,NED,RE,COREF,EE,TE,STS", resamples=200,
        )  # fmt: skip
    return read_run(outcome.path)


def test_marks_add_up_to_the_statistics_of_the_metric(run):
    stats = run.stats()
    seen = Counter()
    for task in collect([run]).tasks:
        metric = HEADLINE.get(task.samples.form)
        if metric is None:
            continue
        kinds = Counter(
            item.kind
            for sample in task.samples.samples
            for answer in sample.answers
            if answer is not None and answer.status != "error"
            for item in answer.items
        )
        found, spurious, missed = stats[f"{task.name}|{metric}"].sum(axis=0)
        assert kinds["found"] == found, task.name
        assert kinds["spurious"] + kinds["wrong"] == spurious, task.name
        assert kinds["missed"] + kinds["wrong"] == missed, task.name
        seen.update(kinds)
    assert seen["found"] > 0
    assert seen["missed"] > 0
    assert seen["spurious"] > 0


def test_matrix_and_scatter_count_every_scored_sample(run):
    for task in collect([run]).tasks:
        (view,) = task.runs
        if view.confusion:
            assert sum(map(sum, view.confusion.counts)) == view.n_scored
        if view.scatter:
            drawn = sum(point.count for point in view.scatter.points)
            assert drawn + view.scatter.unanswered == view.n_scored


def test_command_makes_its_page(run, tmp_path):
    page = tmp_path / "page.html"
    assert command([run.path], output=page) == 0
    text = page.read_text(encoding="utf-8")
    results = json.loads((run.path / "results.json").read_text())
    assert all(f">{name}</a>" in text for name in results["tasks"])
