"""A whole run beside lm-evaluation-harness: the same prompts, model, limits and engine settings.

    python benchmarks/whole_run.py --model MODEL --data FOLDER [--limit 70] [--shots 2]
        [--max-tokens 64] [--rounds 3] [--modes medinst,lm-eval] [--engine-arg KEY=VALUE ...]

`medinst` is the command `medinst-eval run --backend vllm`, scores with intervals included.
`lm-eval` is `lm_eval.simple_evaluate` with its vLLM model, `batch_size=auto`, on the same rendered
prompts as one local `generate_until` task per task, scored by exact match; it needs
`pip install lm-eval`. Every answer may have the same number of tokens: lm-evaluation-harness has
one limit per task. Printed: seconds from start to end of the process without importing vLLM and
starting its engine, medians and ratio; for `medinst` also what they are made of (`rest_s`: imports,
manifest, writing, ending the engine).
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

PARTS = ("data_s", "prompts_s", "generate_s", "score_s", "rest_s")


def main() -> None:
    """Run each mode in every round; print medians."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", required=True)
    parser.add_argument("--data", default="demo")
    parser.add_argument("--limit", type=int, default=70, help="rows of each task")
    parser.add_argument("--shots", type=int, default=2)
    parser.add_argument("--max-tokens", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--modes", type=lambda text: text.split(","), default=["medinst"])
    parser.add_argument("--engine-arg", action="append", default=[], metavar="KEY=VALUE")
    parser.add_argument("--worker", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.worker is not None:
        _lm_eval(options)
        return
    measured: dict[str, list[dict[str, float]]] = {mode: [] for mode in options.modes}
    with tempfile.TemporaryDirectory() as folder:
        if "lm-eval" in options.modes:
            write_tasks(options, Path(folder) / "tasks")
        for number in range(options.rounds):
            for mode in options.modes:
                if mode == "medinst":
                    result = _medinst(options, Path(folder) / f"results-{number}")
                else:
                    result = _child(options, Path(folder) / "tasks")
                measured[mode].append(result)
                print(f"round {number + 1} {mode:8} {result['total_s']:8.1f} s", flush=True)
    totals = {
        mode: statistics.median(one["total_s"] for one in rounds)
        for mode, rounds in measured.items()
    }
    for mode, total in totals.items():
        print(f"{mode:8} {total:8.1f} s without engine start, {measured[mode][0]['rows']:.0f} rows")
    if len(totals) == 2:
        print(f"lm-eval / medinst: {totals['lm-eval'] / totals['medinst']:.2f}")
    for part in (*PARTS, "load_s"):
        values = [one[part] for one in measured.get("medinst", []) if part in one]
        if values:
            print(f"  {part:12} {statistics.median(values):8.2f}")


def _command(options: argparse.Namespace) -> list[str]:
    return [
        "--model", options.model, "--data", options.data, "--shots", str(options.shots),
        "--limit", str(options.limit), "--max-tokens", str(options.max_tokens),
    ]  # fmt: skip


def _medinst(options: argparse.Namespace, output: Path) -> dict[str, float]:
    command = [sys.executable, "-m", "medinst_eval", "run", "--backend", "vllm", "--quiet"]
    command += [*_command(options), "--output", str(output), "--run-name", "run"]
    for pair in options.engine_arg:
        command += ["--engine-arg", pair]
    started = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, env=_environment())
    wall = time.perf_counter() - started
    results = json.loads((output / "run" / "results.json").read_text())
    timing: dict[str, float] = results["timing"]
    # prompts are built while the engine starts: the longer of the two passes on the wall
    known = sum(timing[name] for name in ("data_s", "generate_s", "score_s"))
    hidden = max(timing["load_s"], timing["prompts_s"])
    rest = wall - known - hidden
    total = known + timing["prompts_s"] + rest
    rows = sum(task["n"] for task in results["tasks"].values())
    return {**timing, "rest_s": rest, "total_s": total, "rows": rows}


def _child(options: argparse.Namespace, tasks: Path) -> dict[str, float]:
    command = [sys.executable, __file__, *_command(options), "--worker", str(tasks)]
    for pair in options.engine_arg:
        command += ["--engine-arg", pair]
    started = time.perf_counter()
    ran = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, env=_environment())
    wall = time.perf_counter() - started
    line = next(one for one in ran.stdout.splitlines() if one.startswith("RESULT "))
    result: dict[str, float] = json.loads(line.removeprefix("RESULT "))
    return {**result, "total_s": wall - result["load_s"]}


