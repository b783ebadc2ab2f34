"""Whole runs against servers that misbehave: every row ends, none is scored from an error."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from breaking import Ended, Runs, ended, kill
from faulty_server import (
    Call,
    Fault,
    FaultyServer,
    always,
    broken_json,
    hang,
    page,
    seeded,
    status,
)

ROWS = 48
QUICK = ("--engine-arg", "backoff_s=0.01", "--concurrency", "8", "--max-retries", "6")


@pytest.fixture
def server() -> Iterator[FaultyServer]:
    with FaultyServer(answer=option) as running:
        yield running


def option(call: Call) -> str:
    """An answer that is right or wrong, by the prompt alone."""
    return "yes" if len(call.prompt) % 2 else "no"


def served(*servers: FaultyServer) -> tuple[str, ...]:
    urls = [word for one in servers for word in ("--base-url", one.url)]
    return ("--backend", "openai", "--model", "m", *urls, *QUICK)


def check(runs: Runs, name: str, done: Ended) -> int:
    """The counts of a run agree with its files; the number of errors."""
    assert done.code in (0, 1), done.err
    lines = runs.lines(name)
    assert len(lines) == len({line["id"] for line in lines}) == ROWS
    failed = {line["id"] for line in lines if line["error"] is not None}
    for line in lines:
        assert (line["error"] is None) == (line["output"] in ("yes", "no"))
    results = runs.results(name)
    assert results["complete"] is (not failed)
    assert done.code == (1 if failed else 0)
    samples = [
        json.loads(line) for line in (runs.output / name / "samples.jsonl").read_text().splitlines()
    ]
    assert {one["id"] for one in samples if one["status"] == "error"} == failed
    for one in samples:
        assert one["status"] != "error" or (one["answer"] is None and not one["metrics"])
    for task, scores in results["tasks"].items():
        assert scores["n"] == scores["n_scored"] + scores["n_errors"]
        mine = sum(one.startswith(f"{task}/") for one in failed)
        assert scores["n_errors"] == mine
    return len(failed)


def test_a_third_of_the_requests_fails(runs: Runs, server: FaultyServer) -> None:
    quiet = runs.run("undisturbed", *served(server))
    assert check(runs, "undisturbed", quiet) == 0
    faults = [status(429, "slow", Retry_After="0"), status(500), hang(3.0), broken_json()]
    server.fault = seeded(1, 0.3, faults)
    done = runs.run("disturbed", *served(server), "--timeout", "1.0")
    if check(runs, "disturbed", done):
        server.fault = always(None)
        done = runs.run("disturbed", *served(server), "--retry-errors")
        assert check(runs, "disturbed", done) == 0
    assert without_tokens(runs.kept("disturbed")) == without_tokens(runs.kept("undisturbed"))


def without_tokens(kept: dict[str, Any]) -> dict[str, Any]:
    """What is compared between runs of which one had requests given up."""
    return {name: kept[name] for name in ("results", "samples", "stats")}


@pytest.mark.slow
@pytest.mark.parametrize(
    "fault",
    [
        pytest.param(Fault(reset=True), id="reset"),
        pytest.param(Fault(cut=True), id="cut"),
        pytest.param(page(200), id="proxy page"),
        pytest.param(page(502), id="bad gateway"),
        pytest.param(Fault(drip_s=0.002), id="slow"),
        pytest.param(Fault(body="garbage"), id="garbage"),
    ],
)
def test_a_server_that_is_bad_for_a_while(runs: Runs, server: FaultyServer, fault: Fault) -> None:
    assert check(runs, "undisturbed", runs.run("undisturbed", *served(server))) == 0
    seen = len(server.calls)
    server.fault = lambda call: fault if seen + 5 <= call.number < seen + 25 else None
    done = runs.run("disturbed", *served(server))
    assert check(runs, "disturbed", done) == 0
    assert runs.kept("disturbed") == runs.kept("undisturbed")


def test_errors_are_asked_again_only_when_wanted(runs: Runs, server: FaultyServer) -> None:
    bad = re.compile("claim", re.IGNORECASE)
    server.fault = lambda call: status(400, "no") if bad.search(call.prompt) else None
    first = runs.run("run", *served(server))
    failed = check(runs, "run", first)
    assert 0 < failed < ROWS
    assert f"{failed} requests failed" in first.err
    assert "--retry-errors" in first.err
    server.fault = always(None)
    asked = len(server.calls)
    again = runs.run("run", *served(server))
    assert check(runs, "run", again) == failed
    assert len(server.calls) == asked
    wanted = runs.run("run", *served(server), "--retry-errors")
    assert wanted.code == 0
    assert len(server.calls) == asked + failed
    assert runs.results("run")["complete"] is True
    # Opened once more, the file holds every row once.
    runs.run("run", *served(server))
    assert check(runs, "run", wanted) == 0
    assert len(server.calls) == asked + failed


@pytest.mark.slow
@pytest.mark.parametrize(("limit", "most"), [("3", 3), ("10%", 4)])
def test_a_hopeless_run_stops_early(
    runs: Runs, server: FaultyServer, limit: str, most: int
) -> None:
    server.fault = lambda call: status(400, "nothing works") if call.number >= 12 else None
    stopped = runs.run("run", *served(server), "--max-errors", limit)
    assert stopped.code == 1
    assert "--max-errors" in stopped.complaint
    assert "nothing works" in stopped.complaint
    assert "--retry-errors" in stopped.complaint
    assert len(server.calls) < 12 + most + 2 * 8
    lines = runs.lines("run")
    assert sum(line["error"] is not None for line in lines) == most + 1
    good = [line["id"] for line in lines if line["error"] is None]
    assert len(good) == 12
    server.fault = always(None)
    asked = len(server.calls)
    done = runs.run("run", *served(server), "--max-errors", limit, "--retry-errors")
    assert done.code == 0
    assert len(server.calls) == asked + ROWS - len(good)
    assert set(good) <= set(runs.ids("run"))


@pytest.mark.slow
def test_empty_answers_are_asked_again(runs: Runs, server: FaultyServer) -> None:
    times: dict[str, int] = {}
    lock = threading.Lock()

    def answer(call: Call) -> str:
        with lock:
            times[call.prompt] = times.get(call.prompt, 0) + 1
        stubborn = len(call.prompt) % 3 == 0
        return "" if stubborn or (len(call.prompt) % 3 == 1 and times[call.prompt] < 3) else "yes"

    server.answer = answer
    done = runs.run("run", *served(server), "--retry-empty", "2")
    assert done.code == 0
    lines = runs.lines("run")
    assert len(lines) == len({line["id"] for line in lines}) == ROWS
    empty = sum(line["output"] == "" for line in lines)
    assert empty == sum(len(prompt) % 3 == 0 for prompt in times) > 0
    assert set(times.values()) <= {1, 3}
    assert sum(one["empty"] for one in runs.results("run")["tasks"].values()) == empty


@pytest.mark.slow
def test_a_server_that_dies_and_comes_back(runs: Runs, server: FaultyServer) -> None:
    server.latency_s = 0.05
    process = runs.start("run", *served(server))
    assert runs.wait_for(process, "run", 10)
    server.stop()
    threading.Timer(1.5, server.start).start()
    assert check(runs, "run", ended(process)) == 0


@pytest.mark.slow
def test_a_server_that_dies_for_good_stops_the_run_which_then_goes_on(
    runs: Runs, server: FaultyServer
) -> None:
    server.latency_s = 0.05
    options = (*served(server), "--engine-arg", "outage_s=1")
    process = runs.start("run", *options)
    assert runs.wait_for(process, "run", 10)
    server.stop()
    stopped = ended(process)
    assert stopped.code == 1
    assert "no server has been reachable" in stopped.complaint
    before = runs.ids("run")
    assert len(before) >= 10
    assert all(line["error"] is None for line in runs.lines("run"))
    server.start()
    assert check(runs, "run", runs.run("run", *options)) == 0
    assert runs.ids("run")[: len(before)] == before


@pytest.mark.slow
def test_a_run_goes_on_with_other_servers(runs: Runs, server: FaultyServer) -> None:
    server.latency_s = 0.05
    process = runs.start("run", *served(server))
    assert runs.wait_for(process, "run", 10)
    kill(process)
    before = runs.ids("run")
    with FaultyServer(answer=option) as other:
        done = runs.run("run", *served(server, other), "--concurrency", "3")
        assert check(runs, "run", done) == 0
        assert other.calls
    assert runs.ids("run")[: len(before)] == before


# --- secrets -------------------------------------------------------------------------------------

KEY = "sk-very-secret-0123456789abcdef"


def test_the_key_is_in_nothing_that_a_run_leaves(runs: Runs, server: FaultyServer) -> None:
    server.key = KEY
    server.latency_s = 0.05
    repeats = [status(400, f"you sent {KEY}"), Fault(status=500, body=KEY), page(200), None]
    server.fault = lambda call: repeats[call.number % 4]
    server.answer = lambda call: f"your key is {call.headers['authorization']}"
    options = (*served(server), "--api-key-env", "MED_KEY", "--max-retries", "0")
    process = runs.start("run", *options, env={"MED_KEY": KEY, "OPENAI_LOG": "debug"})
    assert runs.wait_for(process, "run", 3)
    titles = Path(f"/proc/{process.pid}/cmdline").read_text(errors="replace")
    done = ended(process)
    assert done.code == 1
    assert len(runs.lines("run")) == ROWS
    refused = runs.run("other", *options, env={"MED_KEY": f"{KEY}x"})
    assert refused.code == 1
    assert "MED_KEY" in refused.complaint
    texts = [titles, done.out, done.err, refused.out, refused.err]
    for path in runs.output.parent.rglob("*"):
        if path.is_file():
            texts.append(path.read_bytes().decode("latin-1"))
    assert len(texts) > 8
    for text in texts:
        assert KEY not in text
        assert KEY[3:] not in text
        assert KEY[:12] not in text
