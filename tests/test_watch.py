"""Watching a training: real checkpoints, evaluated as they appear."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from medinst_eval.__main__ import main
from medinst_eval.demo import model_folder

pytest.importorskip("torch")
pytest.importorskip("transformers")

ASKED = (
    "--backend", "transformers", "--data", "demo", "--tasks", "MedQA,SciFact", "--limit", "3",
    "--max-tokens", "24", "--resamples", "200",
)  # fmt: skip


@pytest.fixture(scope="module", autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MEDINST_EVAL_CACHE", str(tmp_path_factory.mktemp("cache")))
        patch.setenv("HF_HOME", str(tmp_path_factory.mktemp("hf")))
        yield


def call(*arguments: object) -> int:
    with pytest.raises(SystemExit) as exit_:
        main([str(argument) for argument in arguments])
    return int(exit_.value.code or 0)


def add(training: Path, step: int, which: Any) -> Path:
    return Path(shutil.copytree(model_folder(which), training / f"checkpoint-{step}"))


@pytest.fixture(scope="module")
def training(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two checkpoints, and one of which only half of the weights is written."""
    folder = tmp_path_factory.mktemp("training")
    add(folder, 2000, "final")
    add(folder, 500, "early")
    half = add(folder, 2500, "final") / "model.safetensors"
    half.write_bytes(half.read_bytes()[:1000])
    return folder


@pytest.fixture(scope="module")
def baseline(tmp_path_factory: pytest.TempPathFactory) -> Path:
    output = tmp_path_factory.mktemp("baseline")
    assert (
        call(
            "--model", model_folder("final"), *ASKED, "--output", output, "--run-name", "base",
            "--quiet",
        )
        == 0
    )  # fmt: skip
    return output / "base"


def watch(training: Path, output: Path, *more: object) -> int:
    return call("watch", training, *ASKED, "--once", "--output", output, *more)


def read(output: Path) -> dict[str, Any]:
    record: dict[str, Any] = json.loads((output / "curve.json").read_text(encoding="utf-8"))
    return record


