"""Runs that are killed or stopped: what is finished is kept, and nothing is asked twice."""

from __future__ import annotations

import random
import signal
import time
from collections import Counter
from typing import Any

import pytest
from breaking import Ended, Runs, ended, kill
from faulty_server import Fault, FaultyServer

ROWS = 48
"""Rows of the four tasks."""
BASELINE = ("--backend", "baseline", "--model", "majority")


def served(server: FaultyServer, *more: str) -> tuple[str, ...]:
    """Options that ask a local server."""
    return ("--backend", "openai", "--model", "m", "--base-url", server.url, *more)


def kill_often(runs: Runs, name: str, options: tuple[str, ...], rounds: int, seed: int) -> int:
    """Kill a run at random moments of its life, again and again; the number of kills.

    Moments: while it starts, between two answers, and while it scores. After each kill, all that
    was stored before is still there, and nothing is there twice.
    """
    draw = random.Random(seed)
    kills = 0
    before: list[str] = []
    for _ in range(rounds):
        process = runs.start(name, *options)
        if draw.random() < 0.2:
            time.sleep(draw.uniform(0.0, 2.5))
        else:
            step = draw.randint(0, max(1, 2 * ROWS // rounds))
            runs.wait_for(process, name, min(ROWS, len(before) + step))
            time.sleep(draw.uniform(0.0, 0.03 if len(before) + step < ROWS else 1.0))
        kills += process.poll() is None
        kill(process)
        after = runs.ids(name)
        assert after[: len(before)] == before
        assert len(set(after)) == len(after)
        before = after
    return kills


def finish(runs: Runs, name: str, options: tuple[str, ...], rows: int = ROWS) -> Ended:
    """Run to the end; everything is there once."""
    done = runs.run(name, *options)
    assert done.code == 0, done.err
    assert sorted(set(runs.ids(name))) == sorted(runs.ids(name))
    assert len(runs.ids(name)) == rows
    return done


@pytest.mark.timeout(900)
@pytest.mark.parametrize("rounds", [3, pytest.param(20, marks=pytest.mark.slow)])
def test_baseline_killed_at_random_moments(runs: Runs, undisturbed: Runs, rounds: int) -> None:
    options = (*BASELINE, "--engine-arg", "delay_ms=20")
    assert kill_often(runs, "killed", options, rounds, seed=rounds) >= rounds // 2
    finish(runs, "killed", options)
    assert runs.kept("killed") == undisturbed.kept("run")


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("rounds", [20])
def test_requests_to_a_server_are_not_repeated_after_a_kill(runs: Runs, rounds: int) -> None:
    concurrency = 4
    with FaultyServer(latency_s=0.05) as server:
        options = served(server, "--concurrency", str(concurrency))
        kills = kill_often(runs, "killed", options, rounds, seed=rounds)
        finish(runs, "killed", options)
        asked = Counter(call.prompt for call in server.calls)
        assert len(asked) == ROWS
        # Only what was on its way when the process died has been asked more than once.
        assert server.answered.total() <= ROWS + kills * concurrency
        finish(runs, "undisturbed", options)
    assert runs.kept("killed") == runs.kept("undisturbed")


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_transformers_killed_at_random_moments(runs: Runs) -> None:
    from medinst_eval.demo import model_folder

    options = ("--backend", "transformers", "--model", str(model_folder()), "--limit", "6")
    options += ("--max-tokens", "12", "--batch-tokens", "1200")
    rows = 24
    draw = random.Random(1)
    before: list[str] = []
    for _ in range(3):
        process = runs.start("killed", *options)
        runs.wait_for(process, "killed", min(rows, len(before) + draw.randint(1, 8)), 240)
        kill(process)
        after = runs.ids("killed")
        assert after[: len(before)] == before
        assert len(set(after)) == len(after)
        before = after
    finish(runs, "killed", options, rows=rows)
    finish(runs, "undisturbed", options, rows=rows)
    one, two = runs.kept("killed"), runs.kept("undisturbed")
    assert texts(one) == texts(two)
    assert one["samples"] == two["samples"]
    assert one["results"] == two["results"]


def texts(kept: dict[str, Any]) -> dict[str, str]:
    """Outputs by id."""
    return {key: line["output"] for key, line in kept["predictions"].items()}


# --- asked to stop -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "number",
    [
        pytest.param(signal.SIGTERM, id="SIGTERM"),
        pytest.param(signal.SIGINT, id="SIGINT", marks=pytest.mark.slow),
    ],
)
def test_a_signal_ends_a_run_cleanly(runs: Runs, number: int) -> None:
    options = (*BASELINE, "--engine-arg", "delay_ms=50")
    process = runs.start("stopped", *options)
    assert runs.wait_for(process, "stopped", 5)
    since = time.monotonic()
    stopped = kill(process, number)
    assert time.monotonic() - since < 10
    assert stopped.code == 130
    kept = len(runs.ids("stopped"))
    assert f"{kept} of {ROWS} samples are kept" in stopped.complaint
    assert "same command again" in stopped.complaint
    done = finish(runs, "stopped", options)
    assert f"{kept} of {ROWS} samples are already there" in done.err


@pytest.mark.slow
def test_sigterm_while_a_server_hangs(runs: Runs) -> None:
    with FaultyServer(
        fault=lambda call: Fault(delay_s=60.0) if call.number > 5 else None
    ) as server:
        options = served(server, "--concurrency", "4")
        process = runs.start("stopped", *options)
        assert runs.wait_for(process, "stopped", 6)
        since = time.monotonic()
        stopped = kill(process, signal.SIGTERM)
        assert time.monotonic() - since < 10
        assert stopped.code == 130
        assert f"6 of {ROWS} samples are kept" in stopped.complaint
        server.fault = lambda _: None
        finish(runs, "stopped", options)
        asked = Counter(call.prompt for call in server.calls)
        assert len(asked) == ROWS
        assert asked.total() <= ROWS + 4  # those that hung are asked again, no others


@pytest.mark.slow
def test_sigterm_while_all_servers_are_away(runs: Runs) -> None:
    server = FaultyServer(latency_s=0.02).start()
    process = runs.start("stopped", *served(server, "--concurrency", "2"))
    assert runs.wait_for(process, "stopped", 4)
    server.stop()
    time.sleep(1.0)
    assert process.poll() is None
    since = time.monotonic()
    stopped = kill(process, signal.SIGTERM)
    assert time.monotonic() - since < 10
    assert stopped.code == 130


@pytest.mark.slow
@pytest.mark.parametrize("wait", [0.3, 0.8, 1.2, 1.6, 2.0, 2.5, 3.0, 4.0])
def test_sigterm_at_any_moment_leaves_a_run_that_can_go_on(runs: Runs, wait: float) -> None:
    options = (*BASELINE, "--engine-arg", "delay_ms=20")
    process = runs.start("stopped", *options)
    time.sleep(wait)
    since = time.monotonic()
    stopped = kill(process, signal.SIGTERM)
    assert time.monotonic() - since < 10
    # Before Python has come to our first line, the signal ends the process by itself.
    assert stopped.code in (130, 0, -signal.SIGTERM)
    assert "Traceback" not in stopped.err
    finish(runs, "stopped", options)


@pytest.mark.slow
def test_two_signals_do_not_spoil_the_first(runs: Runs) -> None:
    options = (*BASELINE, "--engine-arg", "delay_ms=50")
    process = runs.start("stopped", *options)
    assert runs.wait_for(process, "stopped", 5)
    process.send_signal(signal.SIGTERM)
    time.sleep(0.02)
    stopped = kill(process, signal.SIGTERM)
    assert stopped.code == 130
    finish(runs, "stopped", options)


# --- two at once -------------------------------------------------------------------------------


def test_two_processes_on_one_run(runs: Runs) -> None:
    slow = (*BASELINE, "--engine-arg", "delay_ms=500")
    first = runs.start("shared", *slow)
    assert runs.wait_for(first, "shared", 1)
    others = [runs.start("shared", *BASELINE), runs.start("shared", *BASELINE, "--fresh")]
    for other in map(ended, others):
        assert other.code == 2
        assert "being written by another process" in other.complaint
        assert f"pid {first.pid}" in other.complaint
    assert first.poll() is None
    kept = runs.ids("shared")
    assert kill(first, signal.SIGTERM).code == 130
    finish(runs, "shared", BASELINE)
    assert runs.ids("shared")[: len(kept)] == kept


@pytest.mark.slow
def test_a_lock_left_by_a_killed_process_is_no_lock(runs: Runs) -> None:
    options = (*BASELINE, "--engine-arg", "delay_ms=20")
    process = runs.start("left", *options)
    runs.wait_for(process, "left", 3)
    kill(process)
    assert (runs.output / "left" / ".lock").exists()
    finish(runs, "left", options)
