"""Ends an engine's processes when the run that owns them is killed.

vLLM's engine processes wait for work for ever when their parent dies by SIGKILL, and keep its
memory: a resumed run would find the device full. A guard is a small process of its own, told the
engine's process ids, that watches its parent and, once it is gone, kills them and their children.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import select
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterable
from pathlib import Path

POLL_SECONDS = 0.5
ENGINE_NAMES = ("EngineCore", "DPCoordinator", "VLLM", "ApiServer")


class Guard:
    """Watches over the engine processes that are started while and after it is made."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self._foreign: set[int] = set()
        self._known: set[int] = set()
        self._family: dict[int, str] = {}
        self._settled = threading.Event()

    def start(self) -> None:
        """Start the watching process, and tell it of engine processes as they appear.

        Engines that run already belong to somebody else and are left alone.
        """
        self._foreign = set(engine_processes())
        self._process = subprocess.Popen(
            [sys.executable, "-I", "-S", str(Path(__file__)), str(os.getpid())],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,  # Ctrl-C in the terminal is not meant for it
        )
        threading.Thread(target=self._watch, name="engine-guard", daemon=True).start()

    def settle(self) -> None:
        """Tell it of the last processes: the engine is complete."""
        self._tell()
        self._settled.set()

    def remember(self) -> None:
        """Note the watched processes and their children, before those lose their parent."""
        self._tell()
        for pid in self._known & set(engine_processes()):
            self._family |= {one: _born(one) for one in (pid, *_descendants(pid))}

    def end(self) -> None:
        """Kill what is left of the watched processes and of those remembered."""
        self.remember()
        end_processes(pid for pid, born in self._family.items() if born and _born(pid) == born)

    def stop(self) -> None:
        """End the watching process; the engine has ended before."""
        self._settled.set()
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            if self._process.stdin is not None:
                with contextlib.suppress(OSError):
                    self._process.stdin.close()
            self._process = None

    def _watch(self) -> None:
        while not self._settled.wait(POLL_SECONDS):
            self._tell()

    def _tell(self) -> None:
        process = self._process
        if process is None or process.stdin is None:
            return
        new = set(engine_processes()) - self._known - self._foreign
        self._known |= new
        with contextlib.suppress(OSError, ValueError):
            process.stdin.write("".join(f"{pid}\n" for pid in sorted(new)).encode())
            process.stdin.flush()


def engine_processes() -> list[int]:
    """Process ids of this process's children that belong to a vLLM engine."""
    return [
        child.pid
        for child in multiprocessing.active_children()
        if child.pid is not None and child.name.startswith(ENGINE_NAMES)
    ]


def end_processes(pids: Iterable[int]) -> None:
    """Kill processes and all that descend from them; those that are gone are no error."""
    for pid in pids:
        for one in [pid, *_descendants(pid)]:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(one, signal.SIGKILL)


def _descendants(pid: int) -> list[int]:
    found: list[int] = []
    for children in Path(f"/proc/{pid}/task").glob("*/children"):
        with contextlib.suppress(OSError):
            for child in children.read_text().split():
                found += [int(child), *_descendants(int(child))]
    return found


def _born(pid: int) -> str:
    """Start time of a process, which tells it from a later one with the same id."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[19]
    except (OSError, IndexError):
        return ""


def main(parent: int) -> None:
    """Read process ids from standard input until the parent is gone, then kill them."""
    told: dict[int, str] = {}
    buffered = b""
    listening = True
    while os.getppid() == parent:
        if not listening:
            time.sleep(POLL_SECONDS)
        elif select.select([0], [], [], POLL_SECONDS)[0]:
            chunk = os.read(0, 4096)
            listening = bool(chunk)
            *lines, buffered = (buffered + chunk).split(b"\n")
            told |= {int(line): _born(int(line)) for line in lines}
    end_processes(pid for pid, born in told.items() if _born(pid) == born)


if __name__ == "__main__":
    main(int(sys.argv[1]))
