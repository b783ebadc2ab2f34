"""Shared fixtures: the real data beside the checkout, where there is any."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="session")
def shared() -> Path:
    """Folder with the real corpora and outputs that are tried but never shipped."""
    folder = ROOT.parent / "shared"
    if not folder.is_dir():
        pytest.skip(f"no real data beside the checkout ({folder.name}/ is absent)")
    return folder


@pytest.fixture(autouse=True)
def environment_restored() -> Iterator[None]:
    """Give every test the environment that the first one had: `--offline` changes it for good."""
    before = dict(os.environ)
    yield
    os.environ.clear()
    os.environ.update(before)
