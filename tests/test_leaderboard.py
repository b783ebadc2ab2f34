"""Published tables, made-up runs beside them, and every format."""

from __future__ import annotations

import csv
import io
import json
import re
import shutil
import subprocess
import time
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from medinst_eval import escapes, published
from medinst_eval.__main__ import main
from medinst_eval.errors import InputError
from medinst_eval.leaderboard import (
    FORMATS,
    MMLU,
    Board,
    BoardOptions,
    Entry,
    Score,
    as_json,
    lay_out,
    leaderboard,
)
from medinst_eval.leaderboard.board import build
from medinst_eval.leaderboard.entries import TaskInfo
from tests.runs import CARDS, Rows, make, write_run

PAPER = BoardOptions(metrics="paper")


def entry(name: str, scores: dict[str, Any], **options: Any) -> Entry:
    """A model by its scores; (value, low, high) or a value alone."""
    conditions = {"shots": "2", "layout": "chat", "prompt": "default", "rows": "all", "data": "x"}
    tasks = {
        task: TaskInfo(
            name=task, label=task, category="QA", level=1,
            metric="mse" if task == "mse" else "accuracy", higher_is_better=task != "mse",
        )
        for task in scores
    }  # fmt: skip
    found = {
        task: Score(value=v[0], ci95=v[1:], stderr=(v[2] - v[1]) / 3.92)
        if isinstance(v, tuple)
        else Score(value=v)
        for task, v in scores.items()
        if v is not None
    }
    return Entry(name=name, conditions=conditions | options, tasks=tasks, scores=found)


def column(board: Board, name: str) -> dict[str, Any]:
    place = [e.name for e in board.entries].index(name)
    lines = [*board.lines, *board.averages]
    return {line.name: line.cells[place] for line in lines}


# --- the published tables ---------------------------------------------------------------------


def test_counts_behind_the_published_scores_are_whole() -> None:
    """MedQA has 1,273 rows, MeDAL 1,000, BIOSSES 20."""
    for model in published.medinst32():
        for task, rows in (("MedQA", 1273), ("MeDAL", 1000), ("BIOSSES", 20)):
            number = model.scores[task] * rows
            slack = 0.005 * rows / 100 if task != "BIOSSES" else 0.005 * rows
            assert abs(number - round(number)) <= slack + 1e-9, (model.name, task)
            assert CARDS[task].rows == rows


@pytest.mark.parametrize(
    ("model", "wins"), [("LLaMA3-MI", 25), ("LLaMA3-MI32", 15), ("MMedL3-MI32", 13)]
)
def test_tasks_on_which_gpt_4o_is_beaten(model: str, wins: int) -> None:
    scores = {m.name: m.scores for m in published.medinst32()}
    higher = {t.name: t.higher_is_better for t in published.medinst32_tasks()}
    beaten = [
        task
        for task, up in higher.items()
        if (scores[model][task] > scores["GPT-4o"][task]) == up
        and scores[model][task] != scores["GPT-4o"][task]
    ]
    assert len(beaten) == wins


def test_the_mmlu_average_is_pooled_over_questions() -> None:
    assert sum(rows for _, rows in published.MMLU_SUBJECTS.values()) == 1089
    for model in published.mmlu():
        right = sum(
            round(model.scores[subject] * rows)
            for subject, (_, rows) in published.MMLU_SUBJECTS.items()
        )
        assert round(100 * right / 1089, 2) == pytest.approx(100 * (model.average or 0), abs=0.02)


def test_published_tasks_are_those_of_the_cards() -> None:
    assert {t.name for t in published.medinst32_tasks()} == set(CARDS)
    for task in published.medinst32_tasks():
        card = CARDS[task.name]
        assert (task.category, task.level) == (card.category, card.level)
        assert task.metric == card.metrics.paper[0]


