"""A Ray cluster as a run sees it: joined or started, quiet, and left again."""

from __future__ import annotations

import contextlib
import logging
import os
import socket
import threading
import warnings
from collections.abc import Iterator
from typing import Any

from medinst_eval.errors import BackendError

REACH_SECONDS = 10.0
LEAVE_SECONDS = 30.0
"""Longest wait for a cluster to be reached, and to be left."""


class Keeper:
    """Connects to a cluster and stays until it is told to leave, in a thread of its own.

    Linux ends a cluster that Ray starts on this machine with the thread that started it, not with
    the process; and a backend is started in a thread that ends when the engine is there.
    """

    def __init__(self, ray: Any, address: str) -> None:
        self._ray = ray
        self._address = address
        self._error: BackendError | None = None
        self._connected = threading.Event()
        self._leaving = threading.Event()
        self._thread = threading.Thread(target=self._keep, name="ray-keeper", daemon=True)

    def connect(self) -> None:
        """Join the cluster, or start one where the address is `local`.

        Raises:
            BackendError: There is no cluster at the address.
        """
        self._thread.start()
        self._connected.wait()
        if self._error is not None:
            raise self._error

    def leave(self) -> None:
        """Leave the cluster; one that was started here ends."""
        self._leaving.set()
        self._thread.join(LEAVE_SECONDS)

    def _keep(self) -> None:
        try:
            _connect(self._ray, self._address)
        except BackendError as error:
            self._error = error
            return
        finally:
            self._connected.set()
        self._leaving.wait()
        self._ray.shutdown()


def import_ray() -> Any:
    """Ray with its data library.

    Raises:
        BackendError: It is not installed.
    """
    # Before the import, which reads them.
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    # What Ray's daemons say would land on standard output, among the results; it is in their logs.
    os.environ.setdefault("RAY_DEDUP_LOGS_SKIP_REGEX", ".")
    try:
        import ray
        import ray.data
        import ray.exceptions
    except ImportError as error:
        raise BackendError(
            f'cannot import Ray ({error}); install it with `pip install "medinst-eval[ray]"`'
        ) from error
    return ray


def _connect(ray: Any, address: str) -> None:
    """Join a cluster, or start one on this machine (`local`), without Ray's own output."""
    extra = {"include_dashboard": False} if address == "local" else {}
    try:
        _knock(address)
        ray.init(
            address=address,
            logging_level=logging.ERROR,
            log_to_driver=False,
            **extra,
        )
    except (ConnectionError, RuntimeError, ValueError, OSError, TimeoutError) as error:
        raise BackendError(
            f"no Ray cluster at {address} ({first_line(error)}); start one with "
            "`ray start --head`, or give --ray local"
        ) from error


def _knock(address: str) -> None:
    """Fail at once where nobody listens: Ray itself would try for minutes."""
    host, _, port = address.rpartition(":")
    if host and port.isdigit():
        with socket.create_connection((host.strip("[]"), int(port)), timeout=REACH_SECONDS):
            pass


def configure(context: Any, replicas: int) -> None:
    """Settings of one dataset: quiet, out of order, and alive when a node dies."""
    context.enable_progress_bars = False
    context.enable_auto_log_stats = False
    context.execution_options.preserve_order = False
    context.max_errored_blocks = -1
    context.max_consecutive_actor_init_deaths = replicas


def restart_elsewhere() -> dict[str, int]:
    """How Ray treats a dead replica: started again where there is room, its work not repeated.

    Work that Ray repeats itself waits for that very replica, for ever where nothing has room.
    """
    # Ray names no other way yet to say so, but announces that this one will go.
    warnings.filterwarnings("ignore", message="`ray_remote_args` is deprecated")
    return {"max_restarts": -1, "max_task_retries": 0}


@contextlib.contextmanager
def quiet_logs() -> Iterator[None]:
    """Keep what Ray tells about every lost block in its files and off the terminal."""
    handlers = [
        handler
        for name in ("ray", "ray.data")
        for handler in logging.getLogger(name).handlers
        if type(handler).__name__ != "SessionFileHandler"
    ]
    before = [handler.level for handler in handlers]
    for handler in handlers:
        handler.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        for handler, level in zip(handlers, before, strict=True):
            handler.setLevel(level)


def first_line(error: BaseException) -> str:
    """The first line of an error that has words, else its kind."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0].rstrip(".") if lines else type(error).__name__
