"""Own tasks in runs: every kind of file, beside the benchmark, in everything that reads runs."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.parquet
import pytest

import medinst_eval
from medinst_eval import compare, leaderboard, report
from medinst_eval.errors import InputError
from medinst_eval.leaderboard import BoardOptions
from medinst_eval.owntasks import write_new
from medinst_eval.rescore import rescore
from medinst_eval.store import read_run

ROWS = [
    {"text": "Aspirin was stopped.", "ann": "[Aspirin <Drug>]", "shots": [["q", "a"], ["q2", ""]]},
    {"text": "Nothing, today.", "ann": "", "shots": []},
    {"text": 'He said "no" to\nIbuprofen.', "ann": "[Ibuprofen <Drug>]", "shots": [["q", "a"]]},
]
CARD = """
name: Ward-NER
category: NER
form: entities
labels: [Drug]
metrics: {standard: [entity_f1, mention_f1]}
data:
  path: %s
  instruction: Extract.
  fields: {input: text, output: ann, history: shots}
"""


def card(folder: Path, file: str) -> str:
    path = folder / f"{Path(file).suffix[1:]}.yaml"
    path.write_text(CARD % file)
    return str(path)


def write_csv(path: Path, delimiter: str) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(ROWS[0]), delimiter=delimiter)
        writer.writeheader()
        writer.writerows({**row, "shots": json.dumps(row["shots"])} for row in ROWS)


def write_all(folder: Path) -> list[str]:
    (folder / "rows.jsonl").write_text("\n".join(map(json.dumps, ROWS)))
    write_csv(folder / "rows.csv", ",")
    write_csv(folder / "rows.tsv", "\t")
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(ROWS), folder / "rows.parquet")
    return ["rows.jsonl", "rows.csv", "rows.tsv", "rows.parquet"]


def run(folder: Path, model: str = "gold", **settings: Any) -> medinst_eval.runner.RunOutcome:
    settings = {"backend": "baseline", "output": folder, "resamples": 50} | settings
    return medinst_eval.evaluate(model, **settings)


def test_every_kind_of_file_gives_the_same_rows_and_scores(tmp_path: Path) -> None:
    digests, values = set(), []
    for file in write_all(tmp_path):
        outcome = run(tmp_path / "out", suite="own", task_files=(card(tmp_path, file),))
        manifest = json.loads((outcome.path / "manifest.json").read_text())
        digests.add(manifest["data"]["tasks"]["Ward-NER"]["digest"])
        task = outcome.results["tasks"]["Ward-NER"]
        values.append((task["n"], task["metrics"]["entity_f1"]["value"]))
    assert len(digests) == 1
    assert values == [(3, 1.0)] * 4


def both(tmp_path: Path, model: str, task_file: str) -> medinst_eval.runner.RunOutcome:
    return run(
        tmp_path, model, suite="medinst32", data="demo", tasks="AnEM,BIOSSES,Ward-NER",
        task_files=(task_file,), limit=3, run_name=model,
    )  # fmt: skip


@pytest.fixture
def gold_and_empty(tmp_path: Path) -> tuple[Path, Path]:
    write_all(tmp_path)
    path = card(tmp_path, "rows.csv")
    return both(tmp_path, "gold", path).path, both(tmp_path, "empty", path).path


def test_beside_the_32_in_no_average_of_theirs(gold_and_empty: tuple[Path, Path]) -> None:
    results = json.loads((gold_and_empty[0] / "results.json").read_text())
    assert list(results["tasks"]) == ["AnEM", "BIOSSES", "Ward-NER"]
    assert [task["own"] for task in results["tasks"].values()] == [False, False, True]
    ner, overall = (results["categories"]["NER"]["standard"], results["overall"]["standard"])
    assert (ner["tasks"], ner["of"]) == (["AnEM"], 13)
    assert (overall["tasks"], overall["of"]) == (["AnEM", "BIOSSES"], 32)


def test_alone_they_have_averages_of_their_own(tmp_path: Path) -> None:
    one, two = write_new(tmp_path, "One", "TE").card, write_new(tmp_path, "Two", "STS").card
    outcome = run(tmp_path, suite="own", task_files=(str(one), str(two)))
    overall = outcome.results["overall"]["standard"]
    assert (overall["tasks"], overall["of"], overall["value"]) == (["One", "Two"], 2, 1.0)
    assert outcome.path.name == "gold_2shot_One_Two"


def test_compare_needs_no_task_file(gold_and_empty: tuple[Path, Path], tmp_path: Path) -> None:
    (tmp_path / "csv.yaml").unlink()
    found = compare.compare(*reversed(gold_and_empty))
    lines = {unit.name: unit for unit in found.units}
    assert lines["Ward-NER"].rows == 3
    assert lines["NER"].tasks == ("AnEM",)
    assert "Ward-NER" not in lines["overall"].tasks


def test_leaderboard(gold_and_empty: tuple[Path, Path]) -> None:
    board = leaderboard.leaderboard(gold_and_empty, paired=True)
    assert [line.name for line in board.lines] == ["AnEM", "BIOSSES", "Ward-NER"]
    assert board.average is not None
    assert board.average.tasks == ("AnEM", "BIOSSES")
    assert "Ward-NER: not of the benchmark; in no average." in board.notes
    by = leaderboard.leaderboard(gold_and_empty, options=BoardOptions(by="category"))
    assert {line.name: line.tasks for line in by.lines}["NER"] == ("AnEM",)


def test_report_and_score(gold_and_empty: tuple[Path, Path], tmp_path: Path) -> None:
    (tmp_path / "rows.csv").unlink()
    before = (gold_and_empty[0] / "results.json").read_text()
    again = rescore(gold_and_empty[0])
    old = json.loads(before)
    for name, task in old["tasks"].items():
        assert again["tasks"][name]["metrics"] == task["metrics"]
        assert again["tasks"][name]["own"] == task["own"]
    assert again["overall"] == old["overall"]
    page = tmp_path / "report.html"
    report.build_report([read_run(path) for path in gold_and_empty], page)
    assert "Ward-NER" in page.read_text()


def test_a_run_of_a_renamed_metric_is_refused_before_any_work(tmp_path: Path) -> None:
    write_all(tmp_path)
    path = card(tmp_path, "rows.csv")
    Path(path).write_text(Path(path).read_text().replace("mention_f1", "mention_f"))
    with pytest.raises(InputError, match="did you mean 'mention_f1'"):
        run(tmp_path / "out", suite="own", task_files=(path,))
    assert not (tmp_path / "out").exists()


def test_rows_of_own_are_not_weighed_as_choices_beside_mmlu(tmp_path: Path) -> None:
    path = write_new(tmp_path, "Ward", "TE").card
    (tmp_path / "mmlu").mkdir()
    for split in ("test", "dev"):
        with (tmp_path / "mmlu" / f"anatomy_{split}.csv").open("w", newline="") as file:
            csv.writer(file).writerow(["Which bone?", "Femur", "Rib", "Skull", "None", "B"])
    outcome = run(
        tmp_path, suite="mmlu-medicine", shots=0, data=str(tmp_path / "mmlu"),
        tasks="anatomy,Ward", task_files=(str(path),),
    )  # fmt: skip
    assert outcome.results["tasks"]["Ward"]["metrics"]["accuracy"]["value"] == 1.0
    assert outcome.results["overall"]["pooled"]["tasks"] == ["anatomy"]
