"""Run folders: what is written survives, what is damaged is noticed, what differs is refused."""

from __future__ import annotations

import json
import multiprocessing
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from medinst_eval import store
from medinst_eval.errors import StoreError
from medinst_eval.types import Prediction

MANIFEST: dict[str, Any] = {
    "schema_version": 1,
    "run": "r",
    "suite": "medinst32",
    "model": {"name": "m", "revision": None, "fingerprint": "abc"},
    "backend": {"name": "baseline", "version": "1", "arguments": {}},
    "sampling": {"temperature": 0.0},
    "prompt": {"shots": 2, "layout": "chat"},
    "data": {"source": "demo", "tasks": {"AnEM": {"digest": "d", "rows": 2}}},
}
ROW = Prediction(
    task="AnEM", id="AnEM/0", key="k", prompt_sha="p", output="[heart <Organ>]",
    reasoning=None, finish_reason="stop", prompt_tokens=3, output_tokens=4,
)  # fmt: skip


def changed(path: str, value: Any) -> dict[str, Any]:
    """MANIFEST with one field, given as `a.b`, replaced."""
    outer, inner = path.split(".")
    return {**MANIFEST, outer: {**MANIFEST[outer], inner: value}}


@given(
    output=st.text(st.characters(codec=None)),  # lone surrogates included
    reasoning=st.none() | st.text(),
    error=st.none() | st.text(min_size=1),
    logprobs=st.none() | st.tuples(st.floats(-1e3, 0), st.floats(-1e3, 0)),
)
def test_a_line_holds_any_text_and_gives_it_back(output, reasoning, error, logprobs):  # type: ignore[no-untyped-def]
    row = replace(ROW, output=output, reasoning=reasoning, error=error, choice_logprobs=logprobs)
    line = store.encode_prediction(row)
    assert line.endswith("\n")
    assert line.count("\n") == 1
    line.encode()  # valid UTF-8
    assert store.decode_prediction(line[:-1]) == row


def test_a_line_has_the_keys_that_scripts_rely_on():
    record = json.loads(store.encode_prediction(ROW))
    assert list(record)[:10] == [
        "task", "id", "key", "prompt_sha", "output", "reasoning", "finish_reason",
        "prompt_tokens", "output_tokens", "error",
    ]  # fmt: skip


def test_any_flipped_bit_is_noticed(tmp_path: Path):
    path = tmp_path / store.PREDICTIONS
    good = store.encode_prediction(ROW).encode()
    rng = np.random.default_rng(0)
    noticed = 0
    for position in rng.integers(0, len(good) - 1, 60):
        broken = bytearray(good)
        broken[position] ^= 1 << int(rng.integers(0, 8))
        path.write_bytes(bytes(broken) + good)
        loaded = store.load_predictions(path)
        assert loaded.predictions == {"AnEM/0": ROW}
        noticed += bool(loaded.damaged) or loaded.needs_rewrite
    assert noticed == 60


def test_a_half_written_last_line_is_dropped_and_the_rest_kept(tmp_path: Path):
    first, second = ROW, replace(ROW, id="AnEM/1", output="ä" * 10)
    whole = (store.encode_prediction(first) + store.encode_prediction(second)).encode()
    start = len(store.encode_prediction(first).encode())
    for cut in range(start + 1, len(whole) - 1):
        (tmp_path / store.PREDICTIONS).write_bytes(whole[:cut])
        loaded = store.load_predictions(tmp_path / store.PREDICTIONS)
        assert list(loaded.predictions) == ["AnEM/0"]
        assert loaded.half_line
        assert not loaded.damaged


def test_append_survives_reopening_and_names_damaged_lines(tmp_path: Path):
    with store.open_run(tmp_path / "r", MANIFEST) as run:
        for number in range(3):
            run.append(replace(ROW, id=f"AnEM/{number}"))
    path = tmp_path / "r" / store.PREDICTIONS
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(lines[0] + lines[1].replace(b"heart", b"liver") + lines[2])
    with store.open_run(tmp_path / "r", MANIFEST) as run:
        assert sorted(run.predictions) == ["AnEM/0", "AnEM/2"]
        assert len(run.notes) == 1
        assert "line 2: checksum differs" in run.notes[0]
    # The damaged line is gone, so that the next start has nothing to complain of.
    with store.open_run(tmp_path / "r", MANIFEST) as run:
        assert run.notes == []


