"""How fast prompts are built and tokenised, beside the bare tokenizer on the same texts.

    python benchmarks/prompt_speed.py --model MODEL --data FOLDER [--shots 2] [--layout chat]

Prints prompts per second of processor time on one core, prompts counted as 500 tokens each, and
the share of that time that the tokenizer takes.
"""

from __future__ import annotations

import argparse
import os
import time

# before a tokenizer is loaded: one core
os.environ |= {"TOKENIZERS_PARALLELISM": "false", "RAYON_NUM_THREADS": "1"}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", required=True, help="folder or Hub id with a tokenizer")
    parser.add_argument("--data", default="demo", help="as of a run")
    parser.add_argument("--shots", type=int, default=2)
    parser.add_argument("--layout", choices=["chat", "inline", "plain"])
    options = parser.parse_args()

    from transformers import AutoTokenizer

    from medinst_eval import data, prompts, tasks

    tokenizer = AutoTokenizer.from_pretrained(options.model)
    found = data.load(tasks.load_cards(), source=options.data, shots=options.shots)
    samples = [sample for task in found.tasks for sample in task.samples]
    how = prompts.PromptOptions(shots=options.shots, layout=options.layout)

    started = time.process_time()
    built = prompts.build(
        samples, options=how, tokenizer=tokenizer, max_prompt_tokens=[None] * len(samples)
    )
    whole = time.process_time() - started
    texts = [prompt.text for prompt in built]
    started = time.process_time()
    tokenizer(texts, add_special_tokens=False)
    bare = time.process_time() - started

    tokens = sum(len(prompt.token_ids or ()) for prompt in built)
    print(f"{len(built)} prompts, {tokens} tokens, {whole:.2f} s")
    print(f"{tokens / 500 / whole:.0f} prompts of 500 tokens per second and core")
    print(f"bare tokenizer: {bare:.2f} s, {bare / whole:.0%} of it")


if __name__ == "__main__":
    main()
