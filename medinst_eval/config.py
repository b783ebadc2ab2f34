"""What a run is told: one frozen record, the same for the command line and for Python."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from medinst_eval.backends.base import BackendOptions, Sampling
from medinst_eval.errors import InputError
from medinst_eval.prompts import PromptOptions
from medinst_eval.scoring import ScoringOptions
from medinst_eval.suites import HUB_IDS, MEDINST32, MMLU_MEDICINE
from medinst_eval.tasks import OWN_SUITE
from medinst_eval.types import Layout


@dataclass(frozen=True, kw_only=True)
class RunConfig:
    """Settings of a run; the defaults are the paper's where it names them."""

    model: str
    """Folder or Hub id; a served model's name; `gold`, `empty` or `majority` for `baseline`."""
    revision: str | None = None
    """Revision of the data set on the Hub."""
    model_revision: str | None = None
    backend: str = "auto"
    suite: str = "medinst32"
    data: str | None = None
    """Hub id, local folder or `demo`; None: the suite's Hub id."""
    tasks: str | None = None
    """Names, categories or `level:3`, separated by commas; None: all."""
    task_files: tuple[str, ...] = ()
    shots: int = 2
    layout: Layout | None = None
    system_prompt: str | None = None
    template_args: Mapping[str, Any] = field(default_factory=dict)
    overlong: Literal["fit", "error"] = "fit"
    choice_scoring: Literal["logprob", "generate"] = "logprob"
    """mmlu-medicine: the most probable answer letter, or a generated answer that is parsed."""
    limit: int | None = None
    sample: int | None = None
    seed: int = 0
    shard: tuple[int, int] | None = None
    """(i, n): the i-th of n equal parts of the rows, counted from 1."""
    max_tokens: int | None = None
    """New tokens per answer; None: the task card's (1024, as in the paper)."""
    temperature: float = 0.0
    top_p: float = 1.0
    output: Path = Path("results")
    run_name: str | None = None
    fresh: bool = False
    retry_errors: bool = False
    retry_empty: int = 0
    max_errors: str | None = None
    """`N` or `P%`: stop once more requests than this have failed."""
    offline: bool = False
    pulled: str | None = None
    """Folder of `data pull` that holds model, data and encoder; implies `offline`."""
    backend_options: Mapping[str, Any] = field(default_factory=dict)
    """Further fields of `BackendOptions`."""
    paper_extras: bool = False
    resamples: int = 10_000
    metric_options: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        _check(self)

    @property
    def without_network(self) -> bool:
        """Whether the network is out of bounds."""
        return self.offline or self.pulled is not None

    def engine(self) -> BackendOptions:
        """The part that backends read."""
        return BackendOptions(
            model=self.model,
            revision=self.model_revision,
            sampling=Sampling(temperature=self.temperature, top_p=self.top_p, seed=self.seed),
            template_args=self.template_args,
            inner=self.backend,
            **self.backend_options,
        )

    def prompts(self) -> PromptOptions:
        """The part that prompts read."""
        return PromptOptions(
            shots=self.shots,
            layout=self.layout,
            system_prompt=self.system_prompt,
            template_args=self.template_args,
            overlong=self.overlong,
        )

    def scoring(self) -> ScoringOptions:
        """The part that scoring reads."""
        return ScoringOptions(
            seed=self.seed,
            resamples=self.resamples,
            paper_extras=self.paper_extras,
            metric_options=self.metric_options,
        )


def _check(config: RunConfig) -> None:
    def positive(name: str) -> None:
        value = getattr(config, name)
        if value is not None and value < 1:
            raise InputError(f"--{name.replace('_', '-')} must be at least 1, not {value}")

    for name in ("limit", "sample", "max_tokens", "resamples"):
        positive(name)
    if config.limit is not None and config.sample is not None:
        raise InputError("give --limit (first rows) or --sample (random rows), not both")
    if config.temperature < 0 or not 0 < config.top_p <= 1:
        raise InputError("--temperature must be 0 or more and --top-p in (0, 1]")
    most = 5 if config.suite == MMLU_MEDICINE else 2
    if not 0 <= config.shots <= most:
        raise InputError(f"--shots must be 0 to {most} for suite {config.suite}")
    if config.shard is not None and not 1 <= config.shard[0] <= config.shard[1]:
        raise InputError("--shard must be i/n with 1 <= i <= n, e.g. 2/8")
    if config.max_errors is not None and not re.fullmatch(r"\d+%?", config.max_errors):
        raise InputError(f"--max-errors must be a number or a percentage, not {config.max_errors}")
    if config.run_name is not None and safe_name(config.run_name) != config.run_name:
        raise InputError(
            f"--run-name '{config.run_name}' may hold letters, digits, '.', '_', '-' only "
            "and must not start with '.'"
        )


def safe_name(text: str) -> str:
    """A text as a file name that cannot leave its folder."""
    return re.sub(r"[^A-Za-z0-9._-]+", "-", text).strip(".-")[:120] or "run"


def run_name(config: RunConfig) -> str:
    """Name of the run and of its folder: the one given, or the default."""
    return config.run_name or default_run_name(config)


def default_run_name(config: RunConfig) -> str:
    """Readable name from what tells runs apart: model, shots, data, selection.

    Example:
        `llama-3-8b_2shot_MedINST32_limit20`
    """
    model = config.model.rstrip("/")
    parts = [model.rsplit("/", 1)[-1]]
    if parts[0].startswith("checkpoint-") and "/" in model:
        parts[0] = "-".join(model.rsplit("/", 2)[-2:])
    data = (config.data or HUB_IDS[MEDINST32]).rstrip("/").rsplit("/", 1)[-1]
    own = [Path(path).stem for path in config.task_files]
    if config.suite == OWN_SUITE:
        data = own.pop(0) if own else config.suite
    elif config.suite != MEDINST32:
        data = config.suite
    parts += [f"{config.shots}shot", data, *own]
    if config.suite == MMLU_MEDICINE and config.choice_scoring != "logprob":
        parts.append(config.choice_scoring)
    if config.layout:
        parts.append(config.layout)
    if config.tasks:
        parts.append(config.tasks.replace(",", "+").replace(":", "")[:40])
    for name in ("limit", "sample"):
        if (value := getattr(config, name)) is not None:
            parts.append(f"{name}{value}")
    if config.temperature:
        parts.append(f"t{config.temperature:g}")
    if config.shard:
        parts.append(f"shard{config.shard[0]}of{config.shard[1]}")
    return safe_name("_".join(parts))
