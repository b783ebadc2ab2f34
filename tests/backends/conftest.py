"""A tiny Llama with its own tokenizer, made from a seed, that real engines can load."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from medinst_eval.types import Message, Prompt, Request

TEXT = """
Aspirin reduces fever. Metformin lowers glucose in patients with diabetes mellitus.
The tumour suppressor p53 binds DNA and regulates transcription of its target genes.
Mutations of BRCA1 raise the risk of breast cancer; screening with magnetic resonance helps.
List the diseases, genes and chemicals in the text. Answer yes, no or maybe. Options: A B C D.
Nephrotoxicity was observed after cisplatin; serum creatinine rose to 3.4 mg/dl on day 5.
"""

TEMPLATE = (
    "{{ bos_token }}{% for m in messages %}<|{{ m['role'] }}|>{{ m['content'] }}</s>"
    "{% endfor %}{% if add_generation_prompt %}<|assistant|>{% endif %}"
)

QUESTIONS = (
    "List the diseases in the text.",
    "Which genes raise the risk of breast cancer?",
    "Answer yes or no: does aspirin reduce fever?",
    "Serum creatinine rose to 3.4 mg/dl on day 5 after cisplatin. " * 6,
    "p53",
    "Translate: 糖尿病患者服用二甲双胍。",
    "Metformin lowers glucose in patients with diabetes mellitus. " * 12,
    "Options: A B C D",
)


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of a Llama with about 400,000 random float32 weights and a byte-level tokenizer."""
    import torch
    from transformers import GenerationConfig, LlamaConfig, LlamaForCausalLM

    folder = tmp_path_factory.mktemp("model") / "tiny-llama"
    tokenizer = _tokenizer()
    tokenizer.save_pretrained(folder)
    torch.manual_seed(3)
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=128,
        intermediate_size=256,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=1024,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
        tie_word_embeddings=False,
        initializer_range=0.25,
    )
    model = LlamaForCausalLM(config).to(torch.float32).eval()
    with torch.no_grad():  # often enough the most likely token, so that outputs end by themselves
        model.lm_head.weight[tokenizer.eos_token_id] *= 2.0
    model.generation_config = GenerationConfig(
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=[tokenizer.eos_token_id, tokenizer.convert_tokens_to_ids("<|end|>")],
        pad_token_id=tokenizer.pad_token_id,
    )
    model.save_pretrained(folder, safe_serialization=True)
    return folder


def _tokenizer() -> Any:
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    raw = Tokenizer(models.BPE())
    raw.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    raw.decoder = decoders.ByteLevel()
    special = ["<pad>", "<s>", "</s>", "<|end|>", "<|system|>", "<|user|>", "<|assistant|>"]
    trainer = trainers.BpeTrainer(
        vocab_size=500,
        special_tokens=special,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    raw.train_from_iterator(TEXT.splitlines(), trainer)
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=raw,
        bos_token="<s>",
        eos_token="</s>",
        pad_token="<pad>",
        additional_special_tokens=special[3:],
        model_max_length=1024,
    )
    tokenizer.chat_template = TEMPLATE
    return tokenizer


@pytest.fixture(scope="session")
def make_requests(tiny_model: Path) -> Any:
    """`make(questions, max_tokens=…, choices=…) -> list[Request]`, chat template applied."""
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(tiny_model)

    def make(
        questions: Sequence[str] = QUESTIONS,
        *,
        max_tokens: int | Sequence[int] = 24,
        choices: tuple[str, ...] = (),
    ) -> list[Request]:
        limits = [max_tokens] * len(questions) if isinstance(max_tokens, int) else max_tokens
        made = []
        for row, (question, limit) in enumerate(zip(questions, limits, strict=True)):
            chat = [{"role": "user", "content": question}]
            text = tokenizer.apply_chat_template(chat, tokenize=False, add_generation_prompt=True)
            ids = tokenizer(text, add_special_tokens=False)["input_ids"]
            prompt = Prompt(
                messages=(Message(role="user", content=question),),
                text=text,
                token_ids=tuple(ids),
                sha=hashlib.sha256(text.encode()).hexdigest(),
            )
            made.append(
                Request(id=f"T/{row}", task="T", prompt=prompt, max_tokens=limit, choices=choices)
            )
        return made

    return make
