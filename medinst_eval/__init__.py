"""medinst-eval: how good is a language model on biomedical tasks, and is it worse than the last?

The Python entry point is `evaluate`; everything else is reached through its modules.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from medinst_eval.observer import Observer
    from medinst_eval.runner import RunOutcome

__all__ = ["evaluate"]


def evaluate(model: str, *, observer: Observer | None = None, **settings: Any) -> RunOutcome:
    """Evaluate a model and return its scores.

    Args:
        model: Folder or Hub id of a model; with `backend="openai"` the served model's name; with
            `backend="baseline"` one of `gold`, `empty`, `majority`.
        observer: Told what happens, see `medinst_eval.observer.Observer`; default: nobody.
        **settings: Fields of `medinst_eval.config.RunConfig`, such as `tasks="NER"`, `shots=0`,
            `data="demo"`, `limit=20`, `backend="vllm"`.

    Returns:
        The run folder (`path`) and the content of its `results.json` (`results`).

    Raises:
        MedinstError: Wrong settings, bad data, or an engine that fails; one line says which.

    Example:
        >>> import medinst_eval
        >>> run = medinst_eval.evaluate("gold", backend="baseline", data="demo")
        >>> run.results["tasks"]["AnEM"]["metrics"]["entity_f1"]["value"]
        1.0
    """
    from dataclasses import fields
    from pathlib import Path

    from medinst_eval.config import RunConfig
    from medinst_eval.errors import InputError, closest
    from medinst_eval.runner import run

    known = [f.name for f in fields(RunConfig)]
    for name in settings:
        if name not in known:
            raise InputError(f"evaluate() has no setting '{name}'{closest(name, known)}")
    if "output" in settings:
        settings["output"] = Path(settings["output"])
    return run(RunConfig(model=model, **settings), observer)
