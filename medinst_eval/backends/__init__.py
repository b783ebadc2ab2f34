"""Engines by name: those built in, and those other packages register.

A package adds an engine by an entry point of the group `medinst_eval.backends` whose object is a
`BackendFactory`, e.g. `myengine = "my_package.engine:create"`.
"""

from __future__ import annotations

import importlib
import importlib.metadata
import importlib.util
from collections.abc import Sequence
from typing import cast

from medinst_eval.backends.base import Backend, BackendFactory, BackendOptions
from medinst_eval.errors import InputError, closest
from medinst_eval.types import Sample

GROUP = "medinst_eval.backends"
BUILT_IN = ("vllm", "transformers", "openai", "baseline", "ray")
"""Modules of this package; each has a `create(options, samples)`."""


def names() -> tuple[str, ...]:
    """Names that `create` takes: built in, then registered by other packages."""
    return (*BUILT_IN, *sorted(set(_registered()) - set(BUILT_IN)))


def create(name: str, options: BackendOptions, samples: Sequence[Sample]) -> Backend:
    """Make a backend by name, without loading weights.

    Args:
        name: One of `names()`, or `auto` for what `choose` says.
        options: What the backend is told.
        samples: The run's samples, for backends that answer from the data.

    Raises:
        InputError: No such backend, or options that it cannot honour.
    """
    chosen = choose()[0] if name == "auto" else name
    return _factory(chosen)(options, samples)


def choose() -> tuple[str, str]:
    """The backend of `--backend auto` and why: vLLM where it is installed, else transformers.

    Nothing is imported to find out.

    Raises:
        InputError: Neither is installed.
    """
    if _installed("vllm"):
        return "vllm", "vLLM is installed"
    if _installed("transformers") and _installed("torch"):
        return "transformers", "vLLM is not installed"
    raise InputError(
        "no engine is installed; "
        '`pip install "medinst-eval[vllm]"` (GPU) or `"medinst-eval[transformers]"`, '
        "or ask a server with --backend openai"
    )


def _factory(name: str) -> BackendFactory:
    if name in BUILT_IN:
        module = importlib.import_module(f"{__name__}.{name}")
        return cast(BackendFactory, module.create)
    registered = _registered()
    if name not in registered:
        raise InputError(
            f"unknown backend {name}{closest(name, names())} (known: {', '.join(names())})"
        )
    try:
        factory = registered[name].load()
    except (ImportError, AttributeError) as error:
        raise InputError(
            f"backend {name} of package {registered[name].value} cannot be loaded ({error}); "
            "update or uninstall that package"
        ) from error
    return cast(BackendFactory, factory)


def _registered() -> dict[str, importlib.metadata.EntryPoint]:
    return {point.name: point for point in importlib.metadata.entry_points(group=GROUP)}


def _installed(module: str) -> bool:
    return importlib.util.find_spec(module) is not None