def test_generation_table() -> None:
    table = published.generation()
    assert table["ParaMed"]["LLaMA3-MI"] == (0.9379, 0.6126)
    assert set(table) == {"Multi-XScience", "ParaMed"}
    assert set(table["ParaMed"]) == {m.name for m in published.medinst32()}


def cells_of(markdown: str) -> dict[str, list[str]]:
    rows = [line.strip("| ").split(" | ") for line in markdown.splitlines() if line[:1] == "|"]
    return {row[1].replace("\\", ""): row for row in rows}


def test_table_3_is_reproduced_to_the_digit() -> None:
    text = FORMATS["markdown"](lay_out(leaderboard(options=PAPER, models="published")))
    cells = cells_of(text)
    models = published.medinst32()
    header = next(line for line in text.splitlines() if "LLaMA3" in line)
    assert header.count("†") == 1
    assert "LLaMA3-MI †" in header
    for task in published.medinst32_tasks():
        shown = [re.sub(r"[*]|</?u>", "", cell) for cell in cells[task.name][3:]]
        assert [float(v) for v in shown] == [float(m.printed[task.name]) for m in models]
    order = [name for name in cells if name in CARDS]
    assert order == [task.name for task in published.medinst32_tasks()]
    assert cells["AnEM-COREF"][3:] == [
        "34.52", "14.29", "21.43", "<u>82.20</u>", "**100.00**", "**100.00**", "**100.00**"
    ]  # fmt: skip
    assert "**0.60**" in cells["BIOSSES"]
    assert "<u>1.05</u>" in cells["BIOSSES"]
    assert "[" not in text.replace("\\[", "")


def test_the_mmlu_table_is_reproduced_to_the_digit() -> None:
    board = leaderboard(options=PAPER, models="published", suite=MMLU)
    grid = lay_out(board, "model")
    assert [c.text for c in grid.header][:8] == [
        "model", "An", "CK", "CB", "CM", "MG", "PM", "average"
    ]  # fmt: skip
    rows = list(csv.reader(io.StringIO(FORMATS["csv"](grid))))
    printed = published.read_table("mmlu_medicine_published.csv")
    assert [r[:8] for r in rows[1:]] == [list(row.values()) for row in printed]
    latex = FORMATS["latex"](grid)
    assert "LLaMA3-MI & \\textbf{68.15} & \\underline{75.47}" in latex


# --- marks, averages, ranks -------------------------------------------------------------------


def test_best_second_and_ties_as_printed() -> None:
    board = build(
        [
            entry("a", {"t": 0.50001, "mse": 1.0}), entry("b", {"t": 0.50004, "mse": 0.5}),
            entry("c", {"t": 0.40, "mse": 0.5}), entry("d", {"t": 0.30, "mse": 2.0}),
        ],
        PAPER,
    )  # fmt: skip
    marks = {
        line.name: [("b" if c.best else "") + ("s" if c.second else "") for c in line.cells]
        for line in board.lines
    }
    assert marks == {"t": ["b", "b", "s", ""], "mse": ["s", "b", "b", ""]}


def test_one_model_alone_has_no_marks() -> None:
    board = build([entry("a", {"t": 0.5})], PAPER)
    assert not board.lines[0].cells[0].best
    assert board.summaries[0].win_rate is None


def test_not_worse_than_the_best_by_intervals() -> None:
    board = build(
        [
            entry("best", {"t": (0.60, 0.55, 0.65)}), entry("near", {"t": (0.55, 0.50, 0.60)}),
            entry("far", {"t": (0.40, 0.35, 0.45)}), entry("paper", {"t": 0.59}),
        ],
        PAPER,
    )  # fmt: skip
    assert [cell.equal for cell in board.lines[0].cells] == [False, True, False, False]


