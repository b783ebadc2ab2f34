"""Engines that run out of memory or die in the middle of a run."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from breaking import Runs, ended, kill

from medinst_eval.config import RunConfig
from medinst_eval.demo import model_folder

pytestmark = [pytest.mark.slow, pytest.mark.timeout(2400)]


def config(data: Path, output: Path, name: str, **changes: Any) -> RunConfig:
    return RunConfig(
        model=str(model_folder()),
        backend="transformers",
        data=str(data),
        tasks="SciFact",
        limit=8,
        shots=1,
        max_tokens=8,
        offline=True,
        resamples=20,
        output=output,
        run_name=name,
        **changes,
    )


def test_memory_that_runs_out(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    from medinst_eval.backends import modelling
    from medinst_eval.runner import run

    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    undisturbed = run(config(data, tmp_path, "undisturbed")).results["tasks"]
    real = modelling.run_batch
    sizes: list[int] = []
    never = ""

    def tight(model: Any, tokenizer: Any, options: Any, batch: Sequence[Any]) -> Any:
        sizes.append(len(batch))
        if len(batch) > 2 or any(one.request.id == never for one in batch):
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 9 GiB")
        return real(model, tokenizer, options, batch)

    monkeypatch.setattr(modelling, "run_batch", tight)
    tasks = run(config(data, tmp_path, "tight")).results["tasks"]
    assert tasks == undisturbed
    assert max(sizes) > 2
    assert sizes.count(1) + sizes.count(2) >= 4

    never = "SciFact/3"
    outcome = run(config(data, tmp_path, "never"))
    assert outcome.errors == 1
    assert outcome.results["complete"] is False
    assert outcome.results["tasks"]["SciFact"]["n_scored"] == 7
    never = ""
    sizes.clear()
    outcome = run(config(data, tmp_path, "never", retry_errors=True))
    assert sizes == [1]
    assert outcome.results["tasks"] == undisturbed


@pytest.mark.vllm
def test_vllm_whose_engine_and_then_whose_parent_is_killed(runs: Runs) -> None:
    if find_spec("vllm") is None:
        pytest.skip("vLLM is not installed")
    options = ("--backend", "vllm", "--model", str(model_folder()), "--dtype", "float32")
    options += ("--max-tokens", "48", "--engine-arg", "enforce_eager=true")
    options += ("--engine-arg", "max_num_seqs=2", "--limit", "5")
    environment = {"VLLM_CPU_KVCACHE_SPACE": "1", "VLLM_NO_USAGE_STATS": "1"}
    rows = 20

    process = runs.start("run", *options, env=environment)
    assert runs.wait_for(process, "run", 3, seconds=600), ended(process).err
    engines = [pid for pid in descendants(process.pid) if "EngineCore" in title(pid)]
    assert engines
    os.kill(engines[0], signal.SIGKILL)
    stopped = ended(process)
    assert stopped.code == 1, stopped.err
    assert "same command" in stopped.err
    before = runs.ids("run")
    assert 3 <= len(before) < rows
    assert all(line["error"] is None for line in runs.lines("run"))
    assert not [pid for pid in engines if alive(pid)]

    process = runs.start("run", *options, env=environment)
    assert runs.wait_for(process, "run", len(before) + 3, seconds=600)
    engines = [pid for pid in descendants(process.pid) if "EngineCore" in title(pid)]
    kill(process)
    after = runs.ids("run")
    assert after[: len(before)] == before
    assert len(set(after)) == len(after) < rows
    wait_until_gone(engines)

    done = ended(runs.start("run", *options, env=environment), seconds=600)
    assert done.code == 0, done.err
    assert runs.ids("run")[: len(after)] == after
    assert len(runs.ids("run")) == len(set(runs.ids("run"))) == rows


def descendants(pid: int) -> list[int]:
    """All processes below a process."""
    found: list[int] = []
    for children in Path(f"/proc/{pid}/task").glob("*/children"):
        for child in children.read_text().split():
            found += [int(child), *descendants(int(child))]
    return found


def title(pid: int) -> str:
    """What a process calls itself."""
    return Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace")


def alive(pid: int) -> bool:
    """Whether a process still runs (a zombie does not)."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


def wait_until_gone(pids: Sequence[int], seconds: float = 15.0) -> None:
    """Engines end soon after the run that owns them was killed."""
    until = time.monotonic() + seconds
    while any(alive(pid) for pid in pids):
        assert time.monotonic() < until, "an engine outlives its run"
        time.sleep(0.2)
