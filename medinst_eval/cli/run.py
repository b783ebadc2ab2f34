"""`medinst-eval run`, the same as `medinst-eval --model …`: evaluate a model."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from medinst_eval.cli import options
from medinst_eval.cli.console import err, out

if TYPE_CHECKING:
    from medinst_eval.config import RunConfig

_WHAT, _PROMPT, _ENGINE, _SERVER = "What is asked", "Prompts", "Engine", "Servers"
_OUT, _SCORE, _SCALE = "Run folder and output", "Scoring", "Many machines"


def _option(panel: str, text: str, *names: str) -> Any:
    return typer.Option(*names, help=text, rich_help_panel=panel)


def command(
    model: Annotated[
        str,
        _option(
            _WHAT,
            "Folder or Hub id; a served model's name (openai); gold, empty or majority (baseline).",
        ),
    ],
    backend: Annotated[
        str, _option(_WHAT, "auto, vllm, transformers, openai, baseline, or a plug-in's name.")
    ] = "auto",
    data: Annotated[
        str | None,
        _option(_WHAT, "Hub id (default aialt/MedINST32), a local folder in its layout, or demo."),
    ] = None,
    revision: Annotated[str | None, _option(_WHAT, "Revision of the data set on the Hub.")] = None,
    suite: Annotated[
        str | None, _option(_WHAT, "medinst32 (default), mmlu-medicine, or own (task files alone).")
    ] = None,
    tasks: Annotated[
        str | None,
        _option(_WHAT, "Names, categories or level:3, separated by commas; default all."),
    ] = None,
    task_file: Annotated[
        list[str] | None,
        _option(
            _WHAT, "YAML card of tasks of your own; repeatable. Alone unless --suite is given."
        ),
    ] = None,
    limit: Annotated[int | None, _option(_WHAT, "First N rows of each task.")] = None,
    sample: Annotated[
        int | None, _option(_WHAT, "N random rows of each task (see --seed).")
    ] = None,
    seed: Annotated[int, _option(_WHAT, "Seed of --sample, of sampling and of the intervals.")] = 0,
    shots: Annotated[
        int, _option(_PROMPT, "Demonstrations per prompt: 0 to 2 (mmlu-medicine: 0 to 5).")
    ] = 2,
    layout: Annotated[
        Literal["chat", "inline", "plain"] | None,
        _option(
            _PROMPT,
            "chat (the paper's), inline (one user message) or plain (no template); "
            "default: chat where the model has a chat template.",
        ),
    ] = None,
    system_prompt: Annotated[
        str | None, _option(_PROMPT, "System message; the paper has none.")
    ] = None,
    chat_template_arg: Annotated[
        list[str] | None,
        _option(
            _PROMPT, "key=value for the chat template, e.g. enable_thinking=false; repeatable."
        ),
    ] = None,
    overlong: Annotated[
        Literal["fit", "error"],
        _option(
            _PROMPT,
            "Too long a prompt: drop shots, then the middle of the input (fit), or refuse (error).",
        ),
    ] = "fit",
    choice_scoring: Annotated[
        Literal["logprob", "generate"],
        _option(
            _PROMPT, "mmlu-medicine: most probable letter (logprob), or a parsed answer (generate)."
        ),
    ] = "logprob",
    max_tokens: Annotated[
        int | None,
        _option(_PROMPT, "New tokens per answer; default the task's, 1024 as in the paper."),
    ] = None,
    temperature: Annotated[float, _option(_PROMPT, "0 is greedy, as in the paper.")] = 0.0,
    top_p: Annotated[float, _option(_PROMPT, "Nucleus sampling; 1 is off.")] = 1.0,
    model_revision: Annotated[
        str | None, _option(_ENGINE, "Revision of the model on the Hub.")
    ] = None,
    dtype: Annotated[str, _option(_ENGINE, "auto, bfloat16, float16 or float32.")] = "auto",
    max_model_len: Annotated[
        int | None, _option(_ENGINE, "Longest prompt and answer in tokens; default the model's.")
    ] = None,
    gpu_memory_utilization: Annotated[
        float | None, _option(_ENGINE, "Share of the GPU's memory for vLLM.")
    ] = None,
    quantization: Annotated[
        str | None, _option(_ENGINE, "Quantisation method of the weights (vLLM).")
    ] = None,
    lora: Annotated[str | None, _option(_ENGINE, "Folder of a LoRA adapter.")] = None,
    tensor_parallel_size: Annotated[
        int, _option(_ENGINE, "GPUs that share one copy of the model.")
    ] = 1,
    data_parallel_size: Annotated[
        int, _option(_ENGINE, "Copies of the model on this machine (vLLM).")
    ] = 1,
    batch_tokens: Annotated[
        int | None, _option(_ENGINE, "transformers: padded tokens per batch; default by memory.")
    ] = None,
    engine_arg: Annotated[
        list[str] | None, _option(_ENGINE, "key=value for the engine; repeatable.")
    ] = None,
    trust_remote_code: Annotated[
        bool, _option(_ENGINE, "Run code that comes with the model.", "--trust-remote-code")
    ] = False,
    allow_pickle: Annotated[
        bool, _option(_ENGINE, "Load weights that are not safetensors.", "--allow-pickle")
    ] = False,
    deterministic: Annotated[
        bool, _option(_ENGINE, "Ask the engine for reproducible outputs.", "--deterministic")
    ] = False,
    speculate: Annotated[
        bool,
        _option(
            _ENGINE,
            "n-gram speculation: extraction answers copy their input (vLLM).",
            "--speculate",
        ),
    ] = False,
    base_url: Annotated[
        list[str] | None, _option(_SERVER, "URL of an OpenAI-compatible server; repeatable.")
    ] = None,
    concurrency: Annotated[int, _option(_SERVER, "Requests in flight over all servers.")] = 64,
    api_key_env: Annotated[
        str, _option(_SERVER, "Environment variable that holds the key.")
    ] = "OPENAI_API_KEY",
    timeout: Annotated[
        float, _option(_SERVER, "Seconds until a request counts as failed.")
    ] = 600.0,
    max_retries: Annotated[
        int, _option(_SERVER, "Tries after the first, with growing pauses.")
    ] = 6,
    replicas: Annotated[int, _option(_SCALE, "Copies of the engine on a Ray cluster.")] = 1,
    ray: Annotated[str | None, _option(_SCALE, "Address of a Ray cluster, or local.")] = None,
    shard: Annotated[
        str | None,
        _option(_SCALE, "i/n: only the i-th of n parts; join them with `medinst-eval merge`."),
    ] = None,
    output: Annotated[Path, _option(_OUT, "Folder for run folders.")] = Path("results"),
    run_name: Annotated[
        str | None, _option(_OUT, "Name of the run; default model, shots and data.")
    ] = None,
    fresh: Annotated[
        bool, _option(_OUT, "Forget what an earlier run of this name left.", "--fresh")
    ] = False,
    retry_errors: Annotated[
        bool, _option(_OUT, "Ask failed requests again.", "--retry-errors")
    ] = False,
    retry_empty: Annotated[
        int, _option(_OUT, "Ask up to N times more where the answer is empty.")
    ] = 0,
    max_errors: Annotated[
        str | None, _option(_OUT, "Stop once more requests have failed: N or P%.")
    ] = None,
    offline: Annotated[bool, _option(_OUT, "Never reach out to a network.", "--offline")] = False,
    pulled: Annotated[
        str | None,
        _option(_OUT, "Folder of `data pull` that holds what is needed; implies --offline."),
    ] = None,
    quiet: Annotated[bool, _option(_OUT, "No progress and no notes.", "--quiet")] = False,
    log_to: Annotated[
        list[str] | None,
        _option(_OUT, "Log the scores to wandb, mlflow or trackio too; repeatable."),
    ] = None,
    as_json: Annotated[
        bool, _option(_OUT, "Print results.json instead of the table.", "--json")
    ] = False,
    paper_extras: Annotated[
        bool, _option(_SCORE, "paper_rouge_l and paper_word_f1 for every task.", "--paper-extras")
    ] = False,
    resamples: Annotated[
        int, _option(_SCORE, "Bootstrap resamples behind each interval.")
    ] = 10_000,
    bertscore_model: Annotated[
        str | None, _option(_SCORE, "Encoder, id or folder; default roberta-large.")
    ] = None,
    bertscore_layers: Annotated[
        int | None,
        _option(_SCORE, "Layer of the encoder; needed where bert-score does not know it."),
    ] = None,
    bertscore_rescale: Annotated[
        bool, _option(_SCORE, "Rescale with bert-score's baseline.", "--bertscore-rescale")
    ] = False,
) -> int:
    """Evaluate a model on all 32 tasks, or on some.

    A run that was stopped goes on where it was when the same command is given again.

    Exit codes: 0 done, 1 some requests failed, 2 wrong use or bad input, 130 interrupted.
    """
    from medinst_eval.config import RunConfig

    if log_to:
        from medinst_eval.export.loggers import check_tracker

        for tracker in log_to:
            check_tracker(tracker)
    if suite is None:
        suite = "own" if task_file else "medinst32"
    config = RunConfig(
        model=model,
        backend=backend,
        data=data,
        revision=revision,
        suite=suite,
        tasks=tasks,
        task_files=tuple(task_file or ()),
        limit=limit,
        sample=sample,
        seed=seed,
        shots=shots,
        layout=layout,
        system_prompt=system_prompt,
        overlong=overlong,
        choice_scoring=choice_scoring,
        max_tokens=max_tokens,
        template_args=options.key_values("--chat-template-arg", chat_template_arg or ()),
        temperature=temperature,
        top_p=top_p,
        model_revision=model_revision,
        output=output,
        run_name=run_name,
        fresh=fresh,
        retry_errors=retry_errors,
        retry_empty=retry_empty,
        max_errors=max_errors,
        offline=offline,
        pulled=pulled,
        shard=options.shard(shard),
        paper_extras=paper_extras,
        resamples=resamples,
        metric_options={
            "bertscore_model": bertscore_model,
            "bertscore_layers": bertscore_layers,
            "bertscore_rescale": bertscore_rescale,
            "offline": offline or pulled is not None,
        },
        backend_options={
            "dtype": dtype,
            "max_model_len": max_model_len,
            "quantization": quantization,
            "gpu_memory_utilization": gpu_memory_utilization,
            "lora": lora,
            "tensor_parallel_size": tensor_parallel_size,
            "batch_tokens": batch_tokens,
            "data_parallel_size": data_parallel_size,
            "trust_remote_code": trust_remote_code,
            "allow_pickle": allow_pickle,
            "deterministic": deterministic,
            "speculate": speculate,
            "engine_args": options.key_values("--engine-arg", engine_arg or ()),
            "base_urls": tuple(base_url or ()),
            "concurrency": concurrency,
            "api_key_env": api_key_env,
            "timeout_s": timeout,
            "max_retries": max_retries,
            "replicas": replicas,
            "ray_address": ray,
        },
    )
    return execute(config, quiet=quiet, as_json=as_json, log_to=log_to or ())


def execute(
    config: RunConfig,
    *,
    quiet: bool,
    as_json: bool,
    table: bool = True,
    log_to: Sequence[str] = (),
) -> int:
    """Run, print the table, and say with the exit code whether requests failed."""
    from medinst_eval.cli.progress import RunProgress
    from medinst_eval.errors import InterruptedRunError
    from medinst_eval.runner import run

    progress = RunProgress(quiet=quiet or as_json)
    try:
        with progress:
            outcome = run(config, progress)
    except (KeyboardInterrupt, InterruptedRunError) as error:
        raise InterruptedRunError(
            f"{_kept(config) if progress.total else 0} of {progress.total} samples are kept; "
            "give the same command again to go on"
        ) from error
    if table:
        show(outcome.path, outcome.results, as_json=as_json)
    for tracker in log_to:
        _log(tracker, outcome.path)
    if outcome.errors:
        err().print(
            f"{outcome.errors} requests failed, so the run is incomplete; "
            "--retry-errors asks them again",
            markup=False,
        )
        return 1
    return 0


def _kept(config: RunConfig) -> int:
    """Samples that a stopped run need not ask again, by its file.

    The progress bar may be one behind: a signal can come between a line and the count of it.
    """
    from medinst_eval.config import default_run_name
    from medinst_eval.store import PREDICTIONS, load_predictions

    folder = config.output / (config.run_name or default_run_name(config))
    stored = load_predictions(folder / PREDICTIONS).predictions.values()
    return sum(p.error is None or not config.retry_errors for p in stored)


def _log(tracker: str, path: Path) -> None:
    from medinst_eval.export import log_to
    from medinst_eval.store import read_run

    log_to(tracker, read_run(path))


def show(path: Path, results: Any, *, as_json: bool) -> None:
    """Print a run's results as a table, or as JSON for other programs."""
    from medinst_eval.cli.table import null_reasons, results_table

    if as_json:
        print(json.dumps(results, ensure_ascii=False, indent=2))
        return
    out().print(results_table(results))
    for reason in null_reasons(results):
        out().print(f"no value for {reason}", markup=False, soft_wrap=True)
    if results["absent"]:
        out().print(f"absent from the data: {', '.join(results['absent'])}", markup=False)
    out().print(f"run folder: {path}", markup=False, soft_wrap=True)