def test_average_rank_and_win_rate() -> None:
    board = build(
        [
            entry("a", {"t": 0.9, "u": 0.5, "mse": 1.0}),
            entry("b", {"t": 0.5, "u": 0.5, "mse": 2.0}),
            entry("c", {"t": 0.1, "u": 0.7, "mse": 3.0, "v": 0.4}),
        ],
        PAPER,
    )
    assert board.average is not None
    assert board.average.tasks == ("t", "u")
    assert [c.score and c.score.value for c in board.average.cells] == pytest.approx(
        [0.7, 0.5, 0.4]
    )
    assert [s.rank for s in board.summaries] == [1, 2, 3]
    # a: t 1, u 1/4, mse 1; b: t 1/2, u 1/4, mse 1/2; c: t 0, u 1, mse 0.
    assert [s.win_rate for s in board.summaries] == pytest.approx([0.75, 5 / 12, 1 / 3])
    assert any("3 of 4 tasks" in note for note in board.notes)


def test_ranks_of_equal_averages_are_shared() -> None:
    board = build([entry(n, {"t": v}) for n, v in (("a", 0.5), ("b", 0.5), ("c", 0.2))], PAPER)
    assert [s.rank for s in board.summaries] == [1, 1, 3]


def test_intervals_of_averages_follow_from_those_of_tasks() -> None:
    board = build(
        [
            entry("a", {"t": (0.6, 0.5, 0.7), "u": (0.4, 0.3, 0.5)}),
            entry("b", {"t": 0.1, "u": 0.2}),
        ],
        BoardOptions(metrics="paper", by="category"),
    )
    score = board.lines[0].cells[0].score
    assert score is not None
    assert score.ci95 == pytest.approx((0.5 - 0.1 / 2**0.5, 0.5 + 0.1 / 2**0.5), abs=1e-3)
    missing = board.lines[0].cells[1].score
    assert missing is not None
    assert missing.ci95 is None


def test_unlike_metrics_of_a_task_are_refused() -> None:
    other = entry("b", {"t": 0.5})
    info = TaskInfo(
        name="t", label="t", category="QA", level=1, metric="macro_f1", higher_is_better=True
    )
    changed = Entry(name="b", conditions=other.conditions, tasks={"t": info}, scores=other.scores)
    with pytest.raises(InputError, match="measured by accuracy and by macro_f1"):
        build([entry("a", {"t": 0.5}), changed], PAPER)


# --- runs -------------------------------------------------------------------------------------

TASKS = {"MedQA": 400, "SciFact": 200, "AnEM": 30, "BIOSSES": 20, "CoVERt": 50}


def tasks(share: float = 0.6) -> dict[str, Rows]:
    return {name: make(rows, share, n) for n, (name, rows) in enumerate(TASKS.items())}


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    folder = tmp_path / "results"
    write_run(folder / "good", tasks(0.8), model="org/good")
    write_run(folder / "near", tasks(0.78), model="org/near")
    write_run(folder / "deeper" / "bad", tasks(0.3), model="/models/bad")
    return folder


def test_runs_are_found_in_folders_and_named_by_their_models(runs: Path) -> None:
    board = leaderboard([runs])
    assert {e.name for e in board.entries} == {"good", "near", "bad"}
    assert len(leaderboard([runs, runs / "good"]).entries) == 3
    stored = json.loads((runs / "good" / "results.json").read_text())
    cells = column(board, "good")
    for task in TASKS:
        metric = CARDS[task].metrics.standard[0]
        assert cells[task].score.value == stored["tasks"][task]["metrics"][metric]["value"]
    assert cells["average"].score.value == pytest.approx(stored["overall"]["standard"]["value"])
    assert cells["average"].score.ci95 == tuple(stored["overall"]["standard"]["ci95"])
    assert board.notes == ()
    assert board.conditions == ()


@pytest.mark.parametrize("by", ["task", "category", "level"])
@pytest.mark.parametrize("metrics", ["paper", "standard"])
def test_lines(runs: Path, by: Any, metrics: Any) -> None:
    board = leaderboard([runs], options=BoardOptions(metrics=metrics, by=by))
    names = {
        "task": ["AnEM", "MedQA", "SciFact", "CoVERt", "BIOSSES"],
        "category": ["NER", "QA", "TE", "STS"],
        "level": ["level 1", "level 2", "level 3"],
    }[by]
    assert [line.name for line in board.lines] == names
    if by == "level":
        # The error measure of level 1 is in no average with scores.
        expected = ("CoVERt", "BIOSSES") if metrics == "standard" else ("CoVERt",)
        assert board.lines[0].tasks == expected


