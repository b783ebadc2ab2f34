"""`manifest.json`: what was asked and with what, and never a key or the environment."""

from __future__ import annotations

import datetime
import platform
import subprocess
from collections.abc import Mapping
from dataclasses import fields
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from medinst_eval import prompts
from medinst_eval.backends import BUILT_IN
from medinst_eval.backends.base import Backend
from medinst_eval.config import RunConfig, run_name
from medinst_eval.data import Dataset
from medinst_eval.errors import InputError
from medinst_eval.fingerprint import ModelIdentity, folder_fingerprint, identify
from medinst_eval.scoring import ScoringOptions
from medinst_eval.store import SCHEMA_VERSION, Manifest
from medinst_eval.suites import MMLU_MEDICINE

# Backends whose model is a name to somebody else, not files that could be read here.
_NAMED_MODELS = ("baseline", "openai")


def now() -> str:
    """The time as ISO 8601 in UTC, to the second."""
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")


def package_version() -> str:
    """Version of this package."""
    try:
        return version("medinst-eval")
    except PackageNotFoundError:
        return "0+unknown"


def build_manifest(config: RunConfig, name: str, backend: Backend, dataset: Dataset) -> Manifest:
    """The manifest of a run that is about to start."""
    layout = prompts.resolve_layout(config.prompts(), backend.tokenizer)
    return {
        "schema_version": SCHEMA_VERSION,
        "run": run_name(config),
        "suite": config.suite,
        "model": _model(config, name),
        "backend": backend_record(name, backend),
        "sampling": {
            "temperature": config.temperature,
            "top_p": config.top_p,
            "seed": config.seed,
            "max_tokens": config.max_tokens,
            # What a server is told besides: it may hold anything that changes outputs.
            "extra_body": config.engine().engine_args.get("extra_body"),
        },
        "prompt": {
            "shots": config.shots,
            "layout": layout,
            "system_prompt": config.system_prompt,
            "system_role": prompts.system_role(config.prompts(), backend.tokenizer),
            "template_args": dict(config.template_args),
            "overlong": config.overlong,
            "choice_scoring": config.choice_scoring if config.suite == MMLU_MEDICINE else None,
            "max_model_len": backend.max_model_len,
        },
        "data": _data(config, dataset),
        "scoring": scoring_record(config.scoring()),
        "settings": settings_record(config),
        "cards": [card.model_dump(mode="json") for card in _own_cards(dataset)],
        "package": {"version": package_version(), "git_commit": _git_commit()},
        "platform": {
            "python": platform.python_version(),
            "system": platform.platform(),
            "machine": platform.machine(),
        },
        "started": now(),
        "ended": None,
    }


def backend_record(name: str, backend: Backend) -> dict[str, Any]:
    """Version and arguments of a backend and, once it is started, what the engine made of them."""
    described = backend.describe()
    record = {
        "name": name,
        "version": described.get("version"),
        "arguments": described.get("arguments", {}),
    }
    return record | ({"engine": described["engine"]} if described.get("engine") else {})


def scoring_record(options: ScoringOptions) -> dict[str, Any]:
    """Options of scoring as the manifest keeps them, so that `score` can use them again."""
    return {
        "seed": options.seed,
        "resamples": options.resamples,
        "paper_extras": options.paper_extras,
        "metric_options": {k: v for k, v in options.metric_options.items() if v is not None},
    }


_WHERE_AND_HOW = (
    "output", "run_name", "fresh", "retry_errors", "retry_empty", "max_errors", "shard", "pulled",
)  # fmt: skip


def settings_record(config: RunConfig) -> dict[str, Any]:
    """The run's settings, so that `verify` can ask the same again; keys are never among them."""
    record = {name: value for name, value in vars(config).items() if name not in _WHERE_AND_HOW}
    record["backend_options"] = {k: v for k, v in config.backend_options.items() if v is not None}
    return {
        name: dict(value) if isinstance(value, Mapping) else value
        for name, value in record.items()
        if value is not None
    }


def settings_of(manifest: Manifest, **changes: Any) -> RunConfig:
    """The settings that a run was made with, some of them changed."""
    stored = manifest.get("settings")
    if not isinstance(stored, dict):
        raise InputError(f"run {manifest.get('run')} does not record its settings; run it again")
    known = {field.name for field in fields(RunConfig)}
    settings = {name: value for name, value in stored.items() if name in known} | changes
    for name in ("task_files",):
        settings[name] = tuple(settings.get(name) or ())
    options = settings.get("backend_options", {})
    if "base_urls" in options:
        options = {**options, "base_urls": tuple(options["base_urls"])}
    return RunConfig(**{**settings, "backend_options": options})


def _only_a_name(backend: str, model: str) -> bool:
    """Whether there are no files to tell one model from another by.

    What a package's backend calls a model is its own affair, unless it is a folder.
    """
    if backend in (*BUILT_IN, "auto"):
        return backend in _NAMED_MODELS
    return not Path(model).expanduser().is_dir()


def _model(config: RunConfig, backend: str) -> dict[str, Any]:
    backend = config.backend if backend == "ray" else backend
    if _only_a_name(backend, config.model):
        identity = ModelIdentity(
            name=config.model, revision=None, fingerprint=f"{backend}:{config.model}"
        )
    else:
        identity = identify(config.model, config.model_revision, offline=config.without_network)
    options = config.engine()
    return {
        "name": identity.name,
        "revision": identity.revision,
        "fingerprint": identity.fingerprint,
        "dtype": options.dtype,
        "quantization": options.quantization,
        "lora": identify_adapter(options.lora),
    }


def identify_adapter(lora: str | None) -> str | None:
    """Content fingerprint of a LoRA folder, or None."""
    if lora is None:
        return None
    return folder_fingerprint(Path(lora)) if Path(lora).is_dir() else lora


def _data(config: RunConfig, dataset: Dataset) -> dict[str, Any]:
    return {
        "source": dataset.source,
        "revision": dataset.revision,
        "limit": config.limit,
        "sample": config.sample,
        "seed": config.seed if config.sample is not None else None,
        "shard": f"{config.shard[0]}/{config.shard[1]}" if config.shard else None,
        "tasks": {
            task.card.name: {
                "digest": task.digest,
                "rows": len(task.samples),
                "rows_total": task.rows_total,
                "warnings": list(task.warnings),
            }
            for task in dataset.tasks
        },
        "absent": list(dataset.absent),
        "warnings": list(dataset.warnings),
    }


def _own_cards(dataset: Dataset) -> list[Any]:
    """Cards that another machine cannot know: tasks of the user's own."""
    return [task.card for task in dataset.tasks if task.card.data is not None]


def _git_commit() -> str | None:
    """Commit of the checkout that this package runs from; None for an installed wheel."""
    root = Path(__file__).resolve().parent.parent
    if not (root / ".git").exists():
        return None
    try:
        found = subprocess.run(
            ["git", "-C", str(root), "rev-parse", "HEAD"],
            capture_output=True, text=True, timeout=5, check=False,
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired):
        return None
    return found.stdout.strip() or None
