"""A browser for pages, and finished runs to show."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from sample_runs import write_sample_run

from medinst_eval.report import build_report
from medinst_eval.store import read_run

if TYPE_CHECKING:
    from playwright.sync_api import Browser

CHROMIUM = Path("/usr/bin/chromium")
ARGUMENTS = [
    "--no-sandbox", "--disable-gpu", "--disable-background-networking",
    "--disable-component-update", "--disable-default-apps", "--no-first-run",
]  # fmt: skip


@pytest.fixture(scope="session")
def chromium() -> Iterator[Browser]:
    """Debian's Chromium, without a window."""
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    if not CHROMIUM.is_file():
        pytest.skip(f"no Chromium at {CHROMIUM} (apt-get install chromium)")
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=str(CHROMIUM), args=ARGUMENTS)
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def run_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run over all 32 tasks, 30 samples each."""
    return write_sample_run(tmp_path_factory.mktemp("runs"), "base-8b", rows=30)


@pytest.fixture(scope="session")
def second_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A better run on the same data."""
    return write_sample_run(tmp_path_factory.mktemp("runs"), "tuned-8b", rows=30, quality=0.85)


@pytest.fixture(scope="session")
def page_file(run_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page of `run_folder`."""
    output = tmp_path_factory.mktemp("page") / "report.html"
    build_report([read_run(run_folder)], output)
    return output


@pytest.fixture(scope="session")
def pair_file(
    run_folder: Path, second_folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """The page of two runs side by side."""
    output = tmp_path_factory.mktemp("page") / "pair.html"
    build_report([read_run(run_folder), read_run(second_folder)], output)
    return output
