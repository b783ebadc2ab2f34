"""Whether every engine gives the same answer when answers are weighed by log-probability.

    python benchmarks/agreement.py --model MODEL --data FOLDER [--sample 34] [--shots 0]
        [--dtype float32] [--modes transformers,vllm,serve]

Asks the same random questions of MMLU-Medicine (--sample of each of the six subjects) through the
transformers backend, vLLM in process and a vLLM server on this machine. Printed for each engine:
accuracy; beside the first engine: share of questions with the same answer and the largest
difference of a log-probability.
"""

from __future__ import annotations

import argparse
import os
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from serving import served

import medinst_eval
from medinst_eval import store
from medinst_eval.types import Prediction

MODES = ("transformers", "vllm", "serve")


def main() -> None:
    """Run every engine and print how far they agree."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", required=True)
    parser.add_argument("--data", required=True, help="cais/mmlu, or a folder of its CSV files")
    parser.add_argument("--sample", type=int, default=34, help="questions of each subject")
    parser.add_argument("--shots", type=int, default=0)
    parser.add_argument("--dtype", default="float32")
    parser.add_argument("--modes", type=lambda text: text.split(","), default=list(MODES))
    options = parser.parse_args()
    os.environ.setdefault("VLLM_CPU_KVCACHE_SPACE", "2")
    with tempfile.TemporaryDirectory() as folder:
        found = {mode: ask(mode, options, Path(folder)) for mode in options.modes}
    first = next(iter(found.values())).predictions
    for mode, answers in found.items():
        pairs = [(one, first[key]) for key, one in answers.predictions.items()]
        same = sum(one.output == other.output for one, other in pairs)
        apart = max(
            abs(mine - theirs)
            for one, other in pairs
            for mine, theirs in zip(
                one.choice_logprobs or (), other.choice_logprobs or (), strict=True
            )
        )
        print(
            f"{mode:13} {len(pairs)} questions, {answers.right / len(pairs):6.1%} right, "
            f"{same / len(pairs):7.2%} the same answer, log-probabilities within {apart:.4f}"
        )


@dataclass(frozen=True, kw_only=True)
class Answers:
    """What one engine said."""

    predictions: Mapping[str, Prediction]
    right: float
    """Right answers."""


def ask(mode: str, options: argparse.Namespace, folder: Path) -> Answers:
    """Ask one engine."""
    if mode == "serve":
        with served(options.model, {"dtype": options.dtype}) as url:
            return _run("openai", "served", options, folder, {"base_urls": (url,)})
    return _run(mode, options.model, options, folder, {"dtype": options.dtype})


def _run(
    backend: str, model: str, options: argparse.Namespace, folder: Path, engine: dict[str, Any]
) -> Answers:
    outcome = medinst_eval.evaluate(
        model, backend=backend, suite="mmlu-medicine", data=options.data, sample=options.sample,
        shots=options.shots, layout="chat", output=folder, run_name=backend, backend_options=engine,
    )  # fmt: skip
    if outcome.errors:
        raise SystemExit(f"{backend}: {outcome.errors} questions failed")
    tasks = outcome.results["tasks"].values()
    return Answers(
        predictions=store.load_predictions(outcome.path / store.PREDICTIONS).predictions,
        right=sum(task["n"] * task["metrics"]["accuracy"]["value"] for task in tasks),
    )


if __name__ == "__main__":
    main()
