"""Trains the demonstration model from scratch on rows of the grammar.

Run by hand: `python -m medinst_eval.demo.train --output FOLDER`. Every row is drawn fresh; rows
that share an input with the built-in test data are thrown away. The loss is taken over the answers
alone, those of the demonstrations included.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

from medinst_eval.demo import TASKS
from medinst_eval.demo.build import built_in_texts
from medinst_eval.demo.model import ROLES, make_model, make_tokenizer, save
from medinst_eval.demo.rows import SOURCES, Row, row
from medinst_eval.files import write_json


@dataclass(frozen=True, kw_only=True, slots=True)
class Recipe:
    """What fixes the checkpoints, besides the library versions and the machine's rounding."""

    seed: int = 1
    steps: int = 2000
    early_step: int = 500
    """Step of the early checkpoint."""
    tokens_per_step: int = 2048
    """Padded tokens of a batch."""
    learning_rate: float = 4e-3
    warmup: int = 60
    weight_decay: float = 0.05
    beta2: float = 0.98
    few_shot: float = 0.3
    """Share of conversations with two demonstrations, reached after `curriculum` of the steps."""
    curriculum: float = 0.3
    sibling: float = 0.1
    """Share of rows from the datasets that occur in demonstrations only."""


def rate(recipe: Recipe, step: int) -> float:
    """Learning rate at a step: linear warm-up, then a straight line down to zero."""
    if step < recipe.warmup:
        return recipe.learning_rate * (step + 1) / recipe.warmup
    return recipe.learning_rate * (recipe.steps - step) / (recipe.steps - recipe.warmup)


def training_row(name: str, rng: Random) -> Row:
    """Draw a row that is none of the built-in test rows and none of their demonstrations."""
    while True:
        drawn = row(name, rng)
        if drawn.input not in built_in_texts():
            return drawn


def conversation(recipe: Recipe, rng: Random, few_shot: float) -> list[Row]:
    """Rows of one conversation: a single one, or two demonstrations and the row asked."""
    siblings = [name for name in SOURCES if name not in TASKS]
    name = rng.choice(siblings if rng.random() < recipe.sibling else TASKS)
    shots = 2 if rng.random() < few_shot else 0
    names = [rng.choice(SOURCES[name].shots_from) for _ in range(shots)]
    return [training_row(other, rng) for other in (*names, name)]


def encode(rows: list[Row], tokenizer: Any) -> tuple[list[int], list[int]]:
    """Token ids in the chat layout, and labels: -100 everywhere but in the answers."""
    user, assistant = (tokenizer.convert_tokens_to_ids(role) for role in ROLES[1:])
    end = tokenizer.eos_token_id
    ids, labels = [tokenizer.bos_token_id], [-100]
    for item in rows:
        asked = [user, *tokenizer.encode(item.user, add_special_tokens=False), end, assistant]
        answer = [*tokenizer.encode(item.output, add_special_tokens=False), end]
        ids += asked + answer
        labels += [-100] * len(asked) + answer
    return ids, labels


def batches(recipe: Recipe, tokenizer: Any) -> Iterator[list[tuple[list[int], list[int]]]]:
    """Batches of similar lengths, each padded to at most `tokens_per_step`; never ends."""
    rng = Random(f"medinst-eval demo, training {recipe.seed}")
    drawn = 0
    while True:
        share = recipe.few_shot * min(1.0, drawn / max(recipe.curriculum * recipe.steps, 1))
        pool: list[tuple[list[int], list[int]]] = []
        while sum(len(ids) for ids, _ in pool) < 16 * recipe.tokens_per_step:
            pool.append(encode(conversation(recipe, rng, share), tokenizer))
        pool.sort(key=lambda pair: len(pair[0]))
        made: list[list[tuple[list[int], list[int]]]] = [[]]
        for pair in pool:
            if len(pair[0]) * (len(made[-1]) + 1) > recipe.tokens_per_step and made[-1]:
                made.append([])
            made[-1].append(pair)
        rng.shuffle(made)
        drawn += len(made)
        yield from made


