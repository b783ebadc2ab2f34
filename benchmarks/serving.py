"""A real vLLM server on this machine, for the time of a measurement."""

from __future__ import annotations

import contextlib
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from typing import Any

SERVER_SECONDS = 300.0


@contextlib.contextmanager
def served(model: str, engine_args: Mapping[str, Any]) -> Iterator[str]:
    """Base URL of a server that has the model under the name `served`."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    flags = [
        part for name, value in engine_args.items()
        for part in (f"--{name.replace('_', '-')}", str(value))
    ]  # fmt: skip
    # What `vllm serve` runs; its command line wants a distribution named vllm, which CPU builds
    # are not.
    command = [sys.executable, "-m", "vllm.entrypoints.openai.api_server", "--model", model]
    command += ["--host", "127.0.0.1", "--port", str(port), "--served-model-name", "served"]
    command += ["--enforce-eager", "--disable-log-stats", *flags]
    server = subprocess.Popen(command, stdout=sys.stderr)
    try:
        _wait(f"http://127.0.0.1:{port}/health", server)
        yield f"http://127.0.0.1:{port}/v1"
    finally:
        server.terminate()
        server.wait()


def _wait(url: str, server: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + SERVER_SECONDS
    while time.monotonic() < deadline and server.poll() is None:
        try:
            urllib.request.urlopen(url, timeout=5).close()
            return
        except (urllib.error.URLError, OSError):
            time.sleep(0.5)
    raise SystemExit("the server did not come up")
