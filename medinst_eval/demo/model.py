"""The demonstration model: its architecture, tokenizer and chat template."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any

from medinst_eval.files import read_json, write_json

CONTEXT = 2048
"""Longest prompt and answer together, in tokens."""
VOCABULARY = 2560
ARCHITECTURE = {
    "hidden_size": 192,
    "intermediate_size": 416,
    "num_hidden_layers": 4,
    "num_attention_heads": 6,
    "num_key_value_heads": 2,
    "max_position_embeddings": CONTEXT,
    "rope_theta": 10000.0,
    "tie_word_embeddings": True,
}
PAD, BEGIN, END = "<|pad|>", "<|begin|>", "<|end|>"
ROLES = ("<|system|>", "<|user|>", "<|assistant|>")
CHAT_TEMPLATE = (
    "{{ bos_token }}{% for message in messages %}"
    "{{ '<|' + message['role'] + '|>' + message['content'] + '<|end|>' }}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|assistant|>' }}{% endif %}"
)
# A word keeps its inner signs (c-Fos, 677C>T, Gene/673) and takes the blank after it, so that a
# word copied from a text into a bracket is, in most places, the same token.
_SPLIT = (
    r"[\p{L}\p{N}]+(?:[-_/|>.'+][\p{L}\p{N}]+)* ?"
    r"|[^\p{L}\p{N}\s]+(?: [^\p{L}\p{N}\s]+)* ?|\s+"
)


def make_tokenizer(seed: int = 0, rows: int = 40_000) -> Any:
    """Train the byte-level BPE tokenizer on prompts and answers of the grammar.

    Args:
        seed: Seed of the text it is trained on.
        rows: Rows that it sees; enough for every word of the grammar to become one token.

    Returns:
        A `transformers.PreTrainedTokenizerFast` with the chat template.
    """
    from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(_SPLIT), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY,
        special_tokens=[PAD, BEGIN, END, *ROLES],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(_texts(seed, rows), trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token=PAD,
        bos_token=BEGIN,
        eos_token=END,
        chat_template=CHAT_TEMPLATE,
        model_max_length=CONTEXT,
        padding_side="left",
        clean_up_tokenization_spaces=False,
    )


def make_model(tokenizer: Any, seed: int = 0) -> Any:
    """A `transformers.LlamaForCausalLM` with weights drawn from a seed.

    Args:
        tokenizer: What `make_tokenizer` returns.
        seed: Seed of the weights; the generator of the caller is left as it was.
    """
    import torch
    from transformers import GenerationConfig, LlamaConfig, LlamaForCausalLM

    special = {
        "pad_token_id": tokenizer.pad_token_id,
        "bos_token_id": tokenizer.bos_token_id,
        "eos_token_id": tokenizer.eos_token_id,
    }
    config = LlamaConfig(vocab_size=VOCABULARY, **ARCHITECTURE, **special)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = LlamaForCausalLM(config)
    model.generation_config = GenerationConfig(do_sample=False, **special)
    return model


def save(model: Any, tokenizer: Any, folder: Path) -> None:
    """Write a checkpoint as bfloat16 safetensors with its tokenizer; the model stays as it is."""
    import torch

    copy.deepcopy(model).to(torch.bfloat16).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    # transformers 5 names a class that version 4 does not have; both know this one
    settings = read_json(folder / "tokenizer_config.json", "tokenizer settings")
    settings["tokenizer_class"] = "PreTrainedTokenizerFast"
    for name in ("backend", "is_local", "local_files_only"):
        settings.pop(name, None)
    write_json(folder / "tokenizer_config.json", settings)
    for path in folder.iterdir():  # safetensors writes for the owner alone
        path.chmod(0o644)


def _texts(seed: int, rows: int) -> Iterator[str]:
    """Prompts and answers; more of ParaMed, whose Chinese no other dataset shares."""
    from medinst_eval.demo.rows import SOURCES, row

    rng = Random(f"medinst-eval demo, tokenizer {seed}")
    names = [*SOURCES, *["ParaMed"] * 6]
    for number in range(rows):
        drawn = row(names[number % len(names)], rng)
        yield drawn.user
        yield drawn.output
