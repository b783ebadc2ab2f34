"""A comparison as lines of text, for the terminal, a pull request, a program or a CI system."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import Any

from medinst_eval import escapes, numbers
from medinst_eval.compare import Comparison
from medinst_eval.compare.analysis import Unit
from medinst_eval.compare.flips import Flip

HEADER = (
    "", "rows", "metric", "base", "new", "difference", "95 %", "p", "detectable", "not in form",
    "verdict",
)  # fmt: skip
"""Columns of the table; the first five and the last describe themselves, see `LEGEND`."""
LEGEND = (
    "Scores in points (x100; MSE as it is). 95 %: paired bootstrap. p: paired permutation or exact "
    "McNemar, {correction}. Detectable: the smallest true difference that these rows show with "
    "80 % power (5 % level, before correction). Not in form: unparsed, empty, truncated and "
    "failed answers. A verdict may also rest on form (the share of answers in form) or, for "
    "averages, on rows (tasks weighted by their rows)."
)
CORRECTIONS = {
    "holm": "corrected by Holm",
    "bh": "corrected by Benjamini-Hochberg",
    "none": "not corrected",
}
_MARKDOWN_LIMIT = 60_000
"""Characters; a pull request comment holds 65,536."""
_TEXT_LIMIT = 2_000
"""Characters of one model text in a Markdown file."""


def row(unit: Unit) -> tuple[str, ...]:
    """The cells of one line, in the order of `HEADER`."""
    digits = 1 if unit.higher_is_better else 2
    factor = numbers.factor_of(unit.higher_is_better)
    score = unit.score
    metric = unit.metric if unit.higher_is_better else f"{unit.metric} (lower is better)"
    verdict = describe_verdict(unit)
    if score is None:
        return (
            unit.name, numbers.count(unit.rows), metric, *[numbers.NOTHING] * 6,
            failures(unit), verdict if unit.because else "no score",
        )  # fmt: skip
    return (
        unit.name,
        numbers.count(unit.rows),
        metric,
        numbers.points(score.base, digits, factor=factor),
        numbers.points(score.new, digits, factor=factor),
        numbers.signed_points(score.difference, digits, factor=factor),
        numbers.interval_points(score.ci95, digits, factor=factor, signed=True),
        numbers.p_value(score.corrected),
        numbers.points(score.detectable, digits, factor=factor),
        failures(unit),
        verdict,
    )


def describe_verdict(unit: Unit) -> str:
    """The verdict, and what it rests on where that is not the score shown."""
    if not unit.because or unit.because == ("score",):
        return unit.verdict
    reasons = list(unit.because)
    if unit.weighted is not None and "rows" in reasons:
        place = reasons.index("rows")
        reasons[place] = f"rows, {numbers.p_equals(unit.weighted.corrected)}"
    return f"{unit.verdict} ({' and '.join(reasons)})"


def failures(unit: Unit) -> str:
    """Rows not answered in form, base → new, with its own p-value where the test is close."""
    before = sum(pair[0] for pair in unit.failures.values())
    after = sum(pair[1] for pair in unit.failures.values())
    if before == after:
        return numbers.count(after)
    text = f"{numbers.count(before)} → {numbers.count(after)}"
    if unit.form.corrected < 0.1:
        text += f" ({numbers.p_equals(unit.form.corrected)})"
    return text


def headline(comparison: Comparison) -> str:
    """The outcome in one sentence."""
    if comparison.failures:
        number = len(comparison.failures)
        return f"REGRESSION: {number} reason{'s' if number > 1 else ''}"
    return "No regression"


def reasons(comparison: Comparison) -> list[str]:
    """Why the gate is closed, one line each."""
    return [f"{f.name}: {f.reason}" for f in comparison.failures]


def flip_counts(comparison: Comparison) -> dict[str, tuple[int, int]]:
    """Task -> number of rows that got worse and better; tasks without any are left out."""
    counts: dict[str, tuple[int, int]] = {}
    for flip in comparison.flips:
        worse, better = counts.get(flip.task, (0, 0))
        counts[flip.task] = (worse + flip.worse, better + (not flip.worse))
    return counts


def shown_flips(comparison: Comparison, show: int) -> tuple[list[Flip], list[Flip]]:
    """The `show` worst rows, worst first, and the `show` best, best first."""
    worse = [flip for flip in comparison.flips if flip.worse]
    better = [flip for flip in comparison.flips if not flip.worse]
    return worse[:show], better[::-1][:show]


def describe_flip(flip: Flip) -> str:
    """One line: id, the row's score in both runs, statuses where they differ."""
    text = flip.id
    if flip.gain and flip.before is not None and flip.after is not None:
        error = flip.gain * (flip.after - flip.before) < 0
        digits, factor = (2, 1.0) if error else (1, 100.0)
        before, after = (
            numbers.points(v, digits, factor=factor) for v in (flip.before, flip.after)
        )
        text = f"{flip.id}: {flip.metric} {before} → {after}"
    if flip.base["status"] != flip.new["status"]:
        text += f" ({flip.base['status']} → {flip.new['status']})"
    return text