def test_paired_tests_tell_apart_what_overlapping_intervals_do_not(tmp_path: Path) -> None:
    rows = make(400, 0.6, 0)
    right = np.array(rows.right)
    right[np.flatnonzero(right)[:15]] = False
    write_run(tmp_path / "r" / "best", {"MedQA": rows})
    write_run(tmp_path / "r" / "worse", {"MedQA": Rows(right=list(right))})
    by_interval = column(leaderboard([tmp_path / "r"]), "worse")["MedQA"]
    by_pairs = column(leaderboard([tmp_path / "r"], paired=True), "worse")["MedQA"]
    assert (by_interval.equal, by_pairs.equal) == (True, False)
    average = column(leaderboard([tmp_path / "r"], paired=True), "worse")["average"]
    assert not average.equal


def test_unpaired_runs_fall_back_to_intervals(tmp_path: Path) -> None:
    write_run(tmp_path / "r" / "two", tasks(0.6))
    write_run(tmp_path / "r" / "zero", tasks(0.6), shots=0)
    board = leaderboard([tmp_path / "r"], paired=True)
    assert board.conditions == ("shots",)


def test_mixed_conditions_are_a_column_and_a_note(tmp_path: Path) -> None:
    folder = tmp_path / "r"
    write_run(
        folder / "whole", tasks(0.8), manifest={"data": {"tasks": {"MedQA": {"digest": "a"}}}}
    )
    write_run(
        folder / "part", tasks(0.7), shots=0,
        manifest={
            "prompt": {"layout": "inline", "system_prompt": "Be brief."},
            "data": {"limit": 20, "source": "/data/other"},
        },
    )  # fmt: skip
    board = leaderboard([folder])
    assert board.conditions == ("shots", "layout", "prompt", "rows")
    assert "Models differ in shots, layout, prompt, rows" in board.notes[0]
    header = [c.text for c in lay_out(board, "model").header][:5]
    assert header == ["model", "shots", "layout", "prompt", "rows"]
    first = {row[0].text: [c.text for c in row[1:5]] for row in lay_out(board, "model").rows}
    assert first["part"] == ["0", "inline", "system prompt", "first 20"]
    assert [row[0].text for row in lay_out(board).rows][:4] == ["shots", "layout", "prompt", "rows"]


def test_other_rows_under_equal_settings_are_noted(tmp_path: Path) -> None:
    for name in ("a", "b"):
        data = {"source": name, "tasks": {"MedQA": {"digest": name}}}
        write_run(tmp_path / "r" / name, tasks(), manifest={"data": data})
    board = leaderboard([tmp_path / "r"])
    assert board.conditions == ("data",)
    assert "The rows of MedQA differ between runs." in board.notes


def test_engine_errors_and_failures_are_shown(tmp_path: Path) -> None:
    rows = make(100, 0.5, 1)
    status = ["error"] * 5 + ["unparsed"] * 10 + ["ok"] * 85
    write_run(tmp_path / "r" / "a", {"MedQA": Rows(right=rows.right, status=status)})
    board = leaderboard([tmp_path / "r"])
    assert board.summaries[0].failures == pytest.approx(0.15)
    assert "a: 5 rows have no answer because of engine errors." in board.notes
    assert lay_out(board).rows[-1][-1].text == "15.0"


