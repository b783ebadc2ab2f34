"""`medinst-eval run`, the same as `medinst-eval --model …`: evaluate a model."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from medinst_eval.cli import options, run_options
from medinst_eval.cli.console import err, out
from medinst_eval.cli.run_options import ENGINE, PROMPT, WHAT, option

if TYPE_CHECKING:
    from medinst_eval.config import RunConfig

_SERVER, _OUT = "Servers", "Run folder and output"
_SCORE, _SCALE = "Scoring", "Many machines"


def command(
    model: Annotated[
        str,
        option(
            WHAT,
            "Folder or Hub id; a served model's name (openai); gold, empty or majority (baseline).",
        ),
    ],
    backend: Annotated[
        str, option(WHAT, "auto, vllm, transformers, openai, baseline, or a plug-in's name.")
    ] = "auto",
    data: run_options.Data = None,
    revision: run_options.Revision = None,
    suite: run_options.Suite = None,
    tasks: run_options.Tasks = None,
    task_file: run_options.TaskFile = None,
    limit: run_options.Limit = None,
    sample: run_options.Sample = None,
    seed: Annotated[int, option(WHAT, "Seed of --sample, of sampling and of the intervals.")] = 0,
    shots: run_options.Shots = 2,
    layout: Annotated[
        Literal["chat", "inline", "plain"] | None,
        option(
            PROMPT,
            "chat (the paper's), inline (one user message) or plain (no template); "
            "default: chat where the model has a chat template.",
        ),
    ] = None,
    system_prompt: run_options.SystemPrompt = None,
    chat_template_arg: Annotated[
        list[str] | None,
        option(PROMPT, "key=value for the chat template, e.g. enable_thinking=false; repeatable."),
    ] = None,
    overlong: Annotated[
        Literal["fit", "error"],
        option(
            PROMPT,
            "Too long a prompt: drop shots, then the middle of the input (fit), or refuse (error).",
        ),
    ] = "fit",
    choice_scoring: Annotated[
        Literal["logprob", "generate"],
        option(
            PROMPT, "mmlu-medicine: most probable letter (logprob), or a parsed answer (generate)."
        ),
    ] = "logprob",
    max_tokens: run_options.MaxTokens = None,
    temperature: Annotated[float, option(PROMPT, "0 is greedy, as in the paper.")] = 0.0,
    top_p: Annotated[float, option(PROMPT, "Nucleus sampling; 1 is off.")] = 1.0,
    model_revision: Annotated[
        str | None, option(ENGINE, "Revision of the model on the Hub.")
    ] = None,
    dtype: run_options.Dtype = "auto",
    max_model_len: run_options.MaxModelLen = None,
    gpu_memory_utilization: run_options.GpuMemoryUtilization = None,
    quantization: Annotated[
        str | None, option(ENGINE, "Quantisation method of the weights (vLLM).")
    ] = None,
    lora: Annotated[str | None, option(ENGINE, "Folder of a LoRA adapter.")] = None,
    tensor_parallel_size: run_options.TensorParallelSize = 1,
    data_parallel_size: Annotated[
        int, option(ENGINE, "Copies of the model on this machine (vLLM).")
    ] = 1,
    batch_tokens: run_options.BatchTokens = None,
    engine_arg: run_options.EngineArg = None,
    trust_remote_code: run_options.TrustRemoteCode = False,
    allow_pickle: Annotated[
        bool, option(ENGINE, "Load weights that are not safetensors.", "--allow-pickle")
    ] = False,
    deterministic: Annotated[
        bool, option(ENGINE, "Ask the engine for reproducible outputs.", "--deterministic")
    ] = False,
    speculate: Annotated[
        bool,
        option(
            ENGINE,
            "Guess answers from their input, n-grams of it (vLLM); slower on a CPU.",
            "--speculate",
        ),
    ] = False,
    base_url: Annotated[
        list[str] | None, option(_SERVER, "URL of an OpenAI-compatible server; repeatable.")
    ] = None,
    concurrency: Annotated[int, option(_SERVER, "Requests in flight over all servers.")] = 64,
    api_key_env: Annotated[
        str, option(_SERVER, "Environment variable that holds the key.")
    ] = "OPENAI_API_KEY",
    timeout: Annotated[float, option(_SERVER, "Seconds until a request counts as failed.")] = 600.0,
    max_retries: Annotated[int, option(_SERVER, "Tries after the first, with growing pauses.")] = 6,
    replicas: Annotated[int, option(_SCALE, "Copies of the engine on a Ray cluster.")] = 1,
    ray: Annotated[str | None, option(_SCALE, "Address of a Ray cluster, or local.")] = None,
    shard: Annotated[
        str | None,
        option(_SCALE, "i/n: only the i-th of n parts; join them with `medinst-eval merge`."),
    ] = None,
    output: Annotated[Path, option(_OUT, "Folder for run folders.")] = Path("results"),
    run_name: Annotated[
        str | None, option(_OUT, "Name of the run; default model, shots and data.")
    ] = None,
    fresh: Annotated[
        bool, option(_OUT, "Forget what an earlier run of this name left.", "--fresh")
    ] = False,
    retry_errors: Annotated[
        bool, option(_OUT, "Ask failed requests again.", "--retry-errors")
    ] = False,
    retry_empty: Annotated[
        int, option(_OUT, "Ask up to N times more where the answer is empty.")
    ] = 0,
    max_errors: Annotated[
        str | None, option(_OUT, "Stop once more requests have failed: N or P%.")
    ] = None,
    offline: Annotated[bool, option(_OUT, "Never reach out to a network.", "--offline")] = False,
    pulled: Annotated[
        str | None,
        option(_OUT, "Folder of `data pull` that holds what is needed; implies --offline."),
    ] = None,
    quiet: Annotated[bool, option(_OUT, "No progress and no notes.", "--quiet")] = False,
    log_to: Annotated[
        list[str] | None,
        option(_OUT, "Log the scores to wandb, mlflow or trackio too; repeatable."),
    ] = None,
    as_json: Annotated[
        bool, option(_OUT, "Print results.json instead of the table.", "--json")
    ] = False,
    paper_extras: Annotated[
        bool, option(_SCORE, "paper_rouge_l and paper_word_f1 for every task.", "--paper-extras")
    ] = False,
    resamples: Annotated[int, option(_SCORE, "Bootstrap resamples behind each interval.")] = 10_000,
    bertscore_model: Annotated[
        str | None, option(_SCORE, "Encoder, id or folder; default roberta-large.")
    ] = None,
    bertscore_layers: Annotated[
        int | None,
        option(_SCORE, "Layer of the encoder; needed where bert-score does not know it."),
    ] = None,
    bertscore_rescale: Annotated[
        bool, option(_SCORE, "Rescale with bert-score's baseline.", "--bertscore-rescale")
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
    from medinst_eval.config import run_name
    from medinst_eval.store import PREDICTIONS, load_predictions

    folder = config.output / run_name(config)
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