def train(recipe: Recipe, output: Path, stop: int | None = None) -> None:
    """Train, write `early/`, `final/` and `training.json` (recipe, losses, data digest).

    Args:
        recipe: Settings; the defaults made the shipped checkpoints.
        output: Folder for the checkpoints.
        stop: Stop after this many steps (for a quick look); None trains to the end.
    """
    import torch
    from torch.nn import functional

    from medinst_eval.demo.muon import Muon

    tokenizer = make_tokenizer(recipe.seed)
    model = make_model(tokenizer, recipe.seed)
    matrices = [p for n, p in model.named_parameters() if p.dim() == 2 and "embed" not in n]
    others = [p for p in model.parameters() if all(p is not q for q in matrices)]
    optimisers = [
        Muon(matrices, decay=recipe.weight_decay),
        torch.optim.AdamW(others, betas=(0.9, recipe.beta2), weight_decay=0.0),
    ]
    digest = hashlib.sha256()
    record: list[dict[str, float]] = []
    started, rows, tokens, mean = time.monotonic(), 0, 0, 0.0
    stop = stop or recipe.steps
    for step, batch in enumerate(batches(recipe, tokenizer)):
        for group in (group for optimiser in optimisers for group in optimiser.param_groups):
            group["lr"] = rate(recipe, step)
        width = max(len(ids) for ids, _ in batch)
        ids = torch.full((len(batch), width), tokenizer.pad_token_id)
        labels = torch.full((len(batch), width), -100)
        for at, (line, gold) in enumerate(batch):
            ids[at, : len(line)] = torch.tensor(line)
            labels[at, : len(gold)] = torch.tensor(gold)
            digest.update(repr(line).encode())
        hidden = model.model(input_ids=ids, use_cache=False).last_hidden_state[:, :-1]
        asked = labels[:, 1:] != -100
        loss = functional.cross_entropy(model.lm_head(hidden[asked]), labels[:, 1:][asked])
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        for optimiser in optimisers:
            optimiser.step()
            optimiser.zero_grad(set_to_none=True)
        rows += sum(line.count(tokenizer.eos_token_id) // 2 for line, _ in batch)
        tokens += sum(len(line) for line, _ in batch)
        mean += loss.item() / 50
        done = step + 1
        if done % 50 == 0:
            record.append({"step": done, "loss": round(mean, 4), "rows": rows, "tokens": tokens})
            mean = 0.0
            seconds = time.monotonic() - started
            print(json.dumps({**record[-1], "wall_seconds": round(seconds)}), flush=True)
        if done == recipe.early_step or done == stop or done % 500 == 0:
            name = {recipe.early_step: "early", recipe.steps: "final"}.get(done, "latest")
            save(model, tokenizer, output / name)
            _note(output / name, recipe, record, digest, time.monotonic() - started)
        if done == stop:
            return


def _note(
    folder: Path, recipe: Recipe, record: list[dict[str, float]], digest: Any, seconds: float
) -> None:
    """Write `training.json` beside a checkpoint."""
    import platform

    import torch
    import transformers

    write_json(
        folder / "training.json",
        {
            "recipe": {name: getattr(recipe, name) for name in Recipe.__slots__},
            "data_sha256": digest.hexdigest(),
            "wall_seconds": round(seconds),
            "python": platform.python_version(),
            "torch": torch.__version__,
            "transformers": transformers.__version__,
            "curve": record,
        },
    )


def main() -> None:
    """Command line of the training script."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--output", type=Path, required=True, help="folder for the checkpoints")
    parser.add_argument("--stop", type=int, help="stop after this many steps")
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    import torch

    torch.set_num_threads(options.threads)
    train(Recipe(), options.output, options.stop)


if __name__ == "__main__":
    main()
