"""Fixtures of the fault suite."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from breaking import Runs

from medinst_eval import demo

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "backends"))


@pytest.fixture(scope="session")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The built-in data as a folder."""
    folder = tmp_path_factory.mktemp("data") / "medinst32"
    shutil.copytree(demo.data_folder(), folder)
    return folder


@pytest.fixture
def runs(tmp_path: Path, data: Path) -> Iterator[Runs]:
    """Runs of this test, in an environment that reaches nothing outside."""
    made = _runs(tmp_path, data)
    yield made
    for process in made.started:
        if process.poll() is None:
            process.kill()
        process.communicate()


@pytest.fixture(scope="session")
def undisturbed(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Runs:
    """One finished run, `run`, of the majority baseline, which nothing has happened to."""
    made = _runs(tmp_path_factory.mktemp("undisturbed"), data)
    done = made.run("run", "--backend", "baseline", "--model", "majority")
    assert done.code == 0, done.err
    return made


def _runs(folder: Path, data: Path) -> Runs:
    environment = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("HF_", "OPENAI_")) and "proxy" not in name.lower()
    }
    environment |= {
        "HF_HOME": str(folder / "hf"),
        "OMP_NUM_THREADS": "1",
        "PYTHONUNBUFFERED": "1",
    }
    return Runs(output=folder / "results", data=data, environment=environment)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Callable[[int], Path]]:
    """`make(kilobytes) -> Path`: a folder on a file system of its own, so large and no larger."""
    mounted: list[Path] = []

    def make(kilobytes: int) -> Path:
        folder = tmp_path / f"disk{len(mounted)}"
        folder.mkdir()
        done = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", f"size={kilobytes}k", "tmpfs", str(folder)],
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode != 0:
            pytest.skip(f"no file system can be mounted here ({done.stderr.strip()})")
        mounted.append(folder)
        return folder

    yield make
    for folder in mounted:
        subprocess.run(["umount", "-l", str(folder)], check=False)
