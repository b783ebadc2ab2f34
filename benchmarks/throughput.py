"""How much of the engine's speed a run gets: the same prompts by several ways, in alternation.

    python benchmarks/throughput.py --data FOLDER [--model MODEL] [--requests 2000] [--rounds 3]
        [--shots 2] [--tasks NER,RE] [--modes llm,harness,shuffled,speculate,serve,transformers]

    llm           `vllm.LLM.generate` in one call: the limit
    harness       the vllm backend, requests ordered as a run orders them
    shuffled      the same, but in random order: what ordering by shared prefix is worth
    speculate     the same with prompt look-up speculation
    serve         `vllm serve` on this machine, asked by the openai backend
    transformers  the transformers backend, on every tenth request

Every request has the length of its gold answer as its limit and writes on to it, so that outputs
vary as real ones do and a model with random weights does the same work as a trained one. Without
--model a small Llama with random weights and a tokenizer trained on the prompts is made: the
smaller the model, the more a harness weighs. Each way runs in a process of its own; only
generating counts; every second round goes in reverse order. Ratios are to `llm`, by prompt, round
by round; those of processor seconds (this process and the engine's) hold on a machine that does
other work besides, those of wall time do not.
Whole runs, beside lm-evaluation-harness: benchmarks/whole_run.py.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

MODES = ("llm", "harness", "shuffled", "speculate", "serve", "transformers")
HERE = Path(__file__).parent


def main() -> None:
    """Prepare the requests, run every mode in every round, print medians and ratios."""
    options = _options()
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        model = options.model or str(make_model(options.data, options.shots, work / "model"))
        asked = prepare(model, options, work / "requests.jsonl")
        print(f"{asked['requests']} requests, {asked['prompt_tokens']} prompt tokens", flush=True)
        measured: dict[str, list[dict[str, Any]]] = {mode: [] for mode in options.modes}
        for number in range(options.rounds):
            # There and back, so that a machine that slows down slows every way alike.
            for mode in options.modes if number % 2 == 0 else reversed(options.modes):
                result = _measure(mode, model, work, options.engine_arg)
                measured[mode].append(result)
                rate = result["prompts"] / result["generate_s"]
                print(f"round {number + 1} {mode:13} {rate:8.1f} prompts/s", flush=True)
        for line in table(measured):
            print(line)
        if options.json:
            options.json.write_text(json.dumps({"asked": asked, "measured": measured}, indent=1))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", help="folder or Hub id; default: a small one, made here")
    parser.add_argument("--data", default="demo", help="as of a run")
    parser.add_argument("--tasks", help="as of a run; default: all")
    parser.add_argument("--requests", type=int, default=2000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--shots", type=int, default=2)
    parser.add_argument("--modes", type=lambda text: text.split(","), default=list(MODES))
    parser.add_argument("--engine-arg", action="append", default=[], metavar="KEY=VALUE")
    parser.add_argument("--json", type=Path, help="write all figures to this file")
    options = parser.parse_args()
    unknown = sorted(set(options.modes) - set(MODES))
    if unknown:
        parser.error(f"unknown modes {', '.join(unknown)}; known: {', '.join(MODES)}")
    return options


def make_model(source: str, shots: int, folder: Path) -> Path:
    """A Llama with random weights (about 3 million) and a tokenizer trained on the data's texts."""
    import torch
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    from medinst_eval import data, tasks

    special = ["<pad>", "<s>", "</s>", "<|system|>", "<|user|>", "<|assistant|>"]
    raw = Tokenizer(models.BPE())
    raw.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    raw.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=8192,
        special_tokens=special,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    found = data.load(tasks.load_cards(), source=source, shots=shots)
    texts = [s.input + s.gold for task in found.tasks for s in task.samples[:60]]
    raw.train_from_iterator(texts, trainer)
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=raw, bos_token="<s>", eos_token="</s>", pad_token="<pad>",
        additional_special_tokens=special[3:], model_max_length=8192,
    )  # fmt: skip
    tokenizer.chat_template = (
        "{{ bos_token }}{% for m in messages %}<|{{ m['role'] }}|>{{ m['content'] }}</s>"
        "{% endfor %}{% if add_generation_prompt %}<|assistant|>{% endif %}"
    )
    tokenizer.save_pretrained(folder)
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=len(tokenizer), hidden_size=128, intermediate_size=384, num_hidden_layers=4,
        num_attention_heads=4, num_key_value_heads=2, max_position_embeddings=8192,
        bos_token_id=1, eos_token_id=2, pad_token_id=0, initializer_range=0.2,
    )  # fmt: skip
    LlamaForCausalLM(config).to(torch.bfloat16).save_pretrained(folder)
    return folder


