"""The part of the transformers backend that touches torch: loading, generating, scoring."""

from __future__ import annotations

import contextlib
import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import torch
import transformers
from safetensors import SafetensorError

from medinst_eval.backends import choices as choice
from medinst_eval.backends import loading
from medinst_eval.backends.base import BackendOptions, Sampling, Tokenizer
from medinst_eval.backends.batches import Work
from medinst_eval.errors import BackendError, InputError
from medinst_eval.types import Generation

DTYPE_ALIASES = {"half": "float16", "float": "float32"}


def load_model(options: BackendOptions, tokenizer: Tokenizer) -> Any:
    """Load weights onto the device, ready to generate greedily with the right end tokens."""
    device = str(options.engine_args.get("device", "cuda" if torch.cuda.is_available() else "cpu"))
    arguments: dict[str, Any] = {
        "revision": options.revision,
        "trust_remote_code": options.trust_remote_code,
        _dtype_name(): _dtype(options.dtype, device, options),
        "use_safetensors": None if options.allow_pickle else True,
    }
    for name in ("attn_implementation", "device_map"):
        if name in options.engine_args:
            arguments[name] = options.engine_args[name]
    try:
        with _no_progress_bars():
            model = transformers.AutoModelForCausalLM.from_pretrained(options.model, **arguments)
        if options.lora is not None:
            model = _with_adapter(model, options.lora)
        if "device_map" not in arguments:
            model = model.to(device)
    except (OSError, ValueError, RuntimeError, ImportError, KeyError, SafetensorError) as error:
        line = " ".join(str(error).split())[:300]
        raise BackendError(
            f"transformers could not load {options.model} onto {device}: {line}; check that it is "
            "a causal language model, that it fits the memory (--dtype bfloat16) and is complete"
        ) from error
    model.generation_config = generation_config(model, options, tokenizer)
    return model.eval()


def generation_config(model: Any, options: BackendOptions, tokenizer: Tokenizer) -> Any:
    """How a model generates here: greedily, with its own end tokens and none of its habits."""
    ends = loading.end_token_ids(model.generation_config, model.config, tokenizer)
    pad = getattr(tokenizer, "pad_token_id", None)
    if pad is None:
        pad = min(ends, default=0)
    # a fresh configuration: the model's own may hold penalties and temperatures
    return transformers.GenerationConfig(
        do_sample=False,
        eos_token_id=None if options.sampling.ignore_eos else sorted(ends) or None,
        pad_token_id=pad,
        use_cache=True,
    )


def _dtype_name() -> str:
    major, minor = (int(part) for part in transformers.__version__.split(".")[:2])
    return "dtype" if (major, minor) >= (4, 56) else "torch_dtype"


def _dtype(name: str, device: str, options: BackendOptions) -> Any:
    if name == "auto":
        if device != "cpu":
            return "auto"
        config = loading.load_config(options)
        stored = getattr(config, "dtype", None) or getattr(config, "torch_dtype", None)
        # half precision is slow or missing on CPUs
        return (
            torch.float32
            if str(stored).endswith("float16") and "b" not in str(stored)
            else ("auto")
        )
    found = getattr(torch, DTYPE_ALIASES.get(name, name), None)
    if not isinstance(found, torch.dtype):
        raise InputError(f"--dtype {name}: use auto, bfloat16, float16 or float32")
    return found


def _with_adapter(model: Any, path: str) -> Any:
    loading.lora_rank(path)
    try:
        from peft import PeftModel
    except ImportError as error:
        raise InputError(
            "--lora with backend transformers needs PEFT; `pip install peft`, or use --backend vllm"
        ) from error
    return PeftModel.from_pretrained(model, path)


@contextlib.contextmanager
def _no_progress_bars() -> Iterator[None]:
    shown = transformers.utils.logging.is_progress_bar_enabled()
    transformers.utils.logging.disable_progress_bar()
    try:
        yield
    finally:
        if shown:
            transformers.utils.logging.enable_progress_bar()


def run_batch(
    model: Any, tokenizer: Tokenizer, options: BackendOptions, batch: Sequence[Work]
) -> list[Generation]:
    """Answer one batch: texts, or scores of choices (`plan_work` never mixes them)."""
    with torch.inference_mode(), _deterministic(options.deterministic):
        if batch[0].continuations:
            return _score(model, batch)
        return _write(model, tokenizer, options.sampling, batch)


@contextlib.contextmanager
def _deterministic(wanted: bool) -> Iterator[None]:
    """Only algorithms that give the same result every time, where torch has them."""
    if not wanted:
        yield
        return
    before = torch.are_deterministic_algorithms_enabled()
    torch.use_deterministic_algorithms(True, warn_only=True)
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(before)


def _write(
    model: Any, tokenizer: Tokenizer, sampling: Sampling, batch: Sequence[Work]
) -> list[Generation]:
    ids, mask = _padded([work.ids for work in batch], model)
    width = ids.shape[1]
    limits = torch.tensor([work.limit for work in batch], device=ids.device)
    ends = model.generation_config.eos_token_id or ()

    def at_limit(tokens: Any, scores: Any, **_: Any) -> Any:
        del scores
        return tokens.shape[1] - width >= limits

    extra: dict[str, Any] = {}
    if sampling.temperature > 0:
        extra["logits_processor"] = [_sampler(sampling, batch)]
    out = model.generate(
        input_ids=ids,
        attention_mask=mask,
        max_new_tokens=max(work.limit for work in batch),
        stopping_criteria=[at_limit],
        **extra,
    )
    keep = loading.keeps_special_tokens(tokenizer)
    rows = out[:, width:].tolist()
    return [
        _generation(tokenizer, work, row, frozenset(ends), keep_special=keep)
        for work, row in zip(batch, rows, strict=True)
    ]