def test_published_models_stand_beside_runs_without_an_interval(runs: Path) -> None:
    write_run(runs / "LLaMA3", tasks(0.5))
    board = leaderboard([runs], options=PAPER, models="both")
    names = [e.name for e in board.entries]
    assert names[-7:] == [
        "LLaMA3 (paper)", "BioMistral", "MMedL3-EnIns", "GPT-4o", "LLaMA3-MI32", "MMedL3-MI32",
        "LLaMA3-MI",
    ]  # fmt: skip
    assert column(board, "GPT-4o")["MedQA"].score == Score(value=0.8193)
    assert column(board, "bad")["MedQA"].score.ci95 is not None
    assert column(board, "GPT-4o")["average"].score.ci95 is None
    assert "† Trained on training sets of these tasks." in board.notes
    assert any("whether these runs read the same rows" in note for note in board.notes)
    assert board.conditions == ("shots", "data")
    assert board.average is not None
    assert set(board.average.tasks) == set(TASKS) - {"BIOSSES"}
    with pytest.raises(InputError, match="--metrics paper"):
        leaderboard([runs], models="both")


def test_runs_of_two_suites(runs: Path) -> None:
    path = runs / "good" / "results.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"suite": "own"}))
    with pytest.raises(InputError, match="several suites"):
        leaderboard([runs])
    assert len(leaderboard([runs], suite="medinst32").entries) == 2
    with pytest.raises(InputError, match="no run of suite mmlu-medicine"):
        leaderboard([runs], suite=MMLU)


def test_mmlu_runs_are_pooled_like_the_paper(tmp_path: Path) -> None:
    """The suite's tasks by name: right answers over all questions, and the paper's names."""
    sizes = {subject: rows for subject, (_, rows) in published.MMLU_SUBJECTS.items()}
    shares = dict(zip(sizes, (0.5, 0.6, 0.7, 0.8, 0.9, 0.4), strict=True))
    folder = tmp_path / "r"
    run = write_run(folder / "a", {"MedQA": make(5, 0.5, 0)})
    results = json.loads((run / "results.json").read_text())
    entry = results["tasks"].pop("MedQA")
    for subject, rows in sizes.items():
        metric = {"value": shares[subject], "ci95": [0.1, 0.9], "stderr": 0.02}
        results["tasks"][subject] = {
            **entry, "n": rows, "n_scored": rows, "category": "QA", "level": None,
            "metrics": {"accuracy": {**metric, "higher_is_better": True, "signature": "s"}},
            "primary": {"paper": None, "standard": "accuracy"},
        }  # fmt: skip
    results |= {"suite": MMLU, "overall": {}, "categories": {}}
    (run / "results.json").write_text(json.dumps(results))
    board = leaderboard([folder])
    assert [line.name for line in board.lines] == ["An", "CK", "CB", "CM", "MG", "PM"]
    pooled = sum(shares[s] * n for s, n in sizes.items()) / 1089
    score = column(board, "a")["average"].score
    assert score.value == pytest.approx(pooled)
    assert column(board, "a")["macro average"].score.value == pytest.approx(
        np.mean(list(shares.values()))
    )
    assert score.stderr == pytest.approx(0.02 * np.sqrt(sum(n * n for n in sizes.values())) / 1089)


# --- formats ----------------------------------------------------------------------------------

NASTY = "=1+1|<script>alert(1)</script>_%$#&{}~^\\\"' [x](y) é ü 模\x1b"


@pytest.fixture
def nasty() -> Board:
    return build(
        [entry(NASTY, {"t": (0.6, 0.5, 0.7), "u_1": 0.5}), entry("@b", {"t": 0.5, "u_1": None})],
        PAPER,
    )


@pytest.mark.parametrize("rows", ["task", "model"])
def test_markdown_names_stay_in_their_cells(nasty: Board, rows: Any) -> None:
    text = FORMATS["markdown"](lay_out(nasty, rows, intervals=True))
    lines = [line for line in text.splitlines() if line.startswith("|")]
    assert len({line.replace("\\\\", "").replace("\\|", "").count("|") for line in lines}) == 1
    assert "<script" not in text
    assert "\x1b" not in text
    assert "**60.00** [50.00, 70.00]" in text


