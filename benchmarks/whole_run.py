"""A whole run beside lm-evaluation-harness: the same prompts, model, limits and engine settings.

    python benchmarks/whole_run.py --model MODEL --data FOLDER [--limit 70] [--shots 2]
        [--max-tokens 64] [--rounds 3] [--modes medinst,lm-eval] [--engine-arg KEY=VALUE ...]

`medinst` is the command `medinst-eval run --backend vllm`, scores with intervals included.
`lm-eval` is `lm_eval.simple_evaluate` with its vLLM model, `batch_size=auto`, on the same rendered
prompts as one local `generate_until` task per task, scored by exact match; it needs
`pip install lm-eval`. Every answer may have the same number of tokens: lm-evaluation-harness has
one limit per task. Each run is a process of its own that imports vLLM before anything else; every
second round goes in reverse order. Printed are medians of

    wall      seconds from start to end of the process
    work      the same without importing vLLM and starting its engine
    harness   the same without the calls that generate, too

with the ratios of both sides, and of the parts of `medinst`: `rest` is its own imports, the
manifest, writing and ending. lm-evaluation-harness 0.4.13 hands all tasks' prompts to one call of
`LLM.generate`: with the same settings both engines do the same work.
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

MODES = ("medinst", "lm-eval")
PARTS = ("import_s", "data_s", "prompts_s", "load_s", "generate_s", "score_s", "rest_s")
_TOTALS = ("wall_s", "work_s", "harness_s")


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
    parser.add_argument("--worker", choices=MODES, help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if unknown := sorted(set(options.modes) - set(MODES)):
        parser.error(f"unknown modes {', '.join(unknown)}; known: {', '.join(MODES)}")
    if options.worker is not None:
        result = {"medinst": _medinst, "lm-eval": _lm_eval}[options.worker](options)
        print("RESULT " + json.dumps(result), flush=True)
        return
    measured: dict[str, list[dict[str, float]]] = {mode: [] for mode in options.modes}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if "lm-eval" in options.modes:
            write_tasks(options, folder / "tasks")
        for number in range(options.rounds):
            for mode in options.modes if number % 2 == 0 else reversed(options.modes):
                where = folder / (f"results-{number}" if mode == "medinst" else "tasks")
                result = _measure(mode, options, where)
                measured[mode].append(result)
                shown = "".join(f"  {part[:-2]} {result[part]:7.1f} s" for part in _TOTALS)
                print(f"round {number + 1} {mode:8}{shown}", flush=True)
    for line in table(measured):
        print(line)


def table(measured: dict[str, list[dict[str, float]]]) -> list[str]:
    """Medians of each mode, their ratio, and the parts of a run."""

    def median(mode: str, part: str) -> float:
        return statistics.median(one[part] for one in measured[mode])

    lines = [
        f"{mode:8} {rounds[0]['rows']:6.0f} rows"
        + "".join(f"  {part[:-2]} {median(mode, part):7.1f} s" for part in _TOTALS)
        for mode, rounds in measured.items()
    ]
    if len(measured) == len(MODES):
        ratios = (
            f"{part[:-2]} {median('lm-eval', part) / median('medinst', part):.2f}"
            for part in _TOTALS
        )
        lines.append(f"lm-eval / medinst: {', '.join(ratios)}")
    if "medinst" in measured:
        lines += [f"  {part:12} {median('medinst', part):8.2f}" for part in PARTS]
    return lines


def _command(options: argparse.Namespace) -> list[str]:
    return [
        "--model", options.model, "--data", options.data, "--shots", str(options.shots),
        "--limit", str(options.limit), "--max-tokens", str(options.max_tokens),
        *(word for pair in options.engine_arg for word in ("--engine-arg", pair)),
    ]  # fmt: skip


def _measure(mode: str, options: argparse.Namespace, folder: Path) -> dict[str, float]:
    command = [sys.executable, __file__, *_command(options), "--worker", mode]
    command += ["--folder", str(folder)]
    started = time.perf_counter()
    ran = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, env=_environment())
    wall = time.perf_counter() - started
    line = next(one for one in ran.stdout.splitlines() if one.startswith("RESULT "))
    result: dict[str, float] = json.loads(line.removeprefix("RESULT "))
    # Prompts are built while the engine starts: the longer of the two passes on the wall.
    prompts = result.get("prompts_s", 0.0)
    work = wall - result["import_s"] - max(result["load_s"], prompts) + prompts
    known = sum(result.get(part, 0.0) for part in ("data_s", "prompts_s", "generate_s", "score_s"))
    return {
        **result,
        "wall_s": wall,
        "work_s": work,
        "harness_s": work - result["generate_s"],
        "rest_s": work - known,
    }


def _import_vllm() -> float:
    started = time.perf_counter()
    import transformers  # noqa: F401
    import vllm.entrypoints.llm
    import vllm.v1.engine.async_llm  # noqa: F401

    return time.perf_counter() - started


def _medinst(options: argparse.Namespace) -> dict[str, float]:
    """In a process of its own: the whole command."""
    import_s = _import_vllm()
    from medinst_eval.__main__ import main

    words = ["run", "--backend", "vllm", "--quiet", *_command(options)]
    try:
        main([*words, "--output", str(options.folder), "--run-name", "run"])
    except SystemExit as ended:
        if ended.code:
            raise
    results = json.loads((options.folder / "run" / "results.json").read_text())
    rows = sum(task["n"] for task in results["tasks"].values())
    return {**results["timing"], "import_s": import_s, "rows": rows}


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


def _lm_eval(options: argparse.Namespace) -> dict[str, float]:
    """In a process of its own: load and evaluate."""
    import_s = _import_vllm()
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
    started = time.perf_counter()
    model = VLLM(options.model, batch_size="auto", add_bos_token=False, **arguments)
    load_s = time.perf_counter() - started
    generate, spent = model._model_generate, []

    def timed(*words: Any, **named: Any) -> Any:
        begun = time.perf_counter()
        outputs = generate(*words, **named)
        spent.append(time.perf_counter() - begun)
        return outputs

    model._model_generate = timed
    manager = TaskManager(include_path=str(options.folder), include_defaults=False)
    names = sorted(f"local-{path.stem}" for path in options.folder.glob("*.yaml"))
    found: Any = lm_eval.simple_evaluate(model=model, tasks=names, task_manager=manager)
    rows = sum(counted["effective"] for counted in found["n-samples"].values())
    return {"import_s": import_s, "load_s": load_s, "generate_s": sum(spent), "rows": rows}


if __name__ == "__main__":
    main()
