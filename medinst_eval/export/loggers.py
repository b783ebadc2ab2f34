"""A finished run told to an experiment tracker: Weights & Biases, MLflow or Trackio.

Each tracker decides by its own settings where it writes (`WANDB_MODE=offline`,
`MLFLOW_TRACKING_URI`, `TRACKIO_DIR`); nothing is sent anywhere that they do not say.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Mapping
from typing import Any

from medinst_eval.errors import BackendError, InputError, closest
from medinst_eval.export.rows import SETS, clean
from medinst_eval.store import FinishedRun

PROJECT = "medinst-eval"
_FAILURES = ("unparsed", "empty", "truncated", "n_errors")
_LEFT_OUT = ("data.tasks", "cards")


def log_to(name: str, run: FinishedRun, *, project: str = PROJECT) -> None:
    """Log scores, failures and settings of a run.

    Scores keep their scale of files (0 to 1, errors as they are) and are named
    `overall/paper`, `NER/standard`, `AnEM/entity_f1`, `AnEM/unparsed`.

    Args:
        name: `wandb`, `mlflow` or `trackio`.
        run: A finished run.
        project: Project or experiment it is filed under.

    Raises:
        InputError: Unknown tracker, or its package is not installed.
        BackendError: The tracker cannot be reached or refuses.
    """
    check_tracker(name)
    LOGGERS[name](run, project)


def check_tracker(name: str) -> None:
    """See that a tracker is known and installed, before hours are spent on what it shall log.

    Raises:
        InputError: It is not.
    """
    if name not in LOGGERS:
        raise InputError(f"no tracker '{name}'{closest(name, LOGGERS)} ({', '.join(LOGGERS)})")
    if importlib.util.find_spec(name) is None:
        raise InputError(
            f"--log-to {name} needs the package {name}; "
            f"install it with `pip install 'medinst-eval[{name}]'`"
        )


def scores(run: FinishedRun) -> dict[str, float]:
    """Everything that is a number, by its name in the tracker."""
    found: dict[str, float] = {}

    def add(prefix: str, metrics: Mapping[str, Any]) -> None:
        for name, metric in metrics.items():
            if metric.get("value") is not None:
                found[f"{prefix}/{name}"] = float(metric["value"])

    add("overall", run.results.get("overall") or {})
    for category, metrics in (run.results.get("categories") or {}).items():
        add(category, {which: metrics[which] for which in SETS if which in metrics})
    tasks: Mapping[str, Any] = run.results["tasks"]
    for task, result in tasks.items():
        add(task, result["metrics"])
        for failure in _FAILURES:
            found[f"{task}/{failure}"] = float(result.get(failure) or 0)
    for failure in ("n", *_FAILURES):
        found[f"overall/{failure}"] = float(sum(t.get(failure) or 0 for t in tasks.values()))
    return found


def settings(run: FinishedRun) -> dict[str, Any]:
    """The manifest as `a.b.c` -> value; nothing that is not set."""
    flat: dict[str, Any] = {}

    def walk(prefix: str, value: Any) -> None:
        if prefix in _LEFT_OUT or value is None:
            return
        if isinstance(value, Mapping):
            for key, inner in value.items():
                walk(f"{prefix}.{key}" if prefix else str(key), inner)
        else:
            flat[prefix] = clean(value)

    walk("", dict(run.manifest))
    return flat


def _wandb(run: FinishedRun, project: str) -> None:
    import wandb

    try:
        with wandb.init(project=project, name=run.name, config=settings(run)) as logged:
            logged.summary.update(scores(run))
    except wandb.Error as error:
        raise BackendError(f"wandb: {error}") from error


def _mlflow(run: FinishedRun, project: str) -> None:
    import mlflow
    from mlflow.exceptions import MlflowException

    try:
        mlflow.set_experiment(project)
        with mlflow.start_run(run_name=run.name):
            mlflow.log_params({name: str(value)[:500] for name, value in settings(run).items()})
            mlflow.log_metrics(scores(run))
            for name in ("results.json", "manifest.json"):
                if (run.path / name).is_file():
                    mlflow.log_artifact(str(run.path / name))
    except MlflowException as error:
        raise BackendError(f"mlflow: {error}") from error


def _trackio(run: FinishedRun, project: str) -> None:
    import trackio

    trackio.init(project=project, name=run.name, config=settings(run))
    trackio.log(scores(run))
    trackio.finish()


LOGGERS: Mapping[str, Callable[[FinishedRun, str], None]] = {
    "wandb": _wandb,
    "mlflow": _mlflow,
    "trackio": _trackio,
}
