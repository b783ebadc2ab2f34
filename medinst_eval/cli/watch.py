"""`medinst-eval watch`: the learning curve of a training, checkpoint by checkpoint."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from medinst_eval import numbers
from medinst_eval.cli import options, run_options
from medinst_eval.cli.console import err, out, printable
from medinst_eval.cli.run_options import PROMPT, WHAT, option

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rich.table import Table

    from medinst_eval.config import RunConfig
    from medinst_eval.curve import Curve, Point
    from medinst_eval.runner import RunOutcome

_WATCH, _OUT = "Watching", "Output"
_MARKS = {"worse": " ▼", "better": " ▲"}
_STYLES = {"worse": "red", "better": "green"}
_COLUMNS = 8
"""Most steps in the table; `curve.json` and the picture have all."""


def command(
    folder: Annotated[
        Path, typer.Argument(help="The training's output folder, with checkpoint-* in it.")
    ],
    baseline: Annotated[
        Path | None, option(_WATCH, "Run folder that every checkpoint is compared with.")
    ] = None,
    metrics: Annotated[
        Literal["standard", "paper"], option(_WATCH, "Headline metrics shown and compared.")
    ] = "standard",
    fail_on: Annotated[
        Literal["significant", "threshold", "both"] | None,
        option(_WATCH, "What counts as a regression, as in `compare`."),
    ] = None,
    max_drop: Annotated[
        float | None, option(_WATCH, "Largest drop allowed, in points, as in `compare`.")
    ] = None,
    once: Annotated[
        bool, option(_WATCH, "Evaluate the checkpoints that are there and stop.", "--once")
    ] = False,
    poll: Annotated[float, option(_WATCH, "Seconds between two looks.")] = 30.0,
    backend: Annotated[
        str, option(WHAT, "auto, vllm, transformers, or a plug-in's name.")
    ] = "auto",
    data: run_options.Data = None,
    revision: run_options.Revision = None,
    suite: run_options.Suite = None,
    tasks: run_options.Tasks = None,
    task_file: run_options.TaskFile = None,
    limit: run_options.Limit = None,
    sample: run_options.Sample = None,
    seed: Annotated[int, option(WHAT, "Seed of --sample and of the intervals.")] = 0,
    shots: run_options.Shots = 2,
    layout: Annotated[
        Literal["chat", "inline", "plain"] | None,
        option(PROMPT, "chat, inline or plain; default: chat where there is a chat template."),
    ] = None,
    system_prompt: run_options.SystemPrompt = None,
    chat_template_arg: Annotated[
        list[str] | None, option(PROMPT, "key=value for the chat template; repeatable.")
    ] = None,
    max_tokens: run_options.MaxTokens = None,
    dtype: run_options.Dtype = "auto",
    max_model_len: run_options.MaxModelLen = None,
    gpu_memory_utilization: run_options.GpuMemoryUtilization = None,
    tensor_parallel_size: run_options.TensorParallelSize = 1,
    batch_tokens: run_options.BatchTokens = None,
    engine_arg: run_options.EngineArg = None,
    trust_remote_code: run_options.TrustRemoteCode = False,
    output: Annotated[
        Path | None,
        option(_OUT, "Folder for run folders and the curve; default results/<training's name>."),
    ] = None,
    resamples: Annotated[
        int, option(_OUT, "Bootstrap resamples behind each interval.", min=100)
    ] = 10_000,
    bertscore_model: Annotated[
        str | None, option(_OUT, "Encoder, id or folder; default roberta-large.")
    ] = None,
    bertscore_layers: Annotated[
        int | None,
        option(_OUT, "Layer of the encoder; needed where bert-score does not know it."),
    ] = None,
    offline: Annotated[bool, option(_OUT, "Never reach out to a network.", "--offline")] = False,
    quiet: Annotated[bool, option(_OUT, "No progress and no notes.", "--quiet")] = False,
) -> int:
    """Evaluate the checkpoints of a training as they are written, and draw the learning curve.

    Evaluated are complete checkpoints, each once; curve.json and curve.png hold the curve.

    Exit codes of --once: 0 done; of the newest checkpoint: 1 a regression or not evaluated,
    3 not comparable with the baseline; 2 wrong use or bad input. 130 interrupted.
    """
    from medinst_eval.compare import AnalysisOptions, GateOptions
    from medinst_eval.config import RunConfig, safe_name
    from medinst_eval.errors import InterruptedRunError
    from medinst_eval.watch import WatchConfig, watch

    run = RunConfig(
        model=str(folder),
        backend=backend,
        data=data,
        revision=revision,
        suite=suite or ("own" if task_file else "medinst32"),
        tasks=tasks,
        task_files=tuple(task_file or ()),
        limit=limit,
        sample=sample,
        seed=seed,
        shots=shots,
        layout=layout,
        system_prompt=system_prompt,
        template_args=options.key_values("--chat-template-arg", chat_template_arg or ()),
        max_tokens=max_tokens,
        output=output or Path("results") / safe_name(folder.resolve().name),
        offline=offline,
        resamples=resamples,
        metric_options={
            "bertscore_model": bertscore_model,
            "bertscore_layers": bertscore_layers,
            "bertscore_rescale": False,
            "offline": offline,
        },
        backend_options={
            "dtype": dtype,
            "max_model_len": max_model_len,
            "gpu_memory_utilization": gpu_memory_utilization,
            "tensor_parallel_size": tensor_parallel_size,
            "batch_tokens": batch_tokens,
            "engine_args": options.key_values("--engine-arg", engine_arg or ()),
            "trust_remote_code": trust_remote_code,
        },
    )
    config = WatchConfig(
        folder=folder,
        run=run,
        baseline=baseline,
        gate=GateOptions(fail_on=fail_on, max_drop=max_drop),
        options=AnalysisOptions(metrics=metrics, resamples=resamples, permutations=resamples),
        once=once,
        poll_s=poll,
    )
    teller = _Teller(which=metrics, quiet=quiet)
    try:
        curve = watch(config, teller, lambda one: _evaluate(one, quiet=quiet))
    except (KeyboardInterrupt, InterruptedRunError) as error:
        raise InterruptedRunError(
            f"{teller.evaluated} checkpoint(s) evaluated since the start; what was finished is "
            "kept: give the same command again to go on"
        ) from error
    return _exit_code(curve)


def _evaluate(config: RunConfig, *, quiet: bool) -> RunOutcome:
    from medinst_eval.cli.progress import RunProgress
    from medinst_eval.runner import run

    progress = RunProgress(quiet=quiet)
    with progress:
        return run(config, progress)


def _exit_code(curve: Curve) -> int:
    from medinst_eval.curve import NOT_COMPARABLE, REGRESSION

    newest = curve.points[-1]
    verdict = (newest.get("gate") or {}).get("verdict")
    if "error" in newest or not newest["complete"] or verdict == REGRESSION:
        return 1
    return 3 if verdict == NOT_COMPARABLE else 0


@dataclass
class _Teller:
    """Lines and tables for the terminal."""

    which: str
    quiet: bool
    evaluated: int = 0

    def note(self, text: str) -> None:
        if not self.quiet:
            err().print(printable(text), markup=False, soft_wrap=True)

    def point(self, point: Point) -> None:
        from medinst_eval.curve import OVERALL, score_at

        name = printable(point["checkpoint"])
        if "error" in point:
            line = f"{name} failed: {printable(' '.join(point['error'].split()))}"
            err().print(line, markup=False, soft_wrap=True, style="red")
            return
        self.evaluated += 1
        score = score_at(point, OVERALL, self.which)
        line = f"{name}: overall {_shown(score)}"
        if not point["complete"]:
            line += ", incomplete (some requests failed)"
        if gate := point.get("gate"):
            line += f", {'; '.join([gate['verdict'], *gate['reasons']])}"
        out().print(printable(line), markup=False, soft_wrap=True)

    def curve(self, curve: Curve) -> None:
        from medinst_eval.curve import CHART

        if curve.scored:
            out().print(curve_table(curve, self.which))
            chart = curve.path.with_name(CHART)
            out().print(f"curve: {curve.path}", markup=False, soft_wrap=True)
            if chart.is_file():
                out().print(f"picture: {chart}", markup=False, soft_wrap=True)


def curve_table(curve: Curve, which: str) -> Table:
    """Tasks by steps: the newest ones, beside the baseline; the gate's verdict below."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    from medinst_eval.curve import OVERALL, names, score_at

    shown = curve.scored[-_COLUMNS:]
    title = f"{Path(curve.training).name} · {which} metrics"
    if curve.baseline:
        title += " · ▲ better, ▼ worse than the baseline"
    table = Table(box=box.SIMPLE_HEAD, title=Text(printable(title)), pad_edge=False)
    table.add_column("step", no_wrap=True)
    table.add_column("metric", no_wrap=True)
    if curve.baseline:
        table.add_column("baseline", justify="right", no_wrap=True)
    for point in shown:
        table.add_column(f"{point['step']:,}", justify="right", no_wrap=True)
    for name in names(curve):
        scores = [score_at(point, name, which) for point in shown]
        metric = next((str(score["metric"]) for score in scores if score), "")
        cells = [Text(printable(name)), Text("" if name == OVERALL else _short(metric))]
        if curve.baseline:
            cells.append(Text(_shown(score_at(curve.baseline, name, which))))
        cells += [_cell(point, name, which) for point in shown]
        if name == OVERALL:
            table.add_section()
        table.add_row(*cells, style="bold" if name == OVERALL else None)
    if curve.baseline:
        verdicts = [Text((point.get("gate") or {}).get("verdict", "")) for point in shown]
        table.add_row(Text("gate"), "", "", *verdicts)
    return table


def _short(metric: str) -> str:
    return metric.removeprefix("paper_")


def _shown(score: Mapping[str, Any] | None) -> str:
    if score is None:
        return numbers.NOTHING
    return numbers.points(score["value"], 2, factor=numbers.factor_of(score["higher_is_better"]))


def _cell(point: Point, name: str, which: str) -> Any:
    from rich.text import Text

    from medinst_eval.curve import score_at, task_verdict

    verdict = task_verdict(point, name) or ""
    text = _shown(score_at(point, name, which))
    return Text(text + _MARKS.get(verdict, ""), style=_STYLES.get(verdict, ""))
