"""The encoder behind BERTScore: finding it without waiting, naming it exactly, loading it."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from socket import gaierror
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.request import urlopen

from medinst_eval.metrics.base import MetricUnavailable

DEFAULT_ENCODER = "roberta-large"
"""bert-score's encoder for English."""

INSTALL = "pip install 'medinst-eval[bertscore]'"
_PROBE_SECONDS = 10.0
_NO_LIMIT = 10**6
_CPU_TOKENS, _GPU_TOKENS = 512, 65536
"""Tokens worth encoding at once: on a CPU, per thread, what its cache holds; measured with
benchmarks/scoring.py, 2,048 take a quarter longer than 512."""
_SHIFTED = {"camembert", "longformer", "mpnet", "roberta", "xlm-roberta", "xlm-roberta-xl"}
"""Model types whose positions start behind the padding token's id."""


@dataclass(frozen=True, kw_only=True)
class Encoder:
    """A loaded encoder with its first layers, ready to embed."""

    model: Any
    tokenizer: Any
    device: str
    layers: int
    limit: int
    """Tokens of one text it can take, special tokens included."""


def default_layers(name: str) -> int:
    """The layer bert-score found best for an encoder, known by id or by its folder's name.

    Raises:
        MetricUnavailable: bert-score is not installed, or does not know the encoder.
    """
    try:
        from bert_score.utils import model2layers
    except ImportError as error:
        raise MetricUnavailable(f"bert-score cannot be imported ({error}); {INSTALL}") from error
    layers = model2layers.get(name) or model2layers.get(Path(name).name)
    if layers is None:
        raise MetricUnavailable(
            f"no best layer is known for the encoder {name}; give it with --bertscore-layers"
        )
    return int(layers)


def _snapshot(name: str) -> Path | None:
    """Folder of the newest cached snapshot of a Hub model, if there is any."""
    from huggingface_hub import try_to_load_from_cache
    from huggingface_hub.errors import HFValidationError

    try:
        cached = try_to_load_from_cache(name, "config.json")
    except HFValidationError:
        return None
    return Path(cached).parent if isinstance(cached, str) else None


def _unreachable() -> str | None:
    """Why the Hub cannot be asked, or None; the Hub's own client retries for a minute."""
    from huggingface_hub import constants

    if constants.HF_HUB_OFFLINE:
        return "HF_HUB_OFFLINE is set"
    try:
        with urlopen(constants.ENDPOINT, timeout=_PROBE_SECONDS):
            return None
    except HTTPError:
        return None
    except (URLError, OSError) as error:
        reason = getattr(error, "reason", error)
        # Any other trouble (a certificate, a proxy's refusal) may be this probe's alone.
        silent = isinstance(reason, ConnectionError | TimeoutError | gaierror)
        return f"{constants.ENDPOINT} is out of reach" if silent else None


def resolve(name: str) -> str:
    """What to load: a folder, a cached snapshot where the Hub cannot be asked, or a Hub id.

    Raises:
        MetricUnavailable: Neither a folder, nor cached, and the Hub cannot be asked.
    """
    if Path(name).is_dir():
        return name
    reason = _unreachable()
    if reason is None:
        return name
    snapshot = _snapshot(name)
    if snapshot is None:
        raise MetricUnavailable(
            f"the encoder {name} is not in the cache and {reason}; go online, or name a folder "
            "with --bertscore-model, then score the run again"
        )
    return str(snapshot)


def identity(name: str) -> str:
    """Name and exact version: `ID@COMMIT` for the Hub, `FOLDER#sha256:…` over its weights."""
    folder = Path(name)
    if folder.is_dir():
        return f"{folder.resolve().name}#sha256:{_weights_sha(folder.resolve())}"
    snapshot = _snapshot(name)
    return f"{name}@{snapshot.name[:12] if snapshot else 'unresolved'}"


@cache
def _weights_sha(folder: Path) -> str:
    digest = hashlib.sha256()
    for path in sorted(folder.iterdir()):
        if path.name == "config.json" or path.suffix in (".safetensors", ".bin"):
            digest.update(path.name.encode())
            with path.open("rb") as weights:
                while block := weights.read(1 << 20):
                    digest.update(block)
    return digest.hexdigest()[:12]


@contextmanager
def _quiet() -> Iterator[None]:
    """Loading shows no bars and no warnings of unused heads."""
    from transformers.utils import logging

    level, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(level)
        if bars:
            logging.enable_progress_bar()


def load(name: str, layers: int, device: str | None = None) -> Encoder:
    """Load an encoder cut to its first layers, on the GPU where there is one.

    Raises:
        MetricUnavailable: It cannot be had or loaded; the text says why and what to do.
    """
    try:
        import torch
        from bert_score.utils import get_model, get_tokenizer
        from safetensors import SafetensorError
        from transformers import AutoConfig
    except ImportError as error:
        raise MetricUnavailable(f"bert-score cannot be imported ({error}); {INSTALL}") from error
    source = resolve(name)
    device = device or ("cuda" if torch.cuda.is_available() else "cpu")
    try:
        with _quiet():
            config = AutoConfig.from_pretrained(source)
            if not 0 < layers <= config.num_hidden_layers:
                raise MetricUnavailable(
                    f"the encoder {name} has {config.num_hidden_layers} layers, not {layers}; "
                    "correct --bertscore-layers"
                )
            tokenizer = get_tokenizer(source)
            model = get_model(source, layers).to(device)
    except (OSError, ValueError, RuntimeError, ImportError, SafetensorError) as error:
        line = " ".join(str(error).split())[:200]
        raise MetricUnavailable(
            f"the encoder {name} cannot be loaded ({line}); check --bertscore-model, then score "
            "the run again"
        ) from error
    limit = _limit(tokenizer, config)
    # bert-score cuts texts at this number; some tokenizers leave it open and the model then fails.
    tokenizer.model_max_length = limit
    return Encoder(model=model, tokenizer=tokenizer, device=device, layers=layers, limit=limit)


def _limit(tokenizer: Any, config: Any) -> int:
    if tokenizer.model_max_length < _NO_LIMIT:
        return int(tokenizer.model_max_length)
    places = getattr(config, "max_position_embeddings", None) or 512
    return int(places) - (tokenizer.pad_token_id + 1 if config.model_type in _SHIFTED else 0)


def batch_size(encoder: Encoder, longest: int) -> int:
    """Texts of a length (in tokens) to encode at once: within a third of the free memory.

    A CPU gains nothing from more tokens than its cache holds, and padding costs it most.
    """
    import torch

    config = encoder.model.config
    width, heads = config.hidden_size, config.num_attention_heads
    # Per text and layer in 4-byte floats: attention scores twice, and about a dozen states.
    bytes_per_text = 4 * (2 * heads * longest * longest + 14 * width * longest)
    on_gpu = encoder.device.startswith("cuda")
    tokens = _GPU_TOKENS if on_gpu else _CPU_TOKENS * torch.get_num_threads()
    fitting = min(_free_bytes(encoder.device) // 3 // bytes_per_text, tokens // longest)
    return max(1, int(fitting))


def _free_bytes(device: str) -> int:
    if device.startswith("cuda"):
        import torch

        return int(torch.cuda.mem_get_info(device)[0])
    try:
        return int(os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))
    except (ValueError, OSError):
        return 2 << 30
