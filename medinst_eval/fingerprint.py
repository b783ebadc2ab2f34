"""What a model is, by content: so that another model's answers never come back as this one's."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from medinst_eval.errors import InputError
from medinst_eval.files import write_json

_WEIGHTS = (".safetensors", ".bin", ".pt", ".gguf")
_SETTINGS = (
    "config.json", "generation_config.json", "tokenizer.json", "tokenizer_config.json",
    "tokenizer.model", "special_tokens_map.json", "chat_template.jinja", "chat_template.json",
    "vocab.json", "merges.txt", "added_tokens.json", "adapter_config.json",
)  # fmt: skip
_CHUNK = 1 << 22


@dataclass(frozen=True, kw_only=True)
class ModelIdentity:
    """A model as the manifest records it."""

    name: str
    revision: str | None
    fingerprint: str


def cache_folder() -> Path:
    """This package's folder in the user's cache (`MEDINST_EVAL_CACHE`, else `XDG_CACHE_HOME`)."""
    if own := os.environ.get("MEDINST_EVAL_CACHE"):
        return Path(own)
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "medinst-eval"


def identify(model: str, revision: str | None, *, offline: bool = False) -> ModelIdentity:
    """Identity of a local folder (by the content of its files) or a Hub id (by its commit).

    Raises:
        InputError: Neither a folder nor something that the Hub or its cache knows.
    """
    folder = Path(model).expanduser()
    if folder.is_dir():
        if not (folder / "config.json").is_file():
            raise InputError(
                f"{model} is a folder without config.json, so not a model; "
                "give the folder that save_pretrained wrote"
            )
        return ModelIdentity(name=model, revision=None, fingerprint=folder_fingerprint(folder))
    if model.startswith(("/", "./", "../", "~")) or model.count("/") > 1:
        raise InputError(f"no model folder at {model}; check --model")
    commit = _hub_commit(model, revision, offline=offline)
    digest = hashlib.sha256(f"{model}@{commit}".encode()).hexdigest()
    return ModelIdentity(name=model, revision=commit, fingerprint=digest)


def _hub_commit(model: str, revision: str | None, *, offline: bool) -> str:
    import huggingface_hub
    from huggingface_hub.errors import (
        HfHubHTTPError,
        HFValidationError,
        LocalEntryNotFoundError,
        OfflineModeIsEnabled,
        RepositoryNotFoundError,
    )

    try:
        if not offline:
            info = huggingface_hub.HfApi().model_info(model, revision=revision)
            if info.sha:
                return str(info.sha)
    except HFValidationError as error:
        raise InputError(f"'{model}' is neither a folder nor a Hub id; check --model") from error
    except RepositoryNotFoundError as error:
        raise InputError(
            f"no model folder and no Hub model '{model}' (or it is private: log in with "
            "`hf auth login`); check --model"
        ) from error
    except (HfHubHTTPError, OfflineModeIsEnabled, OSError):
        pass  # The cache may still have it.
    try:
        path = huggingface_hub.hf_hub_download(
            model, "config.json", revision=revision, local_files_only=True
        )
    except (LocalEntryNotFoundError, HFValidationError, OSError) as error:
        raise InputError(
            f"model '{model}' is neither a local folder nor in the Hub's cache, and the Hub cannot "
            "be reached; give a folder, or run once with network"
        ) from error
    return Path(path).parent.name


def folder_fingerprint(folder: Path) -> str:
    """SHA-256 over names and content hashes of settings and weight files in a folder.

    Hashes of weight files are remembered by path, size and modification time, so that a second
    run of the same folder costs nothing.
    """
    store = cache_folder() / "fingerprints.json"
    known = _remembered(store)
    lines, learned = [], False
    for path in _model_files(folder):
        stat = path.stat()
        mark = f"{path.resolve()}|{stat.st_size}|{stat.st_mtime_ns}"
        if mark not in known:
            known[mark] = _hash_file(path)
            learned = learned or stat.st_size > _CHUNK
        lines.append(f"{path.relative_to(folder).as_posix()} {known[mark]}")
    if learned and os.access(store.parent if store.parent.exists() else Path.home(), os.W_OK):
        write_json(store, known)
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def _model_files(folder: Path) -> Iterator[Path]:
    for path in sorted(folder.iterdir()):
        if path.is_file() and (path.name in _SETTINGS or path.suffix in _WEIGHTS):
            yield path


def _remembered(store: Path) -> dict[str, str]:
    try:
        known = json.loads(store.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}  # A cache: whatever is wrong with it, the hashes can be made again.
    return known if isinstance(known, dict) else {}


def _hash_file(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(_CHUNK):
            digest.update(block)
    return digest.hexdigest()