class Tags(HTMLParser):
    """Tag names, and the text in header cells."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.heads: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        assert not [name for name, _ in attrs if name.startswith("on")]

    def handle_data(self, data: str) -> None:
        if self.tags and self.tags[-1] == "th":
            self.heads.append(data)


def test_html_names_are_text(nasty: Board) -> None:
    parser = Tags()
    parser.feed(FORMATS["html"](lay_out(nasty, intervals=True)))
    assert "script" not in parser.tags
    assert escapes.one_line(NASTY) in parser.heads
    assert parser.tags.count("strong") == 2


def test_csv_is_safe_in_a_spreadsheet_and_numbers_stay_numbers(nasty: Board) -> None:
    rows = list(csv.reader(io.StringIO(FORMATS["csv"](lay_out(nasty, "model", intervals=True)))))
    assert rows[1][0] == f"'{escapes.one_line(NASTY)}"
    assert rows[2][0] == "'@b"
    by_name = dict(zip(rows[0], rows[1], strict=True))
    assert by_name["t"] == "60.00"
    assert by_name["t 95 %"] == "[50.00, 70.00]"
    assert dict(zip(rows[0], rows[2], strict=True))["u_1"] == ""
    for row in rows:
        for cell in row:
            assert not re.match(r"[=+@\t\r-](?![\d.]+$)", cell), cell


@pytest.mark.parametrize("rows", ["task", "model"])
def test_latex_names_are_text(nasty: Board, rows: Any) -> None:
    text = FORMATS["latex"](lay_out(nasty, rows))
    assert r"\textbar{}\textless{}script\textgreater{}" in text
    assert r"\_\%\$\#\&\{\}\textasciitilde{}\textasciicircum{}\textbackslash{}" in text
    assert "é ü ?" in text
    body = text.split("\\midrule\n", 1)[1].split("\\bottomrule")[0]
    spans = re.compile(r"\\multicolumn\{(\d)\}")
    widths = {
        line.replace("\\&", "").count("&") + sum(int(n) - 1 for n in spans.findall(line))
        for line in body.splitlines()
        if "&" in line
    }
    assert len(widths) == 1


@pytest.mark.parametrize("graphicx", [False, True])
@pytest.mark.parametrize(
    "board", ["published", "mmlu", "nasty"], ids=["Table 3", "MMLU", "nasty names"]
)
def test_latex_compiles(board: str, graphicx: bool, nasty: Board, tmp_path: Path) -> None:
    compiler = shutil.which("pdflatex")
    if compiler is None:
        pytest.skip("no pdflatex on this machine (Debian: texlive-latex-recommended)")
    shown = nasty
    if board != "nasty":
        suite = MMLU if board == "mmlu" else None
        shown = leaderboard(options=PAPER, models="published", suite=suite)
    table = FORMATS["latex"](lay_out(shown, "model" if board == "mmlu" else "task", intervals=True))
    extra = "\\usepackage{graphicx}" if graphicx else ""
    (tmp_path / "t.tex").write_text(
        "\\documentclass{article}\\usepackage[T1]{fontenc}\\usepackage{textcomp}"
        f"{extra}"
        f"\\usepackage{{booktabs}}\\begin{{document}}\n{table}\\end{{document}}\n"
    )
    done = subprocess.run(
        [compiler, "-interaction=nonstopmode", "-halt-on-error", "t.tex"],
        cwd=tmp_path, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-2000:]
    assert (tmp_path / "t.pdf").stat().st_size > 1000
    assert "Missing character" not in done.stdout
    assert not graphicx or "Overfull" not in done.stdout


def test_json_holds_marks_and_conditions(runs: Path) -> None:
    found = json.loads(json.dumps(as_json(leaderboard([runs])), allow_nan=False))
    assert [m["published"] for m in found["models"]] == [False] * 3
    assert {m["name"]: m["rank"] for m in found["models"]} == {"good": 1, "near": 2, "bad": 3}
    line = next(entry for entry in found["lines"] if entry["name"] == "MedQA")
    best = [score["best"] for score in line["scores"]]
    assert best.count(True) == 1
    assert all(len(score["ci95"]) == 2 for score in line["scores"])


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("1. item", "1\\. item"), ("- item", "\\- item"), ("1.5", "1.5"), ("a|b", "a\\|b"),
        ("a_b*c", "a\\_b\\*c"), ("<b>&", "&lt;b&gt;&amp;"), ("@me #1", "@\u200bme \\#1"),
        ("https://x.y", "https:\u200b//x.y"), ("a\nb\tc", "a b c"),
    ],
)  # fmt: skip
def test_markdown_escapes(text: str, shown: str) -> None:
    assert escapes.markdown(text) == shown


@pytest.mark.parametrize(
    ("text", "shown"),
    [("=A1", "'=A1"), ("-1", "'-1"), ("a=1", "a=1"), ("", ""), ("\tx", "' x"), ("+x", "'+x")],
)
def test_csv_escapes(text: str, shown: str) -> None:
    assert escapes.csv_cell(text) == shown


# --- the command ------------------------------------------------------------------------------


def call(capsys: pytest.CaptureFixture[str], *words: str | Path) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as caught:
        main(["leaderboard", *map(str, words)])
    captured = capsys.readouterr()
    assert isinstance(caught.value.code, int)
    return caught.value.code, captured.out, captured.err


def test_the_command(runs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, text, _ = call(capsys, runs, "--intervals", "--by", "category")
    assert code == 0
    assert "NER" in text
    assert "average of 5 tasks" in text
    for ending, start in (
        ("md", "**MedINST32"), ("tex", "% needs"), ("html", "<!doctype"), ("csv", "model"),
        ("json", "{"),
    ):  # fmt: skip
        path = tmp_path / f"table.{ending}"
        assert call(capsys, runs, "--output", path, "--rows", "model")[0] == 0
        assert path.read_text().startswith(start)
    code, text, _ = call(capsys, "--published-only", "--format", "json")
    assert len(json.loads(text)["models"]) == 7
    code, text, _ = call(capsys, runs, "--with-published")
    assert "GPT-4o" in text


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["nowhere"], "no folder nowhere"),
        (["RUNS", "--by", "row"], "--by takes"),
        (["RUNS", "--format", "docx"], "--format takes"),
        (["RUNS", "--output", "a.docx"], "give --format"),
        (["RUNS", "--published-only"], "takes no runs"),
        (["RUNS", "--with-published", "--metrics", "standard"], "--metrics paper"),
        (["EMPTY"], "no finished run"),
    ],
)
def test_wrong_use(
    runs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], words: list[str], message: str
) -> None:
    (tmp_path / "empty").mkdir()
    places = {"RUNS": str(runs), "EMPTY": str(tmp_path / "empty")}
    code, _, error = call(capsys, *(places.get(word, word) for word in words))
    assert (code, error.count("\n")) == (2, 1)
    assert message in error


def test_fifty_runs_within_three_seconds(tmp_path: Path) -> None:
    """Copies of one whole run; processor time. Only the results are read: samples are damaged."""
    whole = {name: make(20, 0.6, n) for n, name in enumerate(CARDS)}
    first = write_run(tmp_path / "r" / "m0", whole)
    for number in range(1, 50):
        copy = tmp_path / "r" / f"m{number}"
        copy.mkdir()
        results = json.loads((first / "results.json").read_text())
        results |= {"run": copy.name, "model": copy.name}
        (copy / "results.json").write_text(json.dumps(results))
        (copy / "manifest.json").write_text((first / "manifest.json").read_text())
        (copy / "samples.jsonl").write_text("damaged")
    start = time.process_time()
    board = leaderboard([tmp_path / "r"])
    text = FORMATS["html"](lay_out(board, "model", intervals=True))
    spent = time.process_time() - start
    assert len(board.entries) == 50
    assert len(text) > 50_000
    assert spent < 3