def _environment() -> Mapping[str, str]:
    return {"VLLM_CPU_KVCACHE_SPACE": "2", "VLLM_LOGGING_LEVEL": "ERROR"} | os.environ


def write_tasks(options: argparse.Namespace, folder: Path) -> None:
    """The prompts of the run as local tasks of lm-evaluation-harness, one file of rows each."""
    from medinst_eval import data, prompts, tasks
    from medinst_eval.backends import loading
    from medinst_eval.backends.base import BackendOptions

    folder.mkdir()
    model = BackendOptions(model=options.model)
    tokenizer = loading.load_tokenizer(model)
    window = loading.context_length(loading.load_config(model), tokenizer)
    room = None if window is None else window - options.max_tokens
    found = data.load(
        tasks.load_cards(), source=options.data, shots=options.shots, limit=options.limit
    )
    for task in found.tasks:
        built = prompts.build(
            task.samples,
            options=prompts.PromptOptions(shots=options.shots),
            tokenizer=tokenizer,
            max_prompt_tokens=[room] * len(task.samples),
        )
        name = task.card.name
        rows = folder / f"{name}.jsonl"
        rows.write_text(
            "".join(
                json.dumps({"prompt": prompt.text, "gold": sample.gold}) + "\n"
                for prompt, sample in zip(built, task.samples, strict=True)
            )
        )
        card = {
            "task": f"local-{name}",
            "dataset_path": "json",
            "dataset_kwargs": {"data_files": {"test": str(rows)}},
            "test_split": "test",
            "output_type": "generate_until",
            "doc_to_text": "{{prompt}}",
            "doc_to_target": "{{gold}}",
            "generation_kwargs": {
                "until": [], "do_sample": False, "max_gen_toks": options.max_tokens,
            },
            "metric_list": [{"metric": "exact_match"}],
        }  # fmt: skip
        (folder / f"{name}.yaml").write_text(yaml.safe_dump(card))


def _lm_eval(options: argparse.Namespace) -> None:
    """In a process of its own: load, evaluate, print the seconds."""
    started = time.perf_counter()
    import importlib.metadata

    import vllm

    try:
        importlib.metadata.version("vllm")
    except importlib.metadata.PackageNotFoundError:
        # the CPU build is a distribution of another name, which lm-eval does not find
        real, named = importlib.metadata.version, f"{vllm.__version__}+cpu"
        importlib.metadata.version = lambda name: named if name == "vllm" else real(name)
    import lm_eval
    from lm_eval.models.vllm_causallms import VLLM
    from lm_eval.tasks import TaskManager

    settings = dict(pair.split("=", 1) for pair in options.engine_arg)
    engine_args = {name: yaml.safe_load(value) for name, value in settings.items()}
    arguments = {"enforce_eager": True, "enable_prefix_caching": True, **engine_args}
    model = VLLM(options.model, batch_size="auto", add_bos_token=False, **arguments)
    load_s = time.perf_counter() - started
    manager = TaskManager(include_path=str(options.worker), include_defaults=False)
    names = sorted(f"local-{path.stem}" for path in options.worker.glob("*.yaml"))
    found: Any = lm_eval.simple_evaluate(model=model, tasks=names, task_manager=manager)
    rows = sum(counted["effective"] for counted in found["n-samples"].values())
    print("RESULT " + json.dumps({"load_s": load_s, "rows": rows}), flush=True)


if __name__ == "__main__":
    main()
