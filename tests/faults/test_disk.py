"""Disks that are full or may not be written, and files that are damaged."""

from __future__ import annotations

import json
import os
import random
import resource
import shutil
import signal
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest
from breaking import Runs, ended, kill, remount

from medinst_eval.store import decode_prediction, encode_prediction, load_predictions
from medinst_eval.types import Prediction

ROWS = 48
BASELINE = ("--backend", "baseline", "--model", "majority")


def begin_finished(runs: Runs, undisturbed: Runs) -> Path:
    """A copy of the undisturbed run, to be damaged."""
    runs.output.mkdir(exist_ok=True)
    return Path(shutil.copytree(undisturbed.output / "run", runs.output / "run"))


def recovers(runs: Runs, before: list[str], undisturbed: Runs) -> None:
    """A second run keeps what was there and completes."""
    done = runs.run("run", *BASELINE)
    assert done.code == 0, done.err
    assert runs.ids("run")[: len(before)] == before
    assert runs.kept("run") == undisturbed.kept("run")


# --- full --------------------------------------------------------------------------------------


def limit_files(size: int) -> Callable[[], None]:
    """For a new process: no file may grow beyond so many bytes, as under a quota."""

    def limit() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))

    return limit


def test_a_quota_reached_in_the_middle(runs: Runs, undisturbed: Runs) -> None:
    stopped = runs.run("run", *BASELINE, preexec_fn=limit_files(12_000))
    assert stopped.code == 2
    assert "predictions.jsonl" in stopped.complaint
    assert "free space" in stopped.complaint
    before = runs.ids("run")
    assert 0 < len(before) < ROWS
    assert not (runs.output / "run" / "results.json").exists()
    recovers(runs, before, undisturbed)


@pytest.mark.slow
def test_a_full_disk_in_the_middle(
    runs: Runs, undisturbed: Runs, small_disk: Callable[[int], Path]
) -> None:
    runs.output = small_disk(24)
    stopped = runs.run("run", *BASELINE)
    assert stopped.code == 2
    assert "No space left" in stopped.complaint
    assert "free space" in stopped.complaint
    before = runs.ids("run")
    assert 0 < len(before) < ROWS
    remount(runs.output, "size=4096k")
    recovers(runs, before, undisturbed)


@pytest.mark.slow
def test_a_disk_that_fills_up_while_scores_are_written(
    runs: Runs, undisturbed: Runs, small_disk: Callable[[int], Path]
) -> None:
    runs.output = small_disk(4096)
    folder = begin_finished(runs, undisturbed)
    predictions = (folder / "predictions.jsonl").stat().st_size
    for name in ("results.json", "samples.jsonl", "stats.npz"):
        (folder / name).unlink()
    remount(runs.output, f"size={(predictions + 16_384) // 4096 * 4}k")
    before = runs.ids("run")
    stopped = runs.run("run", *BASELINE)
    assert stopped.code == 2
    assert "No space left" in stopped.complaint
    assert not (folder / "results.json").exists()  # never half a file
    assert runs.ids("run") == before
    remount(runs.output, "size=4096k")
    recovers(runs, before, undisturbed)
    assert not [path.name for path in folder.iterdir() if path.name.startswith(".results")]


@pytest.mark.slow
def test_a_disk_that_someone_else_fills_up_meanwhile(
    runs: Runs, undisturbed: Runs, small_disk: Callable[[int], Path]
) -> None:
    runs.output = small_disk(4096)
    process = runs.start("run", *BASELINE, "--engine-arg", "delay_ms=100")
    assert runs.wait_for(process, "run", 5)
    filler = runs.output / "filler"
    with filler.open("wb", buffering=0) as out, suppress(OSError):
        while True:
            out.write(bytes(4096))
    stopped = ended(process)
    assert stopped.code == 2
    assert "free space" in stopped.complaint
    before = runs.ids("run")
    assert 5 <= len(before) < ROWS
    filler.unlink()
    recovers(runs, before, undisturbed)


# --- not to be written ---------------------------------------------------------------------------


def test_a_file_system_that_may_only_be_read(
    runs: Runs, undisturbed: Runs, small_disk: Callable[[int], Path]
) -> None:
    runs.output = small_disk(4096)
    begin_finished(runs, undisturbed)
    remount(runs.output, "ro")
    for name in ("run", "new"):
        stopped = runs.run(name, *BASELINE)
        assert stopped.code == 2
        assert "Read-only" in stopped.complaint
        assert "--output" in stopped.complaint


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_belongs_to_someone_else(runs: Runs) -> None:
    runs.output.mkdir()
    runs.output.chmod(0o555)
    stopped = runs.run("run", *BASELINE)
    assert stopped.code == 2
    assert "Permission denied" in stopped.complaint


def test_an_output_that_is_a_file(runs: Runs) -> None:
    runs.output.write_text("not a folder")
    stopped = runs.run("run", *BASELINE)
    assert stopped.code == 2
    assert "--output" in stopped.complaint


# --- damaged -------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", [0, pytest.param(1, marks=pytest.mark.slow)])
def test_flipped_bits_are_detected_named_and_redone(
    runs: Runs, undisturbed: Runs, seed: int
) -> None:
    draw = random.Random(seed)
    path = begin_finished(runs, undisturbed) / "predictions.jsonl"
    raw = bytearray(path.read_bytes())
    starts = [0, *(at + 1 for at, byte in enumerate(raw) if byte == 10)][:-1]
    hit = sorted(draw.sample(range(len(starts)), 3))
    for line in hit:
        end = raw.index(b"\n", starts[line])
        # In the text that counts: before the checksum, which is the last member.
        at = draw.randrange(starts[line], end - len(', "crc": "01234567"}'))
        raw[at] ^= 1 << draw.randrange(7)
    path.write_bytes(raw)
    (path.parent / "results.json").unlink()
    done = runs.run("run", *BASELINE)
    assert done.code == 0
    assert "predictions.jsonl: 3 damaged line(s) will be asked again" in done.err
    for line in hit:
        assert f"line {line + 1}: " in done.err
    assert f"{ROWS - 3} of {ROWS} samples are already there" in done.err
    assert runs.kept("run") == undisturbed.kept("run")


