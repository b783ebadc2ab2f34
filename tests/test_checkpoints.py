"""Which checkpoints of a training run are written to the end."""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from medinst_eval.checkpoints import lacks_tokenizer, missing_part, scan, whole_safetensors
from medinst_eval.demo import model_folder
from medinst_eval.errors import InputError


@pytest.fixture
def whole(tmp_path: Path) -> Path:
    return Path(shutil.copytree(model_folder("early"), tmp_path / "checkpoint-500"))


def shards(folder: Path, *, index: bool = True) -> None:
    (folder / "model.safetensors").unlink()
    names = [f"model-0000{n}-of-00002.safetensors" for n in (1, 2)]
    for n, name in enumerate(names):
        save_file({f"t{n}": np.ones(10, dtype=np.float32)}, folder / name)
    if index:
        weight_map = {f"t{n}": name for n, name in enumerate(names)}
        text = json.dumps({"metadata": {}, "weight_map": weight_map})
        (folder / "model.safetensors.index.json").write_text(text)


def cut(name: str, keep: float) -> Callable[[Path], None]:
    def damage(folder: Path) -> None:
        raw = (folder / name).read_bytes()
        (folder / name).write_bytes(raw[: int(len(raw) * keep)])

    return damage


def without_second_shard(folder: Path) -> None:
    shards(folder)
    (folder / "model-00002-of-00002.safetensors").unlink()


def with_cut_shard(folder: Path) -> None:
    shards(folder)
    cut("model-00002-of-00002.safetensors", 0.9)(folder)


def with_cut_index(folder: Path) -> None:
    shards(folder)
    cut("model.safetensors.index.json", 0.5)(folder)


def adapter_only(folder: Path) -> None:
    (folder / "config.json").rename(folder / "adapter_config.json")


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lambda f: (f / "config.json").unlink(), "no config.json"),
        (cut("config.json", 0.5), "config.json is half written"),
        (lambda f: (f / "model.safetensors").unlink(), "no .safetensors weights"),
        (cut("model.safetensors", 0.99), "model.safetensors is half written"),
        (cut("model.safetensors", 0.0001), "model.safetensors is half written"),
        (cut("model.safetensors", 0), "model.safetensors is half written"),
        (lambda f: shards(f, index=False), "no model.safetensors.index.json"),
        (with_cut_index, "model.safetensors.index.json is half written"),
        (without_second_shard, "no model-00002-of-00002.safetensors"),
        (with_cut_shard, "model-00002-of-00002.safetensors is half written"),
        (cut("tokenizer.json", 0.5), "tokenizer.json is half written"),
        (adapter_only, "LoRA"),
    ],
)
def test_incomplete_checkpoints(whole: Path, damage: Callable[[Path], None], said: str) -> None:
    damage(whole)
    assert said in (missing_part(whole) or "")


def test_complete_checkpoints(whole: Path) -> None:
    assert missing_part(whole) is None
    assert not lacks_tokenizer(whole)
    shards(whole)
    assert missing_part(whole) is None


def test_every_cut_of_a_weight_file_is_seen(tmp_path: Path) -> None:
    path = tmp_path / "w.safetensors"
    save_file({"a": np.ones(3, dtype=np.float32), "b": np.zeros((2, 2), dtype=np.int8)}, path)
    raw = path.read_bytes()
    assert whole_safetensors(path)
    for length in range(len(raw)):
        path.write_bytes(raw[:length])
        assert not whole_safetensors(path), length
    path.write_bytes(raw + b"\0")
    assert not whole_safetensors(path)


def test_by_step_and_only_checkpoints(tmp_path: Path, whole: Path) -> None:
    for step in (10_000, 2_000):
        shutil.copytree(whole, tmp_path / f"checkpoint-{step}")
    for name in ("checkpoint-final", "tmp-checkpoint-7", "runs"):
        (tmp_path / name).mkdir()
    (tmp_path / "checkpoint-9").write_text("a file")
    (tmp_path / "checkpoint-3000").mkdir()
    found = scan(tmp_path)
    assert [c.step for c in found] == [500, 2_000, 3_000, 10_000]
    assert [c.step for c in found if c.missing is None] == [500, 2_000, 10_000]


def test_young_folders_wait_for_the_trainers_last_file(whole: Path) -> None:
    now = time.time()
    os.utime(whole / "tokenizer.json", (now, now))
    (young,) = scan(whole.parent)
    assert young.missing
    assert young.settling
    (whole / "trainer_state.json").write_text("{}")
    (closed,) = scan(whole.parent)
    assert closed.missing is None


def test_a_clock_that_is_ahead_does_not_stop_the_watch(whole: Path) -> None:
    ahead = time.time() + 3600
    os.utime(whole / "tokenizer.json", (ahead, ahead))
    assert scan(whole.parent)[0].missing is None


def test_marks_change_with_the_weights(whole: Path) -> None:
    (before,) = scan(whole.parent)
    mark = before.mark
    (whole / "optimizer.pt").write_bytes(b"later")
    assert before.mark == mark
    cut("model.safetensors", 0.5)(whole)
    assert before.mark != mark
    shutil.rmtree(whole)
    assert before.mark == "gone"


def test_folders_that_are_none(tmp_path: Path) -> None:
    assert scan(tmp_path / "not-begun") == []
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="checkpoint-"):
        scan(tmp_path / "file")
