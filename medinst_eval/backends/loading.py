"""What engines that hold the weights share: finding, checking and reading a model's files."""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import json
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, cast

from medinst_eval.backends.base import BackendOptions, Tokenizer
from medinst_eval.errors import InputError

LENGTH_KEYS = (
    "max_position_embeddings",
    "n_positions",
    "max_seq_len",
    "seq_length",
    "max_target_positions",
    "max_sequence_length",
    "max_seq_length",
    "seq_len",
)
UNSCALED_ROPE = frozenset(
    {"default", "su", "longrope", "llama3", "yarn", "deepseek_yarn", "deepseek_llama_scaling"}
)
CHANNEL_MARKERS = ("<|channel|>", "<|channel>")
PICKLES = (".bin", ".pt", ".pth", ".ckpt", ".pkl")
UNKNOWN_LENGTH = 10**9
"""Tokenizers without a limit report a huge `model_max_length`."""


def load_tokenizer(options: BackendOptions) -> Tokenizer:
    """Load the tokenizer of a model given by Hub id or local path, without its weights.

    Raises:
        InputError: The model does not exist, is gated, needs its own code, or has no tokenizer.
    """
    from transformers import AutoTokenizer

    return cast(Tokenizer, _from_pretrained(AutoTokenizer.from_pretrained, options, "tokenizer"))


def load_config(options: BackendOptions) -> Any:
    """Load the model's `config.json` as a transformers configuration.

    Raises:
        InputError: As `load_tokenizer`.
    """
    from transformers import AutoConfig

    return _from_pretrained(AutoConfig.from_pretrained, options, "config")


def _from_pretrained(load: Callable[..., Any], options: BackendOptions, what: str) -> Any:
    where = _location(options)
    try:
        return load(
            options.model,
            revision=options.revision,
            trust_remote_code=options.trust_remote_code,
        )
    except (OSError, ValueError, KeyError, ImportError) as error:
        text = _first_line(error)
        if "trust_remote_code" in str(error):
            raise InputError(
                f"{where} needs code of its own to load its {what}; "
                "read that code, then pass --trust-remote-code"
            ) from error
        if "gated repo" in str(error) or "401 Client Error" in str(error):
            raise InputError(
                f"{where} is gated or private; accept its terms on the Hub and log in "
                "(`hf auth login`)"
            ) from error
        raise InputError(
            f"cannot load the {what} of {where}: {text}; "
            "give a local folder in Hugging Face layout or a Hub id, and its --revision"
        ) from error


def _location(options: BackendOptions) -> str:
    at = f" at revision {options.revision}" if options.revision else ""
    return f"model {options.model}{at}"


def _first_line(error: BaseException) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0].rstrip(".") if lines else type(error).__name__


def context_length(config: Any, tokenizer: Tokenizer | None) -> int | None:
    """Longest sequence in tokens that a model was made for; None where its files do not say.

    The rule is vLLM's, so that prompts are cut to what either engine takes: the smallest length
    key of the text configuration, no more than the tokenizer's `model_max_length`, times the RoPE
    scaling factor of the scaling types whose configured length is not scaled already; LongRoPE
    models count up to their original length.
    """
    text = config.get_text_config() if hasattr(config, "get_text_config") else config
    found = [n for key in LENGTH_KEYS if isinstance(n := getattr(text, key, None), int) and n > 0]
    length = min(found, default=None)
    own = getattr(text, "model_max_length", None)
    if isinstance(own, int):
        length = own
    limit = getattr(tokenizer, "model_max_length", None)
    if isinstance(limit, int) and 0 < limit < UNKNOWN_LENGTH:
        length = limit if length is None else min(length, limit)
    if length is None:
        return None
    if "gemma3" in str(getattr(config, "model_type", "")):
        return length
    factor = 1.0
    for rope in _ropes(text):
        kind = rope.get("rope_type", rope.get("type", "default"))
        if kind == "longrope":
            return int(getattr(text, "original_max_position_embeddings", length) or length)
        if kind not in UNSCALED_ROPE:
            factor = float(rope.get("factor") or 1.0)
    return int(length * factor)


def _ropes(config: Any) -> list[dict[str, Any]]:
    for name in ("rope_parameters", "rope_scaling"):
        rope = getattr(config, name, None)
        if isinstance(rope, dict) and rope:
            nested = [value for value in rope.values() if isinstance(value, dict)]
            return nested or [rope]
    return []


def check_weights(options: BackendOptions) -> None:
    """Refuse a model or LoRA adapter whose weights are only there as pickles.

    A pickle runs code of its author while it is read; safetensors files do not.

    Raises:
        InputError: No weights, or pickles only and `allow_pickle` is off.
    """
    _check_files(options.model, options.revision, "model", allow_pickle=options.allow_pickle)
    if options.lora is not None:
        _check_files(options.lora, None, "LoRA adapter", allow_pickle=options.allow_pickle)


def _check_files(name: str, revision: str | None, what: str, *, allow_pickle: bool) -> None:
    files = weight_files(name, revision)
    if files is None:  # the Hub cannot be asked; the engine itself is told to read safetensors only
        return
    if any(file.endswith((".safetensors", ".gguf")) for file in files):
        return
    pickles = sorted(
        file for file in files if file.endswith(PICKLES) and file != "training_args.bin"
    )
    if not pickles:
        raise InputError(
            f"no weights in {what} {name}: no .safetensors file; "
            "check the path or finish the download"
        )
    if not allow_pickle:
        raise InputError(
            f"{what} {name} has its weights only as pickles ({pickles[0]}), which run code when "
            "read; convert them to safetensors, or pass --allow-pickle if you trust their author"
        )