def flip_texts(flip: Flip) -> list[tuple[str, str]]:
    """Input (where the run kept it), gold and both outputs."""
    texts = [("input", str(flip.base["input"]))] if flip.base.get("input") else []
    texts.append(("gold", str(flip.base["gold"])))
    texts.append(("base", str(flip.base.get("output", ""))))
    texts.append(("new", str(flip.new.get("output", ""))))
    return texts


def to_markdown(comparisons: Sequence[Comparison], show: int = 0) -> str:
    """A page fit for a pull request comment: outcome first, tasks folded, texts escaped."""
    text = "\n\n".join("\n".join(_markdown(c, show)) for c in comparisons) + "\n"
    if len(text) > _MARKDOWN_LIMIT and show:
        return to_markdown(comparisons, show // 2)
    return text


def _markdown(comparison: Comparison, show: int) -> Iterator[str]:
    mark = "❌" if comparison.regression else "✅"
    new, base = escapes.markdown(comparison.new), escapes.markdown(comparison.base)
    yield f"### {mark} {headline(comparison)}: {new} against {base}"
    yield ""
    for reason in reasons(comparison):
        yield f"- {escapes.markdown(reason)}"
    if comparison.failures:
        yield ""
    yield from _markdown_table(comparison.level("overall") + comparison.level("category"))
    tasks = comparison.level("task")
    called = {v: sum(u.verdict == v for u in tasks) for v in ("worse", "better")}
    yield ""
    yield (
        f"<details><summary>{len(tasks)} tasks: {called['worse']} worse, "
        f"{called['better']} better</summary>"
    )
    yield ""
    yield from _markdown_table(tasks)
    yield ""
    yield "</details>"
    if show:
        yield from _markdown_flips(comparison, show)
    yield ""
    for note in comparison.notes:
        yield f"> {escapes.markdown(note)}  "
    correction = CORRECTIONS[comparison.options.correction]
    gate = comparison.gate.describe()
    yield f"<sub>{LEGEND.format(correction=correction)} The gate {escapes.markdown(gate)}.</sub>"


def _markdown_table(units: Sequence[Unit]) -> Iterator[str]:
    yield f"| {' | '.join(HEADER)} |"
    yield f"|{'|'.join(' --- ' if n in (0, 2, 10) else ' --: ' for n in range(len(HEADER)))}|"
    for unit in units:
        name, rows, metric, *figures = row(unit)
        cells = [escapes.markdown(name), rows, escapes.markdown(metric), *figures]
        if unit.verdict != "no evidence":
            cells[-1] = f"**{cells[-1]}**"
        yield f"| {' | '.join(cells)} |"


def _markdown_flips(comparison: Comparison, show: int) -> Iterator[str]:
    for title, chosen in zip(("worse", "better"), shown_flips(comparison, show), strict=True):
        if not chosen:
            continue
        yield ""
        yield f"<details><summary>Rows that got {title}</summary>"
        for flip in chosen:
            yield ""
            yield f"**{escapes.markdown(describe_flip(flip))}**"
            for name, text in flip_texts(flip):
                cut = text if len(text) <= _TEXT_LIMIT else f"{text[:_TEXT_LIMIT]}…"
                yield ""
                yield f"{name}:"
                yield escapes.markdown_block(cut)
        yield ""
        yield "</details>"


def to_json(comparisons: Sequence[Comparison], show: int = 0) -> dict[str, Any]:
    """Everything, for programs: `schema_version`, `regression` and one entry per new run."""
    return {
        "schema_version": 1,
        "regression": any(c.regression for c in comparisons),
        "comparisons": [_json(c, show) for c in comparisons],
    }


def _json(comparison: Comparison, show: int) -> dict[str, Any]:
    worse, better = shown_flips(comparison, show)
    texts = {id(flip) for flip in (*worse, *better)}
    return {
        "base": comparison.base,
        "new": comparison.new,
        "regression": comparison.regression,
        "failures": [asdict(failure) for failure in comparison.failures],
        "options": asdict(comparison.options),
        "gate": {
            "fail_on": comparison.gate.rule,
            "max_drop": comparison.gate.max_drop,
            "on": list(comparison.gate.levels),
            "min_scores": dict(comparison.gate.min_scores),
        },
        "notes": list(comparison.notes),
        "units": [{**asdict(unit), "gain_points": unit.gain} for unit in comparison.units],
        "flips": [_json_flip(flip, id(flip) in texts) for flip in comparison.flips],
    }


def _json_flip(flip: Flip, texts: bool) -> dict[str, Any]:
    record: dict[str, Any] = {
        "task": flip.task,
        "id": flip.id,
        "metric": flip.metric,
        "gain": flip.gain,
        "before": flip.before,
        "after": flip.after,
        "base_status": flip.base["status"],
        "new_status": flip.new["status"],
    }
    return {**record, **dict(flip_texts(flip))} if texts else record


def to_junit(comparisons: Sequence[Comparison]) -> str:
    """JUnit XML: one suite per new run, one case per task, and one for the whole.

    A case fails where the gate closed on it; a category's failure is reported by the whole's
    case. A task without a score is skipped.
    """
    root = ET.Element("testsuites", name="medinst-eval compare")
    for comparison in comparisons:
        root.append(_suite(comparison))
    ET.indent(root)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ET.tostring(root, encoding="unicode") + "\n"


def _suite(comparison: Comparison) -> ET.Element:
    cases = [*comparison.level("task"), *comparison.level("overall")]
    names = {unit.name for unit in cases}
    suite = ET.Element("testsuite", name=escapes.xml_text(comparison.new))
    failed = skipped = 0
    for unit in cases:
        case = ET.SubElement(
            suite, "testcase", name=unit.name, time="0",
            classname=escapes.xml_text(f"medinst-eval.{comparison.new}"),
        )  # fmt: skip
        why = [
            f"{f.name}: {f.reason}"
            for f in comparison.failures
            if f.name == unit.name or (unit.level == "overall" and f.name not in names)
        ]
        if why:
            failed += 1
            failure = ET.SubElement(case, "failure", message=escapes.xml_text("; ".join(why)))
            failure.text = escapes.xml_text("\n".join(why))
        elif unit.score is None:
            skipped += 1
            ET.SubElement(case, "skipped", message=escapes.xml_text(unit.note or "no score"))
        line = " | ".join(f"{h or 'name'}: {c}" for h, c in zip(HEADER, row(unit), strict=True))
        ET.SubElement(case, "system-out").text = escapes.xml_text(line)
    if not comparison.level("overall") and comparison.failures:
        failed += _orphans(suite, comparison, names)
    suite.set("tests", str(len(suite)))
    suite.set("failures", str(failed))
    suite.set("errors", "0")
    suite.set("skipped", str(skipped))
    return suite


def _orphans(suite: ET.Element, comparison: Comparison, names: set[str]) -> int:
    """Failures of categories where there is no whole to report them."""
    why = [f"{f.name}: {f.reason}" for f in comparison.failures if f.name not in names]
    if not why:
        return 0
    case = ET.SubElement(suite, "testcase", name="categories", classname="medinst-eval", time="0")
    failure = ET.SubElement(case, "failure", message=escapes.xml_text("; ".join(why)))
    failure.text = escapes.xml_text("\n".join(why))
    return 1
