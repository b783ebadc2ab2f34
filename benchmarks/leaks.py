"""Time and memory of the leak check: 15,000 test rows against 1,000,000 training rows.

    python benchmarks/leaks.py [--test 15000] [--train 1000000]

Rows are random words of realistic number (test inputs 60 to 400, training inputs 40 to 300); one
training row in 10,000 holds a test input, and all of these must be found.
"""

from __future__ import annotations

import argparse
import json
import random
import resource
import tempfile
import time
from pathlib import Path

from medinst_eval.leaks.overlap import Options, build_index
from medinst_eval.leaks.training import scan

WORDS = [f"w{number:x}" for number in range(60_000)]


def sentence(rng: random.Random, low: int, high: int) -> str:
    """Random words."""
    return " ".join(rng.choices(WORDS, k=rng.randint(low, high)))


def main() -> None:
    """Print rows, seconds and memory."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--test", type=int, default=15_000)
    parser.add_argument("--train", type=int, default=1_000_000)
    arguments = parser.parse_args()
    rng = random.Random(0)
    inputs = [sentence(rng, 60, 400) for _ in range(arguments.test)]
    planted = 0
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "train.jsonl"
        with path.open("w", encoding="utf-8") as file:
            # Drawn from a pool, so that writing the file does not take longer than reading it.
            pool = [sentence(rng, 40, 300) for _ in range(20_000)]
            for number in range(arguments.train):
                text = pool[number % len(pool)]
                if number % 10_000 == 5_000:
                    text = f"{text} {rng.choice(inputs)}"
                    planted += 1
                file.write(json.dumps({"instruction": "x", "input": text, "output": "y"}) + "\n")
        size = path.stat().st_size / 1e9
        started = time.perf_counter()
        index = build_index(inputs, Options())
        built = time.perf_counter()
        rows, found = scan(index, [path])
        done = time.perf_counter()
    peak = sum(
        resource.getrusage(who).ru_maxrss
        for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    )
    print(f"{len(inputs):,} test rows indexed in {built - started:.1f} s")
    print(f"{rows:,} training rows ({size:.2f} GB) read in {done - built:.1f} s")
    print(f"{len(found):,} of {planted:,} planted rows found")
    print(f"largest memory {peak / 1024:,.0f} MiB (this process and its largest worker)")


if __name__ == "__main__":
    main()
