"""Scores from inside a training: a callback for the Trainer of transformers.

It evaluates the model in memory on a sample of rows, without writing or loading a checkpoint.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from medinst_eval import data, runner, summary
from medinst_eval.asking import build_prompts, to_prediction, to_requests
from medinst_eval.backends.base import Tokenizer
from medinst_eval.backends.transformers import TransformersBackend
from medinst_eval.config import RunConfig
from medinst_eval.errors import BackendError, InputError
from medinst_eval.finishing import pair_rows
from medinst_eval.scoring import score_tasks
from medinst_eval.tasks.card import TaskCard
from medinst_eval.types import Prompt

PREFIX = "medinst"
_LOG = logging.getLogger(__name__)


@dataclass(kw_only=True)
class Evaluator:
    """Asks a model in memory the same rows again and again.

    Attributes:
        config: What is asked; `model` names it in the results only.
    """

    config: RunConfig
    _suite: tuple[TaskCard, ...] = ()
    _cards: tuple[TaskCard, ...] = ()
    _dataset: data.Dataset | None = None
    _prompts: dict[str, Prompt] = field(default_factory=dict)

    def prepare(self) -> None:
        """Load the rows, so that what is wrong with the settings is said before the training.

        Raises:
            InputError: Wrong settings or bad data.
        """
        if self._dataset is None:
            TransformersBackend(self.config.engine())
            self._suite, self._cards, self._dataset = runner.load_samples(self.config)

    def results(self, model: Any, tokenizer: Tokenizer) -> dict[str, Any]:
        """Evaluate a model as it is now, and leave it in the mode it was in.

        Returns:
            The content of `results.json`.

        Raises:
            InputError: Wrong settings, or a context too short for the prompts.
            BackendError: The model fails.
        """
        self.prepare()
        assert self._dataset is not None
        every = {sample.id: sample for task in self._dataset.tasks for sample in task.samples}
        limits = {card.name: self.config.max_tokens or card.max_tokens for card in self._cards}
        backend = TransformersBackend(self.config.engine())
        with backend.borrow(model, tokenizer):
            if not self._prompts:
                self._prompts = build_prompts(self.config, backend, [*every.values()], limits)
            requests = to_requests([*every.values()], self._prompts, limits)
            predictions = {
                one.id: to_prediction(one, every[one.id], self._prompts[one.id])
                for one in backend.generate(requests)
            }
        rows = [
            pair_rows(task.card, task.samples, predictions, task.warnings)
            for task in self._dataset.tasks
        ]
        facts = summary.RunFacts(
            run=PREFIX,
            model=self.config.model,
            shots=self.config.shots,
            suite=self.config.suite,
            absent=self._dataset.absent,
        )
        found: dict[str, Any] = summary.results(
            facts, score_tasks(rows, self.config.scoring()), self._suite
        )
        return found


def flat_metrics(results: Mapping[str, Any]) -> dict[str, float]:
    """Scores as a training logs them, 0 to 1 (error measures as they are).

    Args:
        results: Content of `results.json`.

    Returns:
        `medinst/<task>/<metric>` for both headlines of each task, `medinst/<task>/in_form` (the
        share of rows answered in form), `medinst/overall` (mean of the standard headlines) and
        `medinst/overall_paper`. A score that could not be computed is left out.
    """
    found: dict[str, float] = {}
    for name, task in results["tasks"].items():
        for metric in dict.fromkeys(task["primary"].values()):
            score = task["metrics"].get(metric)
            if score is not None and score["value"] is not None:
                found[f"{PREFIX}/{name}/{metric}"] = score["value"]
        lost = sum(task[kind] for kind in ("unparsed", "empty", "truncated", "n_errors"))
        found[f"{PREFIX}/{name}/in_form"] = 1 - lost / task["n"] if task["n"] else 0.0
    for which, key in (("standard", "overall"), ("paper", "overall_paper")):
        average = results["overall"].get(which)
        if average is not None and average["value"] is not None:
            found[f"{PREFIX}/{key}"] = average["value"]
    return found


def evaluation_callback(
    *,
    tasks: str | Sequence[str] | None = None,
    data: str | None = None,
    sample: int | None = 20,
    every: int | None = None,
    trainer: Any = None,
    **settings: Any,
) -> Any:
    """A callback that evaluates the model in training on a sample of rows.

    Scores go to the trainer's log history, named as `flat_metrics` says, with
    `medinst/seconds`. They reach reporters such as Weights & Biases where the trainer is given:
    `trainer.add_callback(evaluation_callback(trainer=trainer))`.

    The weights, the mode and the random numbers of the training stay as they are. In training on
    several processes the first one evaluates while the others wait, so keep the sample small;
    weights that are split over processes (FSDP, DeepSpeed ZeRO-3) cannot be asked this way: use
    `medinst-eval watch` on the checkpoints.

    Args:
        tasks: Names, categories or `level:3`; None: all.
        data: Hub id, local folder or `demo`; None: the benchmark's Hub id.
        sample: Random rows of each task, the same ones every time; None: all rows.
        every: Training steps between two evaluations, and one at the end; None: whenever the
            trainer itself evaluates.
        trainer: Whose `log` is told; None: the scores are added to its log history alone.
        **settings: Further fields of `medinst_eval.config.RunConfig`, such as `shots=0`,
            `limit=50` (then `sample=None`), `max_tokens=128`, `layout="plain"`.

    Returns:
        A `transformers.TrainerCallback`.

    Raises:
        InputError: Wrong settings (data is read, and bad data named, when the training begins).
    """
    if every is not None and every < 1:
        raise InputError(f"every must be at least 1 step, not {every}")
    chosen = tasks if tasks is None or isinstance(tasks, str) else ",".join(tasks)
    evaluator = Evaluator(config=_config(tasks=chosen, data=data, sample=sample, **settings))
    from transformers import TrainerCallback

    class EvaluationCallback(TrainerCallback):  # type: ignore[misc]  # no types
        """Evaluates the model in training; see `evaluation_callback`."""

        def __init__(self) -> None:
            self.last: int | None = None
            """Step of the newest evaluation."""

        def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
            del control
            _refuse_split_weights(args)
            self.last = None
            if state.is_world_process_zero:
                evaluator.prepare()

        def on_step_end(self, args: Any, state: Any, control: Any, **known: Any) -> None:
            del args, control
            if every is not None and state.global_step % every == 0:
                self.evaluate(state, known)

        def on_evaluate(self, args: Any, state: Any, control: Any, **known: Any) -> None:
            del args, control
            if every is None:
                self.evaluate(state, known)

        def on_train_end(self, args: Any, state: Any, control: Any, **known: Any) -> None:
            del args, control
            if every is not None:
                self.evaluate(state, known)

        def evaluate(self, state: Any, known: Mapping[str, Any]) -> None:
            if not state.is_world_process_zero or self.last == state.global_step:
                return
            self.last = state.global_step
            if scores := _scores(evaluator, known):
                _log(scores, state, trainer)

    return EvaluationCallback()


def _config(**settings: Any) -> RunConfig:
    from dataclasses import fields

    from medinst_eval.errors import closest

    known = [f.name for f in fields(RunConfig)]
    for name in settings:
        if name not in known:
            raise InputError(f"evaluation_callback() has no setting '{name}'{closest(name, known)}")
    defaults: dict[str, Any] = {"model": "in training", "backend": "transformers", "resamples": 100}
    config = RunConfig(**(defaults | settings))
    if config.backend != "transformers":
        raise InputError("evaluation_callback() asks the model in memory; leave `backend` away")
    return config


def _refuse_split_weights(args: Any) -> None:
    if getattr(args, "fsdp", None) or getattr(args, "deepspeed", None):
        raise InputError(
            "evaluation_callback() cannot ask a model whose weights are split over processes "
            "(FSDP, DeepSpeed); run `medinst-eval watch` on the checkpoints"
        )


def _scores(evaluator: Evaluator, known: Mapping[str, Any]) -> dict[str, float]:
    """Scores of the model as it is now; none where it fails, which must not end a training."""
    tokenizer = known.get("processing_class") or known.get("tokenizer")
    if tokenizer is None:
        raise InputError(
            "evaluation_callback() needs the tokenizer; give the Trainer `processing_class=`"
        )
    started = time.perf_counter()
    try:
        results = evaluator.results(known["model"], getattr(tokenizer, "tokenizer", tokenizer))
    except BackendError as error:
        _LOG.warning("not evaluated: %s", error)
        return {}
    seconds = time.perf_counter() - started
    return {**flat_metrics(results), f"{PREFIX}/seconds": round(seconds, 3)}


def _log(scores: Mapping[str, float], state: Any, trainer: Any) -> None:
    if trainer is not None:
        trainer.log(dict(scores))
        return
    entry = {**scores, "step": state.global_step}
    if state.epoch is not None:
        entry["epoch"] = state.epoch
    state.log_history.append(entry)