def prepare(model: str, options: argparse.Namespace, path: Path) -> dict[str, int]:
    """Write the requests in a run's order: rows of all tasks, golds' lengths as limits."""
    from medinst_eval import data, prompts, tasks
    from medinst_eval.backends import loading
    from medinst_eval.backends.base import BackendOptions

    tokenizer = loading.load_tokenizer(BackendOptions(model=model))
    room = loading.context_length(loading.load_config(BackendOptions(model=model)), tokenizer)
    cards = tasks.load_cards()
    if options.tasks:
        cards = tasks.select(cards, options.tasks)
    found = data.load(cards, source=options.data, shots=options.shots)
    each = -(-options.requests // len(found.tasks))
    samples = [sample for task in found.tasks for sample in task.samples[:each]]
    samples += [s for task in found.tasks for s in task.samples[each:]][
        : max(0, options.requests - len(samples))
    ]
    golds = tokenizer([sample.gold for sample in samples], add_special_tokens=False)["input_ids"]
    limits = [min(1024, max(1, len(ids) + 1)) for ids in golds]
    built = prompts.build(
        samples,
        options=prompts.PromptOptions(shots=options.shots),
        tokenizer=tokenizer,
        max_prompt_tokens=[None if room is None else room - limit for limit in limits],
    )
    order = {card.name: number for number, card in enumerate(cards)}
    rows = []
    for sample, prompt, limit in zip(samples, built, limits, strict=True):
        shots = "\0".join(message.content for message in prompt.messages[:-1])
        ids = prompt.token_ids or ()
        row = {
            "id": sample.id, "task": sample.task, "limit": limit, "ids": ids, "text": prompt.text,
            "messages": [[message.role, message.content] for message in prompt.messages],
        }  # fmt: skip
        rows.append(((order[sample.task], shots, len(ids)), row))
    rows.sort(key=lambda pair: pair[0])
    path.write_text("".join(json.dumps(row) + "\n" for _, row in rows))
    return {"requests": len(rows), "prompt_tokens": sum(len(row["ids"]) for _, row in rows)}


def _measure(mode: str, model: str, work: Path, engine_args: list[str]) -> dict[str, Any]:
    command = [sys.executable, str(HERE / "throughput_modes.py"), mode, model]
    command += [str(work / "requests.jsonl"), *engine_args]
    environment = {"VLLM_CPU_KVCACHE_SPACE": "2", "TOKENIZERS_PARALLELISM": "false"} | os.environ
    ran = subprocess.run(command, stdout=subprocess.PIPE, text=True, env=environment, check=False)
    lines = [line for line in ran.stdout.splitlines() if line.startswith("RESULT ")]
    if ran.returncode or not lines:
        raise SystemExit(f"{mode} failed (exit code {ran.returncode}); its words stand above")
    result: dict[str, Any] = json.loads(lines[-1].removeprefix("RESULT "))
    return result


def table(measured: dict[str, list[dict[str, Any]]]) -> list[str]:
    """One line per mode: medians over the rounds, and the median ratio to the limit by round."""
    lines = [
        f"{'':13} {'generate s':>10} {'ratio':>7} {'prompts/s':>10} {'tokens/s':>9} "
        f"{'cached':>7} {'start s':>8} {'cpu s':>8} {'ratio':>7} {'of it here':>10}"
    ]
    limit = measured.get("llm") or measured.get("harness") or []
    for mode, rounds in measured.items():
        cpu = [one["own_cpu_s"] + one["engine_cpu_s"] for one in rounds]
        cpu_ratios = [
            mine
            / one["prompts"]
            / ((other["own_cpu_s"] + other["engine_cpu_s"]) / other["prompts"])
            for mine, one, other in zip(cpu, rounds, limit, strict=False)
        ]
        cpu_ratio = f"{statistics.median(cpu_ratios):7.3f}" if cpu_ratios else f"{'':7}"
        per_prompt = [one["generate_s"] / one["prompts"] for one in rounds]
        ratios = [
            mine / (other["generate_s"] / other["prompts"])
            for mine, other in zip(per_prompt, limit, strict=False)
        ]
        ratio = f"{statistics.median(ratios):7.3f}" if ratios else f"{'':7}"
        tokens = statistics.median(one["output_tokens"] / one["generate_s"] for one in rounds)
        cached = rounds[0].get("cached_share")
        lines.append(
            f"{mode:13} {statistics.median(one['generate_s'] for one in rounds):10.2f} {ratio} "
            f"{1 / statistics.median(per_prompt):10.1f} {tokens:9.0f} "
            f"{'' if cached is None else f'{cached:.1%}':>7} "
            f"{statistics.median(one['start_s'] for one in rounds):8.1f} "
            f"{statistics.median(cpu):8.1f} {cpu_ratio} "
            f"{statistics.median(one['own_cpu_s'] for one in rounds):10.1f}"
        )
    return lines


if __name__ == "__main__":
    main()