def test_a_training_becomes_a_curve(
    training: Path, baseline: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert watch(training, tmp_path, "--baseline", baseline) == 0
    printed = capsys.readouterr()
    curve = read(tmp_path)
    assert [point["step"] for point in curve["points"]] == [500, 2000]
    assert [point["gate"]["verdict"] for point in curve["points"]][1] == "no regression"
    early, final = curve["points"]
    kept = json.loads((baseline / "results.json").read_text(encoding="utf-8"))
    for name, task in kept["tasks"].items():
        score = task["metrics"][task["primary"]["standard"]]
        assert final["tasks"][name]["standard"]["value"] == score["value"]
        assert final["gate"]["tasks"][name] == "no evidence"
        assert early["tasks"][name]["n"] == 3
    assert (tmp_path / "curve.png").read_bytes().startswith(b"\x89PNG")
    assert "checkpoint-2500 is incomplete: model.safetensors is half written" in printed.err
    for expected in ("MedQA", "SciFact", "500", "2,000", "no regression", "overall"):
        assert expected in printed.out

    # again: nothing is evaluated, and the same is shown
    before = {path: path.stat().st_mtime_ns for path in tmp_path.glob("*/results.json")}
    assert len(before) == 2
    assert watch(training, tmp_path, "--baseline", baseline) == 0
    assert {path: path.stat().st_mtime_ns for path in tmp_path.glob("*/results.json")} == before
    assert read(tmp_path) == curve
    assert "checkpoint-500: overall" not in capsys.readouterr().out


@pytest.mark.slow
def test_another_baseline_gives_another_verdict_without_asking_again(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    only, output, gold = tmp_path / "training", tmp_path / "out", tmp_path / "runs" / "gold"
    add(only, 500, "early")
    assert watch(only, output) == 0
    assert read(output)["points"][0]["gate"] is None
    written = next(output.glob("*/results.json")).stat().st_mtime_ns
    asked = list(ASKED)
    asked[1] = "baseline"
    more = ("--layout", "chat", "--output", gold.parent, "--run-name", gold.name, "--quiet")
    assert call("--model", "gold", *asked, *more) == 0
    capsys.readouterr()

    assert watch(only, output, "--baseline", gold, "--max-drop", 1) == 1
    printed = capsys.readouterr().out
    gate = read(output)["points"][0]["gate"]
    assert gate["verdict"] == "regression"
    assert "fell by" in gate["reasons"][0]
    assert "regression" in printed
    assert "100.00" in printed
    assert watch(only, output, "--baseline", gold, "--max-drop", 100) == 0
    assert read(output)["points"][0]["gate"]["verdict"] == "no regression"
    (gold / "results.json").unlink()
    assert watch(only, output, "--baseline", gold) == 2
    assert next(output.glob("*/results.json")).stat().st_mtime_ns == written


@pytest.mark.slow
def test_other_options_do_not_mix_into_a_curve(
    training: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    only = tmp_path / "training"
    add(only, 500, "early")
    assert watch(only, tmp_path / "out") == 0
    kept = read(tmp_path / "out")
    assert watch(only, tmp_path / "out", "--shots", 0) == 2
    assert "shots: 2 -> 0" in capsys.readouterr().err
    assert watch(training, tmp_path / "out") == 2
    assert "another --output" in capsys.readouterr().err
    assert read(tmp_path / "out") == kept


@pytest.mark.slow
def test_a_checkpoint_that_fails_is_one_line_and_the_next_is_evaluated(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    only, output = tmp_path / "training", tmp_path / "out"
    broken = add(only, 100, "early") / "config.json"
    good = broken.read_text(encoding="utf-8")
    broken.write_text(json.dumps(json.loads(good) | {"model_type": "no-such-model"}))
    for file in ("tokenizer.json", "tokenizer_config.json"):
        (add_once(only, 200) / file).unlink()
    add(only, 500, "early")
    for folder in only.iterdir():  # as a trainer leaves them
        (folder / "trainer_state.json").write_text("{}")
    assert watch(only, output, "--quiet") == 0
    lines = [line for line in capsys.readouterr().err.splitlines() if "failed" in line]
    assert [line.split(":")[0] for line in lines] == [
        "checkpoint-100 failed", "checkpoint-200 failed",
    ]  # fmt: skip
    assert "no-such-model" in lines[0]
    assert "no tokenizer" in lines[1]
    assert ["error" in point for point in read(output)["points"]] == [True, True, False]

    # mended, it is evaluated; the good one is not evaluated again
    broken.write_text(good)
    shutil.rmtree(only / "checkpoint-200")
    assert watch(only, output) == 0
    out = capsys.readouterr().out
    assert "checkpoint-100: overall" in out
    assert "checkpoint-500: overall" not in out


def add_once(training: Path, step: int) -> Path:
    folder = training / f"checkpoint-{step}"
    return folder if folder.exists() else add(training, step, "early")


@pytest.mark.slow
def test_a_training_that_began_anew(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    only, output = tmp_path / "training", tmp_path / "out"
    add(only, 500, "early")
    assert watch(only, output) == 0
    (before,) = read(output)["points"]
    shutil.rmtree(only / "checkpoint-500")
    add(only, 500, "final")
    assert watch(only, output) == 0
    (after,) = read(output)["points"]
    assert after["run"] != before["run"]
    assert (output / before["run"] / "results.json").is_file()
    capsys.readouterr()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--tasks", "MedQQ"), "MedQA"),
        (("--data", "/no/such/folder"), "/no/such/folder"),
        (("--engine-arg", "devise=cpu"), "device"),
        (("--backend", "openai"), "loads no checkpoints"),
        (("--baseline", "/no/such/run"), "/no/such/run"),
        (("--poll", "0"), "--poll"),
        (("--fail-on", "both"), "--max-drop"),
    ],
)
def test_what_no_checkpoint_could_be_evaluated_with_is_said_at_once(
    training: Path,
    tmp_path: Path,
    options: tuple[str, str],
    said: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert watch(training, tmp_path, *options) == 2
    error = capsys.readouterr().err
    assert said in error
    assert len(error.strip().splitlines()) == 1
    assert not (tmp_path / "curve.json").exists()


def test_once_without_checkpoints(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert watch(tmp_path, tmp_path / "out") == 2
    assert "no complete checkpoint" in capsys.readouterr().err
    assert watch(tmp_path / "absent", tmp_path / "out") == 2
    assert "no folder" in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_new_checkpoint_is_found_and_a_signal_ends_the_watch(
    tmp_path: Path, number: signal.Signals
) -> None:
    only, output = tmp_path / "training", tmp_path / "out"
    command = (
        sys.executable, "-m", "medinst_eval", "watch", str(only), *ASKED, "--poll", "0.2",
        "--output", str(output),
    )  # fmt: skip
    watcher = subprocess.Popen(
        command, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env={**os.environ}
    )
    try:
        for step in (500, 2000):  # the training begins after the watch
            add(only, step, "early")
            _until(lambda step=step: _has(output, step), watcher)  # type: ignore[misc]
        watcher.send_signal(number)
        out, err = watcher.communicate(timeout=60)
    finally:
        watcher.kill()
    assert watcher.returncode == 130
    assert "2 checkpoint(s) evaluated" in err
    assert "Traceback" not in err
    assert "checkpoint-500: overall" in out
    assert [point["step"] for point in read(output)["points"]] == [500, 2000]


def _has(output: Path, step: int) -> bool:
    path = output / "curve.json"
    return path.is_file() and any(p["step"] == step for p in read(output)["points"])


def _until(done: Any, watcher: subprocess.Popen[str]) -> None:
    end = time.monotonic() + 120
    while not done():
        assert watcher.poll() is None, watcher.communicate()
        assert time.monotonic() < end
        time.sleep(0.2)
