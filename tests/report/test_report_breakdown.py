"""Confusion matrices, counts per type, scatters."""

from __future__ import annotations

from medinst_eval.report.breakdown import MAX_LABELS, by_type, confusion, scatter
from medinst_eval.report.samples import view_task
from medinst_eval.report.svg import heat, lane, place, scatter_plot

LABELS = ("yes", "no", "maybe")


def record(number, gold, answer, status="ok", **more):
    return {
        "task": "T", "id": f"T/{number}", "key": "k", "gold": str(gold), "gold_answer": gold,
        "answer": answer, "status": status, "output": str(answer), "metrics": {}, **more,
    }  # fmt: skip


def view(form, pairs, labels=()):
    records = [record(i, gold, answer) for i, (gold, answer) in enumerate(pairs)]
    return view_task("T", form, {"metrics": {}}, [records], {}, labels)


def test_confusion_counts_every_answer_and_the_missing_ones():
    matrix = confusion(
        view("label", [("yes", "yes"), ("yes", "no"), ("no", "no"), ("no", None)], LABELS), 0
    )
    assert matrix.golds == ("yes", "no")
    assert matrix.answers == ("yes", "no", "no answer")
    assert matrix.counts == ((1, 1, 0), (0, 1, 1))
    assert matrix.share(0, 1) == 0.5


def test_confusion_leaves_engine_errors_out():
    rows = [record(0, "yes", "yes"), record(1, "yes", None, status="error")]
    matrix = confusion(view_task("T", "label", {"metrics": {}}, [rows], {}, LABELS), 0)
    assert matrix.counts == ((1,),)


def test_confusion_sums_rare_answers():
    pairs = [("yes", f"made up {i}") for i in range(MAX_LABELS + 5)]
    matrix = confusion(view("label", pairs, LABELS), 0)
    assert matrix.answers[-1] == "other"
    assert sum(matrix.counts[0]) == MAX_LABELS + 5


def test_only_label_tasks_have_a_confusion_matrix():
    assert confusion(view("choice", [("a", "b")]), 0) is None
    assert confusion(view("label", []), 0) is None


def test_counts_per_type():
    pairs = [
        (
            [["a", "Gene"], ["b", "Gene"], ["c", "Cell"]],
            [["a", "Gene"], ["c", "Gene"], ["d", "Cell"]],
        ),
    ]
    rows = {row.name: row for row in by_type(view("entities", pairs), 0)}
    gene, cell = rows["Gene"], rows["Cell"]
    assert (gene.gold, gene.found, gene.missed, gene.spurious, gene.wrong) == (2, 1, 1, 0, 0)
    assert (cell.gold, cell.found, cell.missed, cell.spurious, cell.wrong) == (1, 0, 0, 1, 1)
    # "c" was claimed to be a gene: one true, two claimed, two to find.
    assert gene.f1 == 2 / 4
    assert cell.f1 == 0


def test_counts_per_label():
    rows = {r.name: r for r in by_type(view("labels", [(["x", "y"], ["x", "z"])]), 0)}
    assert (rows["x"].found, rows["y"].missed, rows["z"].spurious) == (1, 1, 1)
    assert rows["x"].f1 == 1


def test_scatter_counts_equal_pairs():
    plot = scatter(view("number", [(3.0, 3.0), (3.0, 3.0), (1.0, 4.0), (2.0, None)]), 0, (0, 5))
    assert [(p.gold, p.answer, p.count) for p in plot.points] == [(1, 4, 1), (3, 3, 2)]
    assert (plot.low, plot.high, plot.unanswered) == (0, 5, 1)
    drawn = scatter_plot(plot)
    assert "3 pairs" in drawn.label
    assert "2 of them equal" in drawn.label
    big, small = drawn.bubbles
    assert big.r > small.r
    assert small.x < big.x
    assert small.y < big.y  # a higher prediction is drawn higher
    assert [t.text for t in drawn.ticks] == list("012345")


def test_places_and_shades():
    assert place(-3) == "0.00%"
    assert place(41.237) == "41.24%"
    assert place(101) == "100.00%"
    assert lane(1, 1) == "50%"
    assert [heat(x) for x in (0, 0.01, 0.5, 1)] == ["h0", "h1", "h3", "h5"]
