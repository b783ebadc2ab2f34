"""What the harness itself costs: a whole run of 15,000 rows with an engine that costs nothing.

    python benchmarks/overhead.py --data FOLDER [--rows 15000] [--tokenizer MODEL]

Rows of a local data folder are repeated up to the size of each task's test set; the gold baseline
answers. Printed are the seconds of every stage, and the largest memory of the process.
"""

from __future__ import annotations

import argparse
import json
import resource
import tempfile
import time
from pathlib import Path

import medinst_eval
from medinst_eval import prompts
from medinst_eval.data import load
from medinst_eval.tasks import load_cards


def repeat_rows(source: Path, target: Path, rows: int) -> int:
    """Write a data folder of about `rows` rows in the proportions of the real test sets."""
    cards = [c for c in load_cards() if (source / f"unseen_tests/{c.name}_test.json").is_file()]
    total = sum(card.rows or 0 for card in cards)
    written = 0
    (target / "unseen_tests").mkdir(parents=True)
    for card in cards:
        lines = (source / f"unseen_tests/{card.name}_test.json").read_text().splitlines()
        wanted = max(1, round((card.rows or 0) * rows / total))
        # Numbered, so that repeated rows are different inputs to every cache.
        repeated = []
        for number in range(wanted):
            row = json.loads(lines[number % len(lines)])
            if number >= len(lines) and card.form == "text":
                row["output"] += f" {number}"
            repeated.append(json.dumps(row, ensure_ascii=False))
        (target / f"unseen_tests/{card.name}_test.json").write_text("\n".join(repeated) + "\n")
        written += wanted
    return written


def main() -> None:
    """Print the stages of a whole run."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--rows", type=int, default=15_000)
    parser.add_argument("--tokenizer", help="model folder whose tokenizer builds the prompts too")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        rows = repeat_rows(arguments.data, folder / "data", arguments.rows)
        started = time.perf_counter()
        run = medinst_eval.evaluate(
            "gold", backend="baseline", data=str(folder / "data"), output=folder / "runs"
        )
        seconds = time.perf_counter() - started
        print(f"{rows:,} rows")
        for stage, value in run.results["timing"].items():
            if stage.endswith("_s"):
                print(f"  {stage.removesuffix('_s'):<10}{value:8.2f} s")
        stages = sum(v for k, v in run.results["timing"].items() if k.endswith("_s"))
        print(f"  {'write':<10}{seconds - stages:8.2f} s  (import, manifest, files)")
        print(f"  {'total':<10}{seconds:8.2f} s")
        if arguments.tokenizer:
            _tokenise(folder / "data", arguments.tokenizer)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"  largest memory {peak:,.0f} MiB")


def _tokenise(data: Path, model: str) -> None:
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(model)
    cards = load_cards()
    samples = [s for t in load(cards, source=str(data)).tasks for s in t.samples]
    started = time.perf_counter()
    built = prompts.build(
        samples,
        options=prompts.PromptOptions(),
        tokenizer=tokenizer,
        max_prompt_tokens=[None] * len(samples),
    )
    seconds = time.perf_counter() - started
    tokens = sum(len(prompt.token_ids or ()) for prompt in built)
    print(f"  prompts tokenised: {seconds:.2f} s, {tokens / seconds:,.0f} tokens/s")


if __name__ == "__main__":
    main()