def weight_files(name: str, revision: str | None) -> list[str] | None:
    """File names of a local model folder, a cached snapshot or a Hub repository.

    None where the Hub cannot be reached and nothing is cached.
    """
    folder = Path(name).expanduser()
    if folder.is_file():
        return [folder.name]
    if folder.is_dir():
        return sorted(path.name for path in folder.iterdir() if path.is_file())
    import httpx
    from huggingface_hub import HfApi, snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, OfflineModeIsEnabled

    try:
        cached = Path(snapshot_download(name, revision=revision, local_files_only=True))
        files = sorted(path.name for path in cached.iterdir())
        if any(file.endswith((".safetensors", ".gguf", *PICKLES)) for file in files):
            return files
    except (OSError, HFValidationError):
        pass  # not cached: ask the Hub
    try:
        return sorted(HfApi().list_repo_files(name, revision=revision))
    except (OSError, HfHubHTTPError, HFValidationError, OfflineModeIsEnabled, httpx.HTTPError):
        return None


def keeps_special_tokens(tokenizer: Tokenizer | None) -> bool:
    """Whether outputs must keep special tokens: models that mark channels with them.

    Their reasoning and answer are told apart by markers such as `<|channel|>final<|message|>`,
    which decoding would otherwise drop.
    """
    vocabulary: Any = getattr(tokenizer, "get_vocab", dict)()
    return any(marker in vocabulary for marker in CHANNEL_MARKERS)


def end_token_ids(
    generation_config: Any, config: Any, tokenizer: Tokenizer | None
) -> frozenset[int]:
    """Tokens that end an output: of the generation config, or else the config; and of the
    tokenizer."""
    found: set[int] = set()
    sources = (
        getattr(generation_config, "eos_token_id", None)
        or getattr(config, "eos_token_id", None)
        or [],
        getattr(tokenizer, "eos_token_id", None),
    )
    for value in sources:
        if isinstance(value, int):
            found.add(value)
        elif isinstance(value, Iterable):
            found.update(int(one) for one in value)
    return frozenset(found)


def load_generation_config(options: BackendOptions) -> Any | None:
    """The model's `generation_config.json`, or None where it has none."""
    from transformers import GenerationConfig

    try:
        return GenerationConfig.from_pretrained(options.model, revision=options.revision)
    except (OSError, ValueError):
        return None


def decode(
    tokenizer: Tokenizer, token_ids: Sequence[int], ends: frozenset[int], *, keep_special: bool
) -> str:
    """Output tokens to text; a final end token is dropped, a character cut in half too."""
    ids = list(token_ids)
    if ids and ids[-1] in ends:
        ids.pop()
    if not ids:
        return ""
    text = tokenizer.decode(
        ids, skip_special_tokens=not keep_special, clean_up_tokenization_spaces=False
    )
    # a limit in the middle of a multi-byte character leaves replacement characters at the end
    return text.rstrip("\ufffd")


def request_seed(seed: int, request_id: str) -> int:
    """Seed of one request, 0 to 2**31-1: the same in every batch, order and resumed run."""
    digest = hashlib.sha256(f"{seed}\0{request_id}".encode()).digest()
    return int.from_bytes(digest[:4], "big") >> 1


def lora_rank(path: str) -> int | None:
    """Rank of a local LoRA adapter, None where it is on the Hub.

    Raises:
        InputError: A folder without a readable `adapter_config.json`.
    """
    folder = Path(path).expanduser()
    if not folder.is_dir():
        if path.startswith((".", "/", "~")):
            raise InputError(f"no LoRA adapter at {path}; give a folder or a Hub id to --lora")
        return None
    try:
        rank = json.loads((folder / "adapter_config.json").read_text(encoding="utf-8"))["r"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(
            f"LoRA adapter {path}: adapter_config.json is missing or names no rank `r`; "
            "give the folder that PEFT saved"
        ) from error
    return int(rank)


def available_memory() -> int:
    """Memory that can still be taken, in bytes: Linux's own estimate, else what is free."""
    with contextlib.suppress(OSError):
        for line in Path("/proc/meminfo").read_text(encoding="ascii").splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
    return int(os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))


def arguments_of(options: BackendOptions) -> dict[str, Any]:
    """The options that differ from their defaults, for the manifest (sampling stands apart)."""
    found: dict[str, Any] = {}
    for field in dataclasses.fields(options):
        value = getattr(options, field.name)
        if field.name in ("model", "revision", "sampling", "api_key_env"):
            continue
        if value != _default(field):
            found[field.name] = dict(value) if isinstance(value, Mapping) else value
    return found


def refuse(options: BackendOptions, backend: str, flags: dict[str, str]) -> None:
    """Refuse options that differ from their default and that a backend cannot honour.

    Args:
        options: What the user asked for.
        backend: Name shown in the error.
        flags: Field of `BackendOptions` to what to do instead.

    Raises:
        InputError: Naming the first such option.
    """
    for field in dataclasses.fields(options):
        if field.name in flags and getattr(options, field.name) != _default(field):
            flag = "--" + field.name.replace("_", "-")
            raise InputError(f"{flag} has no effect with backend {backend}; {flags[field.name]}")


def _default(field: dataclasses.Field[Any]) -> Any:
    if field.default_factory is not dataclasses.MISSING:
        return field.default_factory()
    return field.default