@pytest.mark.slow
@pytest.mark.parametrize("cut", [1, 30, 2_000])
def test_a_truncated_file_is_redone_from_the_cut(runs: Runs, undisturbed: Runs, cut: int) -> None:
    path = begin_finished(runs, undisturbed) / "predictions.jsonl"
    raw = path.read_bytes()[:-cut]
    path.write_bytes(raw)
    # A line that only lost its line break is whole.
    whole = raw.count(b"\n") + (cut == 1)
    done = runs.run("run", *BASELINE)
    assert done.code == 0
    assert f"{whole} of {ROWS} samples are already there" in done.err
    assert runs.kept("run") == undisturbed.kept("run")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "damage"),
    [
        ("predictions.jsonl", b""),
        ("predictions.jsonl", b"\x00" * 4096),
        ("predictions.jsonl", bytes(range(256)) * 8),
        ("results.json", b'{"tasks": {'),
        ("samples.jsonl", b""),
        ("stats.npz", b"PK\x03\x04 not a zip"),
    ],
)
def test_files_full_of_rubbish_are_made_again(
    runs: Runs, undisturbed: Runs, name: str, damage: bytes
) -> None:
    (begin_finished(runs, undisturbed) / name).write_bytes(damage)
    done = runs.run("run", *BASELINE)
    assert done.code == 0, done.err
    assert runs.kept("run") == undisturbed.kept("run")


@pytest.mark.slow
@pytest.mark.parametrize("damage", [b"", b"{", b"[]", b"\xff\xfe", b"null"])
def test_a_damaged_manifest_is_named_and_nothing_is_overwritten(
    runs: Runs, undisturbed: Runs, damage: bytes
) -> None:
    path = begin_finished(runs, undisturbed) / "manifest.json"
    before = path.with_name("predictions.jsonl").read_bytes()
    path.write_bytes(damage)
    stopped = runs.run("run", *BASELINE)
    assert stopped.code == 2, stopped.err
    assert "manifest" in stopped.complaint
    assert path.with_name("predictions.jsonl").read_bytes() == before


def stored() -> Prediction:
    return Prediction(
        task="MedQA",
        id="MedQA/7",
        key="0123abcd",
        prompt_sha="ffee",
        output='yes "quoted" — α\n',
        reasoning=None,
        finish_reason="stop",
        prompt_tokens=12,
        output_tokens=3,
    )


def test_no_single_flipped_bit_changes_an_answer(tmp_path: Path) -> None:
    line = encode_prediction(stored()).encode()
    path = tmp_path / "predictions.jsonl"
    for at in range(len(line)):
        for bit in range(8):
            broken = bytearray(line)
            broken[at] ^= 1 << bit
            path.write_bytes(broken + line.replace(b"MedQA/7", b"MedQA/8"))
            for found in load_predictions(path).predictions.values():
                # Each one that is believed is the one that was written.
                if found.id == "MedQA/7":
                    assert found == stored(), (at, bit, bytes(broken))


def test_every_truncation_of_a_line_is_half_a_line_or_whole(tmp_path: Path) -> None:
    line = encode_prediction(stored()).encode()
    path = tmp_path / "predictions.jsonl"
    for length in range(len(line) + 1):
        path.write_bytes(line[:length])
        found = list(load_predictions(path).predictions.values())
        assert found == ([stored()] if length >= len(line) - 1 else [])


def test_a_stored_line_reads_back() -> None:
    assert decode_prediction(encode_prediction(stored()).rstrip("\n")) == stored()


# --- clocks --------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("shift", [-50 * 365 * 86_400, 50 * 365 * 86_400])
def test_clocks_that_jump_between_two_starts(runs: Runs, undisturbed: Runs, shift: int) -> None:
    process = runs.start("run", *BASELINE, "--engine-arg", "delay_ms=20")
    runs.wait_for(process, "run", 9)
    kill(process)
    before = runs.ids("run")
    folder = runs.output / "run"
    then = time.time() + shift
    for path in folder.iterdir():
        os.utime(path, (then, then))
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest["started"] = "2076-01-01T00:00:00+00:00" if shift > 0 else "1976-01-01T00:00:00+00:00"
    (folder / "manifest.json").write_text(json.dumps(manifest))
    done = runs.run("run", *BASELINE)
    assert done.code == 0
    assert runs.ids("run")[: len(before)] == before
    assert runs.kept("run") == undisturbed.kept("run")
    timing = runs.results("run")["timing"]
    assert all(value >= 0 for value in timing.values())


def test_a_clock_that_jumps_during_a_run(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from medinst_eval.config import RunConfig
    from medinst_eval.runner import run

    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    now = [2e9]

    def jumping() -> float:
        now[0] += random.choice([-1e6, 1e6])
        return now[0]

    monkeypatch.setattr(time, "time", jumping)
    outcome = run(
        RunConfig(
            model="gold",
            backend="baseline",
            data=str(data),
            tasks="SciFact",
            offline=True,
            resamples=20,
            output=tmp_path / "results",
            run_name="jump",
        )
    )
    assert outcome.results["complete"] is True
    assert outcome.results["tasks"]["SciFact"]["n_scored"] == 12
    assert all(value >= 0 for value in outcome.results["timing"].values())