def _generation(
    tokenizer: Tokenizer, work: Work, row: list[int], ends: frozenset[int], *, keep_special: bool
) -> Generation:
    """One row of a batch: cut at its first end token or at its limit, padding dropped."""
    row = row[: work.limit]
    stop = next((place for place, token in enumerate(row) if token in ends), None)
    tokens = row if stop is None else row[: stop + 1]
    return Generation(
        id=work.request.id,
        output=loading.decode(tokenizer, tokens, ends, keep_special=keep_special),
        finish_reason="length" if stop is None else "stop",
        prompt_tokens=len(work.ids),
        output_tokens=len(tokens),
    )


def _sampler(sampling: Sampling, batch: Sequence[Work]) -> Callable[[Any, Any], Any]:
    """Temperature, top-p and Gumbel noise, after which the largest score is a fair draw.

    The noise of each row comes from the seed of its request, so that a sample draws the same
    whatever batch it is in.
    """
    generators = [
        torch.Generator().manual_seed(loading.request_seed(sampling.seed, work.request.id))
        for work in batch
    ]

    def draw(tokens: Any, scores: Any) -> Any:
        del tokens
        logits = scores.float() / sampling.temperature
        if sampling.top_p < 1:
            ordered, places = logits.sort(dim=-1, descending=True)
            before = ordered.softmax(dim=-1).cumsum(dim=-1) - ordered.softmax(dim=-1)
            cut = ordered.masked_fill(before >= sampling.top_p, -torch.inf)
            logits = torch.empty_like(logits).scatter_(-1, places, cut)
        uniform = torch.stack(
            [torch.rand(scores.shape[-1], generator=one, dtype=torch.float64) for one in generators]
        )
        gumbel = -torch.log(-torch.log(uniform.clamp_min(1e-300)))
        return logits + gumbel.to(device=logits.device, dtype=logits.dtype)

    return draw


def _score(model: Any, batch: Sequence[Work]) -> list[Generation]:
    """Log-probabilities of choices: one sequence per request and prefix of its choices."""
    asked = [choice.questions(work.continuations) for work in batch]
    sequences = [
        work.ids + prefix
        for work, questions in zip(batch, asked, strict=True)
        for prefix in questions
    ]
    rows = iter(_next_logprobs(model, sequences))
    generations = []
    for work, questions in zip(batch, asked, strict=True):
        found: dict[choice.Prefix, Mapping[int, float]] = {}
        for prefix, wanted in questions.items():
            row = next(rows)
            found[prefix] = {token: float(row[token]) for token in wanted}
        values = choice.scores(work.continuations, found)
        generations.append(
            Generation(
                id=work.request.id,
                output=choice.best(work.request.choices, values),
                prompt_tokens=len(work.ids),
                output_tokens=1,
                choice_logprobs=values,
            )
        )
    return generations


def _next_logprobs(model: Any, sequences: Sequence[Sequence[int]]) -> Any:
    ids, mask = _padded(sequences, model)
    positions = (mask.cumsum(dim=-1) - 1).clamp_min(0)
    known = inspect.signature(model.forward).parameters
    extra: dict[str, Any] = {"position_ids": positions} if "position_ids" in known else {}
    for name in ("logits_to_keep", "num_logits_to_keep"):
        if name in known:
            extra[name] = 1
            break
    logits = model(input_ids=ids, attention_mask=mask, use_cache=False, **extra).logits
    return torch.log_softmax(logits[:, -1].float(), dim=-1).cpu()


def _padded(sequences: Sequence[Sequence[int]], model: Any) -> tuple[Any, Any]:
    """Token ids and attention mask (sequences x longest), padded on the left."""
    width = max(map(len, sequences))
    pad = model.generation_config.pad_token_id
    ids = torch.tensor([[pad] * (width - len(one)) + list(one) for one in sequences])
    mask = torch.tensor([[0] * (width - len(one)) + [1] * len(one) for one in sequences])
    return ids.to(model.device), mask.to(model.device)


def bytes_per_token(model: Any) -> int:
    """Estimate of the memory that one token of a batch takes: cache, and one layer's work."""
    config = model.config.get_text_config()
    heads = config.num_attention_heads
    size = getattr(config, "head_dim", None) or config.hidden_size // heads
    kept = getattr(config, "num_key_value_heads", None) or heads
    cache = 2 * config.num_hidden_layers * kept * size
    inner = getattr(config, "intermediate_size", None) or 4 * config.hidden_size
    work = 12 * config.hidden_size + 4 * inner
    return int((cache + work) * model.dtype.itemsize)


def free_bytes(model: Any) -> int:
    """Free memory of the model's device, in bytes."""
    if model.device.type == "cuda":
        return int(torch.cuda.mem_get_info(model.device)[0])
    return loading.available_memory()
