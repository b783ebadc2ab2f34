"""The example package, installed and used by name: an answer form, two metrics, a backend."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parents[2] / "examples" / "medinst-eval-plugin"

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the installed package."""
    work = tmp_path_factory.mktemp("plugin")
    shutil.copytree(PACKAGE, work / "source")
    found = subprocess.run(
        [sys.executable, "-m", "pip", "install", "--quiet", "--no-index", "--no-build-isolation",
         "--no-deps", "--target", str(work / "site"), str(work / "source")],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    if "No module named pip" in found.stderr:
        pytest.skip("this environment has no pip")
    assert found.returncode == 0, found.stderr
    return work / "site"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("doses.yaml", "doses.jsonl"):
        shutil.copy(PACKAGE / name, tmp_path / name)
    return tmp_path


def call(site: Path | None, folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    env = dict(os.environ)
    if site is not None:
        env["PYTHONPATH"] = str(site)
    return subprocess.run(
        [sys.executable, "-m", "medinst_eval", *words],
        cwd=folder, env=env, capture_output=True, text=True, check=False,
    )  # fmt: skip


def test_form_metrics_and_backend_by_name(site: Path, folder: Path) -> None:
    checked = call(site, folder, "tasks", "check", "doses.yaml", "--shots", "0")
    assert checked.returncode == 0, checked.stderr
    assert "dose_accuracy       1\n" in checked.stdout
    assert "dose_error          0\n" in checked.stdout
    for model in ("last", "first"):
        found = call(
            site, folder, "--task-file", "doses.yaml", "--backend", "rules", "--model", model,
            "--shots", "0", "--quiet", "--run-name", model,
        )  # fmt: skip
        assert found.returncode == 0, found.stderr
    results = json.loads((folder / "results" / "last" / "results.json").read_text())
    metrics = results["tasks"]["Doses"]["metrics"]
    # 10 mg right; 0.5 g is 500 mg; 20 mg right; 125 mcg where 100 mcg is right.
    assert metrics["dose_accuracy"]["value"] == 0.75
    assert metrics["dose_error"]["value"] == pytest.approx(0.25 / 4)
    assert metrics["dose_error"]["higher_is_better"] is False
    manifest = json.loads((folder / "results" / "last" / "manifest.json").read_text())
    assert manifest["backend"] == {"name": "rules", "version": "0.1.0", "arguments": {}}
    assert manifest["model"]["fingerprint"] == "rules:last"
    compared = call(site, folder, "compare", "results/first", "results/last")
    assert compared.returncode == 0, compared.stderr
    assert call(site, folder, "score", "results/last").returncode == 0
    assert call(site, folder, "report", "results/last", "results/first").returncode == 0


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("form: dose", "form: doze", "no answer form 'doze'; did you mean 'dose'?"),
        ("dose_error]", "dose_eror]", "unknown metric 'dose_eror': did you mean 'dose_error'?"),
        ("dose_error]", "accuracy]", "does not apply to answers of form 'dose'"),
    ],
)
def test_misspelt_names_in_a_card(site: Path, folder: Path, old: str, new: str, says: str) -> None:
    path = folder / "doses.yaml"
    path.write_text(path.read_text().replace(old, new))
    found = call(site, folder, "tasks", "check", "doses.yaml")
    assert found.returncode == 2
    assert says in found.stderr
    assert found.stderr.count("\n") == 1


def test_a_misspelt_backend(site: Path, folder: Path) -> None:
    words = ("--task-file", "doses.yaml", "--model", "last", "--backend", "rule")
    found = call(site, folder, *words)
    assert found.returncode == 2
    assert "did you mean 'rules'?" in found.stderr


def test_without_the_package_its_runs_say_so(site: Path, folder: Path) -> None:
    words = ("--task-file", "doses.yaml", "--backend", "rules", "--model", "last", "--shots", "0")
    assert call(site, folder, *words, "--run-name", "a").returncode == 0
    found = call(None, folder, "score", "results/a")
    assert found.returncode == 2
    assert "task 'Doses': no answer form 'dose'" in found.stderr
    assert "install the package that the run used" in found.stderr
