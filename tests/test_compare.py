"""Two made-up runs, the differences planted between them, and the gate's answers."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
import xml.etree.ElementTree as ET
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from medinst_eval import metrics, stats
from medinst_eval.__main__ import main
from medinst_eval.compare import (
    AnalysisOptions,
    Comparison,
    GateOptions,
    compare,
    compare_all,
    parse_allow,
    parse_levels,
    parse_min_scores,
    render,
)
from medinst_eval.errors import InputError, NotComparableError, StoreError
from medinst_eval.metrics.base import MetricContext
from tests.runs import CARDS, Rows, make, write_run

FAST = AnalysisOptions(resamples=300, permutations=2000)
TASKS = {"MedQA": 500, "SciFact": 300, "AnEM": 30, "BIOSSES": 20}


def base_tasks() -> dict[str, Rows]:
    return {name: make(rows, 0.6, n) for n, (name, rows) in enumerate(TASKS.items())}


def changed(rows: Rows, lost: int, found: int) -> Rows:
    """As many right rows turned wrong, and wrong ones right."""
    right = np.array(rows.right)
    right[np.flatnonzero(rows.right)[:lost]] = False
    right[np.flatnonzero(~np.array(rows.right))[:found]] = True
    return replace(rows, right=list(right))


def unit(comparison: Comparison, name: str) -> Any:
    return next(u for u in comparison.units if u.name == name)


@pytest.fixture
def base(tmp_path: Path) -> Path:
    return write_run(tmp_path / "base", base_tasks())


def run(folder: Path, name: str, change: dict[str, Rows] | None = None, **options: Any) -> Path:
    return write_run(folder / name, base_tasks() | (change or {}), **options)


# --- verdicts ---------------------------------------------------------------------------------


def test_equal_runs_are_no_regression(base: Path, tmp_path: Path) -> None:
    found = compare(base, run(tmp_path, "twin"), options=FAST)
    assert not found.regression
    assert {u.verdict for u in found.units} == {"no evidence"}
    assert all(u.score.difference == 0 and u.score.p_value == 1 for u in found.units)
    assert all(u.score.ci95 == (0, 0) and u.score.detectable is None for u in found.units)
    assert found.flips == ()


def test_a_planted_drop_is_found_by_mcnemar(base: Path, tmp_path: Path) -> None:
    from scipy.stats import binomtest

    new = run(tmp_path, "worse", {"MedQA": changed(base_tasks()["MedQA"], 37, 13)})
    found = compare(base, new, options=FAST)
    medqa = unit(found, "MedQA")
    assert medqa.score.difference == pytest.approx(-24 / 500)
    assert medqa.score.test == "mcnemar"
    assert medqa.score.p_value == pytest.approx(binomtest(13, 50).pvalue)
    assert medqa.score.corrected == pytest.approx(4 * medqa.score.p_value)
    assert (medqa.verdict, medqa.because) == ("worse", ("score",))
    assert {u.verdict for u in found.level("task") if u.name != "MedQA"} == {"no evidence"}
    assert found.regression
    assert [f.name for f in found.failures if f.level == "task"] == ["MedQA"]
    se = np.sqrt((50 / 500 - (24 / 500) ** 2) / 500)
    assert medqa.score.detectable == pytest.approx(2.8016 * se, rel=0.15)
    low, high = medqa.score.ci95
    assert (low, high) == pytest.approx((-24 / 500 - 1.96 * se, -24 / 500 + 1.96 * se), abs=0.01)


def test_a_planted_gain_is_no_regression(base: Path, tmp_path: Path) -> None:
    new = run(tmp_path, "better", {"MedQA": changed(base_tasks()["MedQA"], 13, 40)})
    found = compare(base, new, options=FAST)
    assert unit(found, "MedQA").verdict == "better"
    assert not found.regression


@pytest.mark.parametrize("status", ["unparsed", "empty"])
def test_a_drop_in_form_only_is_a_regression(base: Path, tmp_path: Path, status: str) -> None:
    """Rows that were wrong anyway are no longer answered in form: the score stays."""
    rows = base_tasks()["MedQA"]
    wrong = set(np.flatnonzero(~np.array(rows.right))[:30])
    mute = replace(rows, status=[status if n in wrong else "ok" for n in range(500)])
    found = compare(base, run(tmp_path, "mute", {"MedQA": mute}), options=FAST)
    medqa = unit(found, "MedQA")
    assert medqa.score.difference == 0
    assert medqa.failures[status] == (0, 30)
    assert (medqa.verdict, medqa.because) == ("worse", ("form",))
    assert medqa.form.difference == pytest.approx(-0.06)
    assert "share of answers in form fell by 6.0 points" in found.failures[0].reason


def test_engine_errors_are_refused_and_when_allowed_part_of_the_verdict(
    base: Path, tmp_path: Path
) -> None:
    rows = base_tasks()["MedQA"]
    broken = replace(rows, status=["error" if n < 40 else "ok" for n in range(500)])
    new = run(tmp_path, "broken", {"MedQA": broken})
    with pytest.raises(NotComparableError, match=r"broken is incomplete \(40 rows.*--allow inc"):
        compare(base, new, options=FAST)
    found = compare(base, new, options=FAST, allow={"incomplete"})
    medqa = unit(found, "MedQA")
    assert medqa.failures["error"] == (0, 40)
    assert (medqa.rows, medqa.score.difference) == (500, 0)
    assert medqa.because == ("form",)
    share = np.mean(rows.right[40:])
    assert (medqa.score.base, medqa.score.new) == pytest.approx((share, share))


def test_documents_are_kept_together(tmp_path: Path) -> None:
    """Ten documents of fifty rows that fall together are no evidence; as single rows they were."""
    right = make(500, 0.6, 0).right
    fallen = [r and n // 50 != 3 for n, r in enumerate(right)]
    for name, clusters in (("rows", []), ("documents", [n // 50 for n in range(500)])):
        old, new = Rows(right=right, clusters=clusters), Rows(right=fallen, clusters=clusters)
        found = compare(
            write_run(tmp_path / f"{name}-base", {"MedQA": old}),
            write_run(tmp_path / f"{name}-new", {"MedQA": new}),
            options=FAST,
        )
        medqa = unit(found, "MedQA")
        assert medqa.verdict == ("worse" if name == "rows" else "no evidence")
        assert medqa.score.test == ("mcnemar" if name == "rows" else "permutation")


def test_error_measures_point_the_other_way_and_stay_out_of_the_whole(
    base: Path, tmp_path: Path
) -> None:
    rows = base_tasks()["BIOSSES"]
    new = run(tmp_path, "far", {"BIOSSES": replace(rows, right=[False] * 20)})
    found = compare(base, new, options=replace(FAST, metrics="paper"))
    biosses = unit(found, "BIOSSES")
    assert biosses.metric == "paper_mse"
    assert biosses.score.difference > 0
    assert biosses.verdict == "worse"
    assert biosses.gain == pytest.approx(-100 * biosses.score.difference / 25)
    assert unit(found, "STS").verdict == "worse"
    whole = unit(found, "overall")
    assert whole.tasks == ("AnEM", "MedQA", "SciFact")
    assert whole.score.difference == 0


def test_averages_are_means_of_tasks_with_stratified_intervals(base: Path, tmp_path: Path) -> None:
    new = run(
        tmp_path, "mixed",
        {"MedQA": changed(base_tasks()["MedQA"], 20, 10), "AnEM": changed(make(30, 0.6, 2), 3, 1)},
    )  # fmt: skip
    found = compare(base, new, options=AnalysisOptions(resamples=4000, permutations=2000))
    whole = unit(found, "overall")
    tasks = found.level("task")
    for side in ("base", "new", "difference"):
        mean = np.mean([getattr(u.score, side) for u in tasks])
        assert getattr(whole.score, side) == pytest.approx(mean)
    ses = [(u.score.ci95[1] - u.score.ci95[0]) / 3.92 for u in tasks]
    width = (whole.score.ci95[1] - whole.score.ci95[0]) / 3.92
    assert width == pytest.approx(np.sqrt(np.sum(np.square(ses))) / len(tasks), rel=0.1)
    weights = [u.rows for u in tasks]
    assert whole.weighted.difference == pytest.approx(
        np.average([u.score.difference for u in tasks], weights=weights)
    )


def test_a_small_drop_everywhere_is_seen_behind_the_noise_of_a_tiny_task(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    old: dict[str, Rows] = {"AnEM-RE": make(13, 0.5, 1)}
    new: dict[str, Rows] = {"AnEM-RE": Rows(right=list(rng.random(13) < 0.6))}
    for number, name in enumerate(("MedQA", "MeDAL", "SciFact")):
        old[name] = make(1000, 0.6, number)
        new[name] = changed(old[name], 60, 25)
    found = compare(write_run(tmp_path / "a", old), write_run(tmp_path / "b", new), options=FAST)
    whole = unit(found, "overall")
    assert whole.score.corrected > 0.05
    assert (whole.verdict, whole.because) == ("worse", ("rows",))
    assert any("tasks weighted by their rows fell" in f.reason for f in found.failures)


@pytest.mark.parametrize(("correction", "factor"), [("none", 1), ("holm", 4), ("bh", 4)])
def test_correction_across_tasks(base: Path, tmp_path: Path, correction: Any, factor: int) -> None:
    new = run(tmp_path, "n", {"MedQA": changed(base_tasks()["MedQA"], 25, 9)})
    found = compare(base, new, options=replace(FAST, correction=correction))
    score = unit(found, "MedQA").score
    assert score.p_value == pytest.approx(stats.mcnemar(25, 9))
    assert score.corrected == pytest.approx(factor * score.p_value)


def test_the_result_does_not_change_from_call_to_call(base: Path, tmp_path: Path) -> None:
    new = run(tmp_path, "n", {"SciFact": changed(base_tasks()["SciFact"], 20, 9)})
    assert compare(base, new, options=FAST).units == compare(base, new, options=FAST).units
    other = compare(base, new, options=replace(FAST, seed=1))
    assert (
        unit(other, "SciFact").score.ci95
        != unit(compare(base, new, options=FAST), "SciFact").score.ci95
    )


# --- what cannot be compared ------------------------------------------------------------------


def drop_task(tasks: dict[str, Rows]) -> dict[str, Rows]:
    return {name: rows for name, rows in tasks.items() if name != "AnEM"}


DIFFERENT: list[tuple[str, dict[str, Any], str]] = [
    ("shots", {"shots": 0}, "prompt.shots: 2 and 0"),
    ("layout", {"manifest": {"prompt": {"layout": "inline"}}}, "prompt.layout: chat and inline"),
    ("prompt", {"manifest": {"prompt": {"system_prompt": "Be brief."}}}, "system_prompt: none and"),
    ("prompt", {"manifest": {"prompt": {"overlong": "error"}}}, "prompt.overlong"),
    ("limit", {"manifest": {"data": {"limit": 20}}}, "data.limit: none and 20"),
    ("sampling", {"manifest": {"sampling": {"temperature": 0.7}}}, "sampling.temperature"),
    ("sampling", {"manifest": {"sampling": {"max_tokens": 64}}}, "sampling.max_tokens"),
    ("suite", {"manifest": {"suite": "own"}}, "suite: medinst32 and own"),
    ("metrics", {"signature": "|parser:2"}, "MedQA: accuracy is signed '' and 'parser:2'"),
]


@pytest.mark.parametrize(("field", "options", "message"), DIFFERENT)
def test_other_settings_are_refused_by_name(
    base: Path, tmp_path: Path, field: str, options: dict[str, Any], message: str
) -> None:
    new = run(tmp_path, "other", **options)
    with pytest.raises(NotComparableError) as caught:
        compare(base, new, options=FAST)
    assert caught.value.exit_code == 3
    assert message in str(caught.value)
    assert f"--allow {field}" in str(caught.value)
    found = compare(base, new, options=FAST, allow={field})
    assert any(message.split(":")[0] in note for note in found.notes)


def test_seeds_do_not_matter_to_greedy_decoding(base: Path, tmp_path: Path) -> None:
    compare(base, run(tmp_path, "n", manifest={"sampling": {"seed": 7}}), options=FAST)


def test_all_differing_fields_are_named_at_once(base: Path, tmp_path: Path) -> None:
    new = run(tmp_path, "n", shots=0, manifest={"prompt": {"layout": "plain"}})
    with pytest.raises(NotComparableError, match=r"shots.*layout.*--allow shots,layout"):
        compare(base, new, options=FAST)


def test_runs_with_other_shots_are_paired_by_text(base: Path, tmp_path: Path) -> None:
    found = compare(base, run(tmp_path, "zero", shots=0), options=FAST, allow={"shots"})
    assert [u.rows for u in found.level("task")] == [30, 500, 300, 20]


def test_a_task_in_one_run_only(base: Path, tmp_path: Path) -> None:
    new = write_run(tmp_path / "less", drop_task(base_tasks()))
    with pytest.raises(NotComparableError, match=r"tasks: less lacks 1 \(AnEM\)"):
        compare(base, new, options=FAST)
    found = compare(base, new, options=FAST, allow={"tasks"})
    assert [u.name for u in found.level("task")] == ["MedQA", "SciFact", "BIOSSES"]


def test_other_rows_are_other_data(base: Path, tmp_path: Path) -> None:
    shifted = replace(base_tasks()["MedQA"], first=100)
    new = run(tmp_path, "shifted", {"MedQA": shifted})
    with pytest.raises(NotComparableError, match="data: 200 rows of MedQA are in one run only"):
        compare(base, new, options=FAST)
    assert unit(compare(base, new, options=FAST, allow={"data"}), "MedQA").rows == 400


def test_the_same_ids_with_other_texts_are_other_data(base: Path, tmp_path: Path) -> None:
    new = run(tmp_path, "edited")
    lines = [json.loads(line) for line in (new / "samples.jsonl").read_text().splitlines()]
    for line in lines[:3]:
        line["key"] = "f" * 64
    (new / "samples.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    with pytest.raises(NotComparableError, match="data: 3 rows of MedQA have other texts"):
        compare(base, new, options=FAST)


def test_a_limited_run_is_compared_on_its_rows(base: Path, tmp_path: Path) -> None:
    tasks = {n: replace(r, right=list(r.right)[:15]) for n, r in base_tasks().items()}
    tasks["SciFact"] = changed(tasks["SciFact"], 4, 0)
    new = write_run(tmp_path / "short", tasks, manifest={"data": {"limit": 15}})
    with pytest.raises(NotComparableError, match="limit"):
        compare(base, new, options=FAST)
    found = compare(base, new, options=FAST, allow={"limit"})
    assert {u.rows for u in found.level("task")} == {15}
    scifact = unit(found, "SciFact")
    assert scifact.score.base == pytest.approx(np.mean(base_tasks()["SciFact"].right[:15]))
    stored = json.loads((new / "results.json").read_text())["tasks"]["SciFact"]["metrics"]
    for name, (before, after) in scifact.others.items():
        assert after == pytest.approx(stored[name]["value"])
        if name == "macro_f1":
            assert before == pytest.approx(scifact_macro_f1(base, 15))


def scifact_macro_f1(folder: Path, rows: int) -> float:
    """Macro F1 of the first rows, from their answers."""
    lines = [json.loads(line) for line in (folder / "samples.jsonl").read_text().splitlines()]
    lines = [line for line in lines if line["task"] == "SciFact"][:rows]
    golds, answers = ([line[key] for line in lines] for key in ("gold_answer", "answer"))
    context = MetricContext(form="label", golds=golds, labels=CARDS["SciFact"].labels)
    metric = metrics.create("macro_f1", context)
    return float(metric.score(metric.batch_stats(golds, answers).sum(axis=0)))


def test_runs_without_common_rows(tmp_path: Path) -> None:
    one = write_run(tmp_path / "one", {"MedQA": make(5, 1, 0)})
    two = write_run(tmp_path / "two", {"MedQA": replace(make(5, 1, 0), first=50)})
    with pytest.raises(NotComparableError, match="share no samples"):
        compare(one, two, options=FAST, allow={"data"})


def test_a_metric_neither_run_could_compute_is_left_out_with_its_reason(tmp_path: Path) -> None:
    tasks = {"ParaMed": make(10, 0.5, 1), "MedQA": make(50, 0.5, 2)}
    missing = {"unavailable": ["bertscore_f1"]}
    one = write_run(tmp_path / "one", tasks, **missing)
    two = write_run(tmp_path / "two", tasks, **missing)
    found = compare(one, two, options=FAST)
    assert unit(found, "ParaMed").score is None
    assert "no encoder; run score later" in unit(found, "ParaMed").note
    assert unit(found, "overall").tasks == ("MedQA",)
    assert unit(found, "overall").note == "without ParaMed"
    three = write_run(tmp_path / "three", tasks)
    with pytest.raises(NotComparableError, match="bertscore_f1 was not computed for one"):
        compare(one, three, options=FAST)
    assert unit(compare(one, three, options=FAST, allow={"metrics"}), "ParaMed").score is None


def test_statistics_of_another_scoring_are_noticed(base: Path, tmp_path: Path) -> None:
    new = run(tmp_path, "stale")
    short = write_run(tmp_path / "short", {n: make(5, 0.5, 0) for n in TASKS})
    (new / "stats.npz").write_bytes((short / "stats.npz").read_bytes())
    with pytest.raises(StoreError, match="medinst-eval score"):
        compare(base, new, options=FAST)
    with pytest.raises(StoreError, match="medinst-eval score"):
        compare(new, base, options=FAST)


# --- gates ------------------------------------------------------------------------------------


@pytest.fixture
def drop(base: Path, tmp_path: Path) -> Callable[..., Comparison]:
    """MedQA 4.8 points down (significant), SciFact 1 point down (not)."""
    tasks = base_tasks()
    change = {"MedQA": changed(tasks["MedQA"], 37, 13), "SciFact": changed(tasks["SciFact"], 5, 2)}
    new = run(tmp_path, "new", change)
    return lambda gate: compare(base, new, options=FAST, gate_options=gate)


@pytest.mark.parametrize(
    ("gate", "names"),
    [
        (GateOptions(), ["overall", "MedQA"]),
        (GateOptions(on=("task",)), ["MedQA"]),
        (GateOptions(on=("category",)), ["QA"]),
        (GateOptions(max_drop=5), []),
        (GateOptions(max_drop=1), ["overall"]),
        (GateOptions(max_drop=1.5), []),
        (GateOptions(max_drop=0.9, on=("task",)), ["MedQA", "SciFact"]),
        (GateOptions(max_drop=1.0, on=("task",)), ["MedQA"]),
        (GateOptions(max_drop=0.9, on=("task",), fail_on="both"), ["MedQA"]),
        (GateOptions(max_drop=4.9, on=("task",), fail_on="both"), []),
        (GateOptions(max_drop=5, min_scores={"medqa": 59}), ["MedQA"]),
        (GateOptions(max_drop=5, min_scores={"MedQA": 50, "overall": 10, "QA": 5}), []),
    ],
)
def test_gates(drop: Callable[..., Comparison], gate: GateOptions, names: list[str]) -> None:
    found = drop(gate)
    assert sorted(f.name for f in found.failures) == sorted(names)
    assert found.regression is bool(names)


def test_a_drop_of_exactly_the_limit_passes(tmp_path: Path) -> None:
    rows = make(1000, 0.6, 0)
    one = write_run(tmp_path / "a", {"MedQA": rows})
    two = write_run(tmp_path / "b", {"MedQA": changed(rows, 10, 0)})
    for limit, regression in ((1.0, False), (0.99, True)):
        gate = GateOptions(max_drop=limit, on=("task",))
        assert compare(one, two, options=FAST, gate_options=gate).regression is regression


def test_a_maximum_for_an_error_measure(base: Path) -> None:
    options = replace(FAST, metrics="paper")
    for limit, regression in ((24.0, False), (0.1, True)):
        gate = GateOptions(max_drop=5, min_scores={"BIOSSES": limit})
        found = compare(base, base, options=options, gate_options=gate)
        assert found.regression is regression
    assert "above the maximum 0.1" in found.failures[0].reason


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (lambda: GateOptions(fail_on="threshold"), "needs --max-drop"),
        (lambda: GateOptions(fail_on="significant", max_drop=1), "no effect"),
        (lambda: GateOptions(max_drop=-1), "0 to 100"),
        (lambda: parse_levels("tasks"), "unknown level 'tasks'"),
        (lambda: parse_min_scores(["MedQA"]), "NAME=POINTS"),
        (lambda: parse_min_scores(["MedQA=x"]), "NAME=POINTS"),
        (lambda: parse_min_scores(["MedQA=101"]), "NAME=POINTS"),
        (lambda: parse_allow("promt"), "did you mean 'prompt'"),
    ],
)
def test_wrong_options(wrong: Callable[[], Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        wrong()


@pytest.mark.parametrize(
    ("floors", "message"),
    [({"MedQ": 40}, "did you mean 'MedQA'"), ({"MedQA": 0.45}, "MedQA=45")],
)
def test_wrong_minima(base: Path, floors: dict[str, float], message: str) -> None:
    with pytest.raises(InputError, match=message):
        compare(base, base, options=FAST, gate_options=GateOptions(min_scores=floors))


# --- rows that changed ------------------------------------------------------------------------


def test_flips_are_worst_first_and_form_counts(base: Path, tmp_path: Path) -> None:
    rows = base_tasks()["MedQA"]
    wrong = int(np.flatnonzero(~np.array(rows.right))[-1])
    new = replace(
        changed(rows, 2, 3), status=["unparsed" if n == wrong else "ok" for n in range(500)]
    )
    found = compare(base, run(tmp_path, "n", {"MedQA": new}), options=FAST)
    assert [(f.gain, f.form) for f in found.flips] == [(-1, 0)] * 2 + [(0, -1)] + [(1, 0)] * 3
    assert render.flip_counts(found) == {"MedQA": (3, 3)}
    worse, better = render.shown_flips(found, 1)
    assert (worse[0].gain, better[0].gain) == (-1, 1)
    assert render.describe_flip(worse[0]) == f"{worse[0].id}: accuracy 100.0 → 0.0"
    lost = next(f for f in found.flips if f.form)
    assert render.describe_flip(lost) == f"MedQA/{wrong} (ok → unparsed)"


def test_flips_of_an_error_measure_are_scaled_to_its_largest(base: Path, tmp_path: Path) -> None:
    rows = base_tasks()["BIOSSES"]
    found = compare(base, run(tmp_path, "n", {"BIOSSES": changed(rows, 1, 1)}), options=FAST)
    assert [f.gain for f in found.flips] == [-1, 1]
    assert render.describe_flip(found.flips[0]).endswith("mse 0.00 → 9.00")


# --- what is written --------------------------------------------------------------------------

NASTY = "</details>|`````\n<script>alert(1)</script> [x](javascript:1) @everyone \x1b[31m \x00"


@pytest.fixture
def nasty(base: Path, tmp_path: Path) -> Comparison:
    """A run whose outputs try to break every format."""
    rows = base_tasks()["MedQA"]
    new = run(tmp_path, "new", {"MedQA": changed(rows, 37, 0)})
    text = (new / "samples.jsonl").read_text().splitlines()
    lines = [{**json.loads(line), "output": NASTY} for line in text]
    (new / "samples.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    results = json.loads((new / "results.json").read_text())
    results["run"] = "new|<b>_x_</b>\x01"
    (new / "results.json").write_text(json.dumps(results))
    return compare(base, new, options=FAST)


def test_markdown_holds_nasty_texts(nasty: Comparison) -> None:
    text = render.to_markdown([nasty], show=2)
    outside, inside = [], False
    for line in text.splitlines():
        if line.startswith("``````"):
            inside = not inside
        elif not inside:
            outside.append(line)
    assert not inside
    shown = "\n".join(outside)
    assert "<script>" not in shown
    assert "<b>" not in shown
    assert "\x00" not in text
    assert "\x1b" not in text
    assert text.count("<details>") == shown.count("</details>") == 2
    tables = [line for line in outside if line.startswith("|")]
    assert {line.replace("\\|", "").count("|") for line in tables} == {12}
    assert "❌ REGRESSION" in outside[0]
    assert len(text) < 65_536


def test_markdown_stays_below_the_limit_of_a_comment(base: Path, tmp_path: Path) -> None:
    rows = base_tasks()["MedQA"]
    found = compare(base, run(tmp_path, "n", {"MedQA": changed(rows, 200, 100)}), options=FAST)
    assert 10_000 < len(render.to_markdown([found], show=500)) < 65_536


def test_junit_has_a_case_per_task(nasty: Comparison) -> None:
    suite = ET.fromstring(render.to_junit([nasty]))[0]
    cases = {case.get("name"): case for case in suite}
    assert list(cases) == ["AnEM", "MedQA", "SciFact", "BIOSSES", "overall"]
    assert suite.get("tests") == "5"
    failed = [name for name, case in cases.items() if case.find("failure") is not None]
    assert failed == ["MedQA", "overall"]
    assert suite.get("failures") == "2"
    assert "accuracy fell by 7.4 points" in str(cases["MedQA"][0].get("message"))


def test_junit_skips_tasks_without_a_score_and_reports_categories(tmp_path: Path) -> None:
    tasks = {"ParaMed": make(10, 0.5, 1), "MedQA": make(50, 0.5, 2)}
    one = write_run(tmp_path / "one", tasks, unavailable=["bertscore_f1"])
    tasks["MedQA"] = Rows(right=[False] * 50)
    two = write_run(tmp_path / "two", tasks, unavailable=["bertscore_f1"])
    gate = GateOptions(on=("category",))
    suite = ET.fromstring(render.to_junit([compare(one, two, options=FAST, gate_options=gate)]))[0]
    assert suite.get("skipped") == "1"
    cases = {case.get("name"): [child.tag for child in case] for case in suite}
    assert cases == {
        "ParaMed": ["skipped", "system-out"], "MedQA": ["system-out"],
        "overall": ["failure", "system-out"],
    }  # fmt: skip


def test_json_is_complete_and_plain(nasty: Comparison) -> None:
    text = json.dumps(render.to_json([nasty], show=1), allow_nan=False)
    entry = json.loads(text)["comparisons"][0]
    assert entry["regression"] is True
    assert {u["level"] for u in entry["units"]} == {"task", "category", "overall"}
    assert len(entry["flips"]) == 37
    assert [("new" in flip) for flip in entry["flips"]] == [True] + [False] * 36
    assert entry["flips"][0]["new"] == NASTY


# --- the command ------------------------------------------------------------------------------


def call(capsys: pytest.CaptureFixture[str], *words: str | Path) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as caught:
        main(["compare", *map(str, words)])
    captured = capsys.readouterr()
    assert isinstance(caught.value.code, int)
    return caught.value.code, captured.out, captured.err


def test_exit_codes(base: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = base_tasks()["MedQA"]
    twin, worse = run(tmp_path, "twin"), run(tmp_path, "worse", {"MedQA": changed(rows, 40, 0)})
    zero = run(tmp_path, "zero", shots=0)
    fast = ("--resamples", "200")
    assert call(capsys, base, twin, *fast)[0] == 0
    assert call(capsys, base, worse, *fast)[0] == 1
    assert call(capsys, base, worse, "--max-drop", "5", *fast)[0] == 0
    assert call(capsys, base, twin, worse, *fast)[0] == 1
    code, _, error = call(capsys, base, zero, *fast)
    assert (code, error.count("\n")) == (3, 1)
    assert "prompt.shots: 2 and 0" in error
    for wrong in (
        (base, tmp_path / "nowhere"), (base,), (base, twin, "--metrics", "both"),
        (base, twin, "--on", "rows"), (base, twin, "--fail-on", "both"),
        (base, twin, "--min-score", "MedQA:4"), (base, twin, "--allow", "everything"),
    ):  # fmt: skip
        code, _, error = call(capsys, *wrong)
        assert (code, error.count("\n")) == (2, 1), wrong


def test_files_and_table(base: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    new = run(tmp_path, "new", {"MedQA": changed(base_tasks()["MedQA"], 40, 0)})
    paths = {name: tmp_path / f"out/{name}" for name in ("markdown", "json", "junit")}
    options = [word for name, path in paths.items() for word in (f"--{name}", str(path))]
    code, text, _ = call(capsys, base, new, "--show", "1", "--resamples", "200", *options)
    assert code == 1
    assert "MedQA" in text
    assert "worse: MedQA/" in text
    assert "Input " in text
    assert "REGRESSION" in text
    assert json.loads(paths["json"].read_text())["regression"] is True
    assert ET.parse(paths["junit"]).getroot().tag == "testsuites"
    assert paths["markdown"].read_text().startswith("### ❌")
    assert len(call(capsys, base, new, "--quiet", "--resamples", "200")[1].splitlines()) < 8


def test_control_characters_of_a_model_do_not_reach_the_terminal(
    base: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    new = run(tmp_path, "new", {"MedQA": changed(base_tasks()["MedQA"], 40, 0)})
    lines = [json.loads(line) for line in (new / "samples.jsonl").read_text().splitlines()]
    text = "".join(json.dumps({**line, "output": NASTY}) + "\n" for line in lines)
    (new / "samples.jsonl").write_text(text)
    _, shown, _ = call(capsys, base, new, "--show", "2", "--resamples", "200")
    assert "\\x1b[31m" in shown
    assert "\x1b" not in shown
    assert "\x00" not in shown


def test_several_runs_are_each_compared_with_the_base(base: Path, tmp_path: Path) -> None:
    rows = base_tasks()["MedQA"]
    news = [run(tmp_path, f"n{n}", {"MedQA": changed(rows, n, 0)}) for n in (0, 40)]
    found = compare_all(base, news, options=FAST)
    assert [(c.new, c.regression) for c in found] == [("n0", False), ("n40", True)]
    assert render.to_json(found)["regression"] is True
    assert render.to_markdown(found).count("###") == 2


@pytest.mark.slow
def test_two_whole_runs_within_five_seconds(tmp_path: Path) -> None:
    """All 32 tasks with their real numbers of rows; processor time, whatever else is running."""
    rng = np.random.default_rng(0)
    old = {name: make(card.rows or 100, 0.6, n) for n, (name, card) in enumerate(CARDS.items())}
    new = {
        name: Rows(right=list(np.array(r.right) ^ (rng.random(len(r.right)) < 0.2)))
        for name, r in old.items()
    }
    one, two = write_run(tmp_path / "one", old), write_run(tmp_path / "two", new)
    assert sum(len(r.right) for r in old.values()) > 14_500
    start = time.process_time()
    found = compare(one, two)
    spent = time.process_time() - start
    assert len(found.level("task")) == 32
    assert spent < 5


# --- the documentation ------------------------------------------------------------------------

DOCS = Path(__file__).resolve().parents[1] / "docs" / "regression-gate.md"


@pytest.mark.slow
def test_the_actions_job_of_the_documentation_works(tmp_path: Path) -> None:
    """Its steps are run by a shell, on two categories, but for installation and GitHub's part."""
    block = DOCS.read_text().split("```yaml\n")[1].split("```")[0]
    job = yaml.safe_load(block)
    steps = {step["name"]: step["run"] for step in job["jobs"]["gate"]["steps"] if "run" in step}
    base = next(line for line in DOCS.read_text().splitlines() if "--run-name main" in line)
    environment = {
        **os.environ, **job["env"], "GITHUB_STEP_SUMMARY": "summary.md", "HF_HOME": str(tmp_path),
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
    }  # fmt: skip

    def shell(script: str) -> int:
        command = ["bash", "-eo", "pipefail", "-c", script]
        return subprocess.run(command, cwd=tmp_path, env=environment, check=False).returncode

    evaluate = steps["Evaluate"].replace("--quiet", "--quiet --fresh --tasks QA,TE")
    assert shell(base.replace("majority", "gold --tasks QA,TE")) == 0
    assert shell(evaluate) == 0
    assert shell(steps["Compare"]) == 1
    assert "REGRESSION" in (tmp_path / "summary.md").read_text()
    assert ET.parse(tmp_path / "gate.xml").getroot()[0].get("failures") != "0"
    environment["MODEL"] = "gold"
    assert shell(evaluate) == 0
    assert shell(steps["Compare"]) == 0
    assert "No regression" in (tmp_path / "gate.md").read_text()
