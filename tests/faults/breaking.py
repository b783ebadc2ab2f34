"""Running the command in a process of its own, breaking it, and looking at what it leaves."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

TASKS = "BioNLP-2009,MedQA,SciFact,PubMedQA-labeled"


@dataclass(frozen=True, kw_only=True)
class Ended:
    """A process that has ended."""

    code: int
    out: str
    err: str

    @property
    def complaint(self) -> str:
        """The one line that says why it ended."""
        assert "Traceback" not in self.err, self.err
        lines = [line for line in self.err.splitlines() if line.startswith("medinst-eval: ")]
        assert len(lines) == 1, self.err
        return lines[0]


@dataclass(kw_only=True)
class Runs:
    """Starts runs that share an output folder and data."""

    output: Path
    data: Path
    environment: dict[str, str]
    started: list[subprocess.Popen[str]] = field(default_factory=list)

    def start(self, name: str, *options: str, **how: Any) -> subprocess.Popen[str]:
        """Start a run in the background; later options override the ones set here."""
        command = [
            *(sys.executable, "-m", "medinst_eval", "run", "--data", str(self.data), "--offline"),
            *("--tasks", how.pop("tasks", TASKS), "--resamples", "20", "--shots", "1"),
            *("--output", str(how.pop("output", self.output)), "--run-name", name, *options),
        ]
        process = subprocess.Popen(
            command,
            env={**self.environment, **how.pop("env", {})},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            **how,
        )
        self.started.append(process)
        return process

    def run(self, name: str, *options: str, **how: Any) -> Ended:
        """Start a run and wait for its end."""
        return ended(self.start(name, *options, **how))

    def lines(self, name: str) -> list[dict[str, Any]]:
        """The whole lines of `predictions.jsonl`, as they lie there."""
        path = self.output / name / "predictions.jsonl"
        raw = path.read_bytes() if path.exists() else b""
        return [json.loads(line) for line in raw.split(b"\n")[:-1]]

    def ids(self, name: str) -> list[str]:
        """Ids of stored predictions in file order, repeats kept."""
        return [line["id"] for line in self.lines(name)]

    def results(self, name: str) -> dict[str, Any]:
        """`results.json`."""
        found: dict[str, Any] = json.loads((self.output / name / "results.json").read_text())
        return found

    def kept(self, name: str) -> dict[str, Any]:
        """Everything that a run leaves but names and times: equal for equal runs."""
        folder = self.output / name
        results = self.results(name)
        del results["timing"], results["run"]
        with np.load(folder / "stats.npz") as arrays:
            stats = {key: arrays[key].tolist() for key in arrays.files}
        lines = {line["id"]: line for line in self.lines(name)}
        return {
            "results": results,
            "samples": (folder / "samples.jsonl").read_text(),
            "stats": stats,
            "predictions": {key: lines[key] for key in sorted(lines)},
        }

    def wait_for(
        self, process: subprocess.Popen[str], name: str, count: int, seconds: float = 120.0
    ) -> bool:
        """Wait until so many predictions are stored; False if the process ended before."""
        path = self.output / name / "predictions.jsonl"
        until = time.monotonic() + seconds
        while process.poll() is None:
            if count == 0 or (path.exists() and path.read_bytes().count(b"\n") >= count):
                return True
            assert time.monotonic() < until, "the run stores nothing"
            time.sleep(0.005)
        return False


def ended(process: subprocess.Popen[str], seconds: float = 240.0) -> Ended:
    """Wait for a process; what it wrote and its exit code."""
    out, err = process.communicate(timeout=seconds)
    return Ended(code=process.returncode, out=out, err=err)


def kill(process: subprocess.Popen[str], number: int = signal.SIGKILL) -> Ended:
    """Send a signal and wait for the end."""
    process.send_signal(number)
    return ended(process)


def remount(folder: Path, options: str) -> None:
    """Change a mounted file system's size or mode."""
    subprocess.run(["mount", "-o", f"remount,{options}", str(folder)], check=True)