@pytest.mark.parametrize(
    ("manifest", "named"),
    [
        (changed("model.fingerprint", "xyz"), "model.fingerprint"),
        (changed("prompt.shots", 0), "prompt.shots"),
        (changed("prompt.layout", "plain"), "prompt.layout"),
        (changed("sampling.temperature", 1.0), "sampling.temperature"),
        (changed("data.tasks", {"AnEM": {"digest": "e", "rows": 2}}), "data.tasks.AnEM.digest"),
        (changed("backend.name", "vllm"), "backend.name"),
    ],
)
def test_a_run_that_asks_something_else_is_refused(
    tmp_path: Path, manifest: dict[str, Any], named: str
):
    with store.open_run(tmp_path, MANIFEST) as run:
        run.append(ROW)
    with pytest.raises(StoreError, match=named.replace(".", r"\.")):
        store.open_run(tmp_path, manifest)
    with store.open_run(tmp_path, manifest, fresh=True) as run:
        assert run.predictions == {}


@pytest.mark.parametrize(
    "manifest",
    [
        changed("backend.version", "2"),
        changed("backend.arguments", {"tensor_parallel_size": 8}),
        changed("model.name", "/elsewhere/m"),
    ],
)
def test_what_only_changes_the_speed_is_not_refused(tmp_path: Path, manifest: dict[str, Any]):
    with store.open_run(tmp_path, MANIFEST) as run:
        run.append(ROW)
    with store.open_run(tmp_path, manifest) as run:
        assert list(run.predictions) == ["AnEM/0"]


def test_a_start_without_an_answer_binds_nobody(tmp_path: Path):
    store.open_run(tmp_path, MANIFEST).close()
    other = changed("sampling.temperature", 1.0)
    with store.open_run(tmp_path, other) as run:
        run.append(ROW)
    with pytest.raises(StoreError, match=r"sampling\.temperature"):
        store.open_run(tmp_path, MANIFEST)


def _hold(path: Path, ready: Any, done: Any) -> None:
    with store.open_run(path, MANIFEST):
        ready.set()
        done.wait(30)


def test_two_writers_are_kept_apart(tmp_path: Path):
    spawn = multiprocessing.get_context("spawn")
    ready, done = spawn.Event(), spawn.Event()
    other = spawn.Process(target=_hold, args=(tmp_path, ready, done))
    other.start()
    try:
        assert ready.wait(30)
        with pytest.raises(StoreError, match=rf"another process \(pid {other.pid}\)"):
            store.open_run(tmp_path, MANIFEST)
    finally:
        done.set()
        other.join(30)
    store.open_run(tmp_path, MANIFEST).close()


def test_predictions_without_a_manifest_are_not_taken_for_ones_own(tmp_path: Path):
    (tmp_path / store.PREDICTIONS).write_text(store.encode_prediction(ROW))
    with pytest.raises(StoreError, match=r"no manifest\.json"):
        store.open_run(tmp_path, MANIFEST)


def test_a_finished_run_is_read_back(tmp_path: Path):
    results = {"run": "r", "tasks": {}}
    with store.open_run(tmp_path, MANIFEST) as run:
        run.write_scores(
            results=results,
            samples=[{"id": "AnEM/0", "output": "a\u2028b\ud800"}],
            stats={"AnEM|entity_f1": np.eye(3)},
        )
    finished = store.read_run(tmp_path)
    assert finished.results == results
    assert finished.manifest["model"]["fingerprint"] == "abc"
    assert [s["output"] for s in finished.samples()] == ["a\u2028b\ud800"]
    assert finished.stats()["AnEM|entity_f1"].tolist() == np.eye(3).tolist()


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        (store.RESULTS, "{", "not valid JSON"),
        (store.RESULTS, "[]", "no 'tasks'"),
        (store.MANIFEST, "{", "not valid JSON"),
    ],
)
def test_a_broken_file_is_named(tmp_path: Path, name: str, content: str, says: str):
    (tmp_path / store.RESULTS).write_text('{"tasks": {}}')
    (tmp_path / store.MANIFEST).write_text("{}")
    (tmp_path / name).write_text(content)
    with pytest.raises(StoreError, match=says) as caught:
        store.read_run(tmp_path)
    assert name in str(caught.value)


def test_a_folder_that_is_no_run_or_unfinished_says_so(tmp_path: Path):
    with pytest.raises(StoreError, match="no run folder"):
        store.read_run(tmp_path / "absent")
    with pytest.raises(StoreError, match="not a run folder"):
        store.read_run(tmp_path)
    (tmp_path / store.MANIFEST).write_text("{}")
    with pytest.raises(StoreError, match="unfinished"):
        store.read_run(tmp_path)
