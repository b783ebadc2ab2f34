"""Options that `run` and `watch` share to the letter, each as the annotation of a parameter."""

from __future__ import annotations

from typing import Annotated, Any

import typer

WHAT, PROMPT, ENGINE = "What is asked", "Prompts", "Engine"


def option(panel: str, text: str, *names: str, **more: Any) -> Any:
    """A typer option under a heading of `--help`."""
    return typer.Option(*names, help=text, rich_help_panel=panel, **more)


Data = Annotated[
    str | None,
    option(WHAT, "Hub id (default aialt/MedINST32), a local folder in its layout, or demo."),
]
Revision = Annotated[str | None, option(WHAT, "Revision of the data set on the Hub.")]
Suite = Annotated[
    str | None, option(WHAT, "medinst32 (default), mmlu-medicine, or own (task files alone).")
]
Tasks = Annotated[
    str | None,
    option(WHAT, "Names, categories or level:3, separated by commas; default all."),
]
TaskFile = Annotated[
    list[str] | None,
    option(WHAT, "YAML card of tasks of your own; repeatable. Alone unless --suite is given."),
]
Limit = Annotated[int | None, option(WHAT, "First N rows of each task.")]
Sample = Annotated[int | None, option(WHAT, "N random rows of each task (see --seed).")]
Shots = Annotated[int, option(PROMPT, "Demonstrations per prompt: 0 to 2 (mmlu-medicine: 0 to 5).")]
SystemPrompt = Annotated[str | None, option(PROMPT, "System message; the paper has none.")]
MaxTokens = Annotated[
    int | None,
    option(PROMPT, "New tokens per answer; default the task's, 1024 as in the paper."),
]
Dtype = Annotated[str, option(ENGINE, "auto, bfloat16, float16 or float32.")]
MaxModelLen = Annotated[
    int | None, option(ENGINE, "Longest prompt and answer in tokens; default the model's.")
]
GpuMemoryUtilization = Annotated[
    float | None, option(ENGINE, "Share of the GPU's memory for vLLM.")
]
TensorParallelSize = Annotated[int, option(ENGINE, "GPUs that share one copy of the model.")]
BatchTokens = Annotated[
    int | None, option(ENGINE, "transformers: padded tokens per batch; default by memory.")
]
EngineArg = Annotated[list[str] | None, option(ENGINE, "key=value for the engine; repeatable.")]
TrustRemoteCode = Annotated[
    bool, option(ENGINE, "Run code that comes with the model.", "--trust-remote-code")
]
