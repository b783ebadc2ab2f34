"""Watching a training: every new checkpoint is evaluated and becomes a point of a curve."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol

from medinst_eval import backends, curve_chart
from medinst_eval import curve as curves
from medinst_eval.checkpoints import SETTLE_SECONDS, Checkpoint, lacks_tokenizer, scan
from medinst_eval.compare import AnalysisOptions, GateOptions, compare
from medinst_eval.config import RunConfig, default_run_name
from medinst_eval.curve import Curve, Point
from medinst_eval.errors import BackendError, InputError, NotComparableError, StoreError
from medinst_eval.files import read_json
from medinst_eval.fingerprint import folder_fingerprint
from medinst_eval.manifest import settings_record
from medinst_eval.runner import RunOutcome, load_samples, run
from medinst_eval.store import read_run

_NO_CHECKPOINTS = ("openai", "baseline")
_NOT_ASKED = ("model", "offline")
"""Settings that may differ between two starts of a watch."""
_MAX_NAME = 110


@dataclass(frozen=True, kw_only=True)
class WatchConfig:
    """What a watch is told.

    Attributes:
        folder: The training's output folder.
        run: What every checkpoint is asked; `model` and `run_name` are set for each. Run folders
            and the curve go to its `output`.
        baseline: Run folder that the checkpoints are compared with.
        gate: What counts as a regression.
        options: How differences are tested; its metric set is the one shown.
        once: Evaluate what is there and stop.
        poll_s: Seconds between two looks.
    """

    folder: Path
    run: RunConfig
    baseline: Path | None = None
    gate: GateOptions = field(default_factory=GateOptions)
    options: AnalysisOptions = field(default_factory=AnalysisOptions)
    once: bool = False
    poll_s: float = 30.0

    def __post_init__(self) -> None:
        if not self.poll_s > 0:
            raise InputError(f"--poll must be more than 0 seconds, not {self.poll_s:g}")
        if self.run.backend in _NO_CHECKPOINTS:
            raise InputError(
                f"--backend {self.run.backend} loads no checkpoints; use vllm or transformers"
            )


class Listener(Protocol):
    """Who is told what a watch does."""

    def note(self, text: str) -> None:
        """Something a user should know; one line."""

    def point(self, point: Point) -> None:
        """A checkpoint was evaluated, or failed (`error`)."""

    def curve(self, curve: Curve) -> None:
        """The curve grew."""


def watch(
    config: WatchConfig, listener: Listener, evaluate: Callable[[RunConfig], RunOutcome] = run
) -> Curve:
    """Evaluate the checkpoints of a training as they are written.

    Checkpoints that the curve has already are not evaluated again. One that fails is told to the
    listener and tried again only when it changes or the watch is started anew. Without `once` this
    returns only by an exception, such as `KeyboardInterrupt`.

    Args:
        config: What is watched and asked.
        listener: Who is told.
        evaluate: What evaluates a checkpoint.

    Raises:
        InputError: Options that no checkpoint could be evaluated with; with `once`, a folder
            without a complete checkpoint.
        StoreError: Baseline, curve or run folders cannot be read or written.
    """
    _preflight(config)
    state = _Watch(config=config, listener=listener, evaluate=evaluate, curve=_open(config))
    state.renew_verdicts()
    first = True
    while True:
        waiting = state.look()
        if state.news or (first and state.curve.points):
            state.show()
        first = False
        if config.once and not waiting:
            if not state.curve.points:
                raise InputError(
                    f"no complete checkpoint in {config.folder}; give the folder that holds "
                    "checkpoint-*, or leave --once away to wait for one"
                )
            return state.curve
        time.sleep(min(config.poll_s, SETTLE_SECONDS) if waiting else config.poll_s)


def _preflight(config: WatchConfig) -> None:
    """Find out before the first checkpoint what would go wrong with every one of them."""
    if config.once and not config.folder.is_dir():
        raise InputError(f"no folder {config.folder}; give the training's output folder")
    backends.create(config.run.backend, config.run.engine(), ())
    load_samples(config.run)


def _open(config: WatchConfig) -> Curve:
    scoring = {k: v for k, v in config.run.metric_options.items() if k not in _NOT_ASKED}
    record = settings_record(replace(config.run, metric_options=scoring))
    settings = {name: value for name, value in record.items() if name not in _NOT_ASKED}
    curve = curves.open_curve(
        config.run.output / curves.FILE,
        str(config.folder.resolve()),
        json.loads(json.dumps(settings)),
    )
    curve.baseline = None
    if config.baseline is not None:
        results = read_run(config.baseline).results
        curve.baseline = {**curves.scores(results), "path": str(config.baseline.resolve())}
    return curve


@dataclass(kw_only=True)
class _Watch:
    """A watch under way."""

    config: WatchConfig
    listener: Listener
    evaluate: Callable[[RunConfig], RunOutcome]
    curve: Curve
    news: bool = False
    failed: dict[int, str] = field(default_factory=dict)
    """Step -> mark of the files that failed."""
    told: set[str] = field(default_factory=set)

    def look(self) -> bool:
        """Evaluate what is new; whether a checkpoint is about to be complete."""
        if not self.config.folder.exists():
            self._tell(f"waiting for {self.config.folder}")
        waiting = False
        for checkpoint in scan(self.config.folder):
            if checkpoint.missing is None:
                self._visit(checkpoint)
            elif checkpoint.settling:
                waiting = True
            else:
                self._tell(f"{checkpoint.name} is incomplete: {checkpoint.missing}")
        return waiting

    def _tell(self, text: str) -> None:
        if text not in self.told:
            self.told.add(text)
            self.listener.note(text)

    def _visit(self, checkpoint: Checkpoint) -> None:
        mark, known = checkpoint.mark, self.curve.at(checkpoint.step)
        if self.failed.get(checkpoint.step) == mark:
            return
        if known is not None and "tasks" in known and known["mark"] == mark:
            return
        point: Point = {"step": checkpoint.step, "checkpoint": checkpoint.name, "mark": mark}
        try:
            outcome = self._run(checkpoint)
        except (InputError, BackendError) as error:
            self.failed[checkpoint.step] = mark
            point["error"] = str(error) if checkpoint.path.is_dir() else "deleted while it was read"
        else:
            point |= curves.scores(outcome.results)
            point["gate"] = self._verdict(outcome.path)
        self.curve.put(point)
        self.news = True
        self.listener.point(point)

    def _run(self, checkpoint: Checkpoint) -> RunOutcome:
        if lacks_tokenizer(checkpoint.path):
            raise InputError(
                "no tokenizer in the folder; give it to the trainer (`processing_class=`), or copy "
                "its files into the checkpoint"
            )
        config = replace(self.config.run, model=str(checkpoint.path))
        return self.evaluate(replace(config, run_name=_run_name(config)))

    def _verdict(self, folder: Path) -> dict[str, Any] | None:
        if self.config.baseline is None:
            return None
        asked = self._question()
        try:
            found = compare(
                self.config.baseline,
                folder,
                options=self.config.options,
                gate_options=self.config.gate,
            )
        except (NotComparableError, StoreError) as error:
            return {**asked, "verdict": curves.NOT_COMPARABLE, "reasons": [str(error)]}
        return {**asked, **curves.verdict(found)}

    def _question(self) -> dict[str, Any]:
        """What a verdict answers; another question needs another verdict."""
        assert self.config.baseline is not None
        written = (self.config.baseline / "results.json").stat().st_mtime_ns
        return {
            "baseline": str(self.config.baseline.resolve()),
            "written": written,
            "metrics": self.config.options.metrics,
            "rule": self.config.gate.describe(),
        }

    def renew_verdicts(self) -> None:
        """Compare evaluated checkpoints again where baseline or gate are not those of before."""
        if self.config.baseline is None:
            for point in self.curve.scored:
                point["gate"] = None
            return
        asked = self._question()
        for point in self.curve.scored:
            if not curves.answers(point.get("gate"), asked):
                point["gate"] = self._verdict(self.config.run.output / point["run"])

    def show(self) -> None:
        """Save and draw the curve, and hand it to the listener."""
        self.news = False
        self.curve.save()
        if self.curve.scored:
            try:
                curve_chart.write(self.curve, self.config.options.metrics)
            except InputError as error:  # everything but the picture is there
                self._tell(str(error))
        self.listener.curve(self.curve)


def _run_name(config: RunConfig) -> str:
    """The run's usual name; another where a folder of that name holds other weights.

    A training that was started anew writes other weights under the same steps.
    """
    name = default_run_name(config)
    manifest = config.output / name / "manifest.json"
    if not manifest.is_file():
        return name
    held = read_json(manifest, "manifest")
    fingerprint = folder_fingerprint(Path(config.model))
    if isinstance(held, dict) and (held.get("model") or {}).get("fingerprint") == fingerprint:
        return name
    return f"{name[:_MAX_NAME]}-{fingerprint[:8]}"
