"""Shared fixtures: the real data beside the checkout, where there is any."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]

# A shell that starts the tests in the background makes them and their children deaf to Ctrl-C,
# which some tests send.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


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
