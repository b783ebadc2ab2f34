"""`medinst-eval score`: score stored outputs, of a run folder or of another tool."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from medinst_eval.cli import options
from medinst_eval.cli.console import err, out


def command(
    path: Annotated[
        Path,
        typer.Argument(
            help="Run folder; the authors' result file (JSON); "
            "samples_*.jsonl of lm-evaluation-harness, or their folder."
        ),
    ],
    task: Annotated[
        list[str] | None,
        typer.Option(
            help="name=Task for files of other tools whose task names differ; repeatable."
        ),
    ] = None,
    output: Annotated[
        Path, typer.Option(help="Folder for run folders made of other tools' files.")
    ] = Path("results"),
    run_name: Annotated[
        str | None, typer.Option(help="Name of such a run; default the file's.")
    ] = None,
    fresh: Annotated[bool, typer.Option("--fresh", help="Overwrite a run of that name.")] = False,
    seed: Annotated[
        int | None, typer.Option(help="Seed of the intervals; default the run's.")
    ] = None,
    resamples: Annotated[
        int | None, typer.Option(help="Bootstrap resamples behind each interval.")
    ] = None,
    paper_extras: Annotated[
        bool, typer.Option("--paper-extras", help="paper_rouge_l and paper_word_f1 for every task.")
    ] = False,
    bertscore_model: Annotated[
        str | None, typer.Option(help="Encoder, id or folder; default roberta-large.")
    ] = None,
    bertscore_layers: Annotated[int | None, typer.Option(help="Layer of the encoder.")] = None,
    bertscore_rescale: Annotated[
        bool, typer.Option("--bertscore-rescale", help="Rescale with bert-score's baseline.")
    ] = False,
    offline: Annotated[
        bool, typer.Option("--offline", help="Never reach out to a network.")
    ] = False,
    pulled: Annotated[
        str | None,
        typer.Option(help="Folder of `data pull` with encoder and WordNet; implies --offline."),
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print results.json instead of the table.")
    ] = False,
) -> int:
    """Score stored outputs again, without the model; also files of other tools."""
    from medinst_eval import importers
    from medinst_eval import offline as offline_mode
    from medinst_eval.cli.run import show
    from medinst_eval.rescore import rescore, stored_options

    offline_mode.engage(pulled, offline=offline)
    metric_options = {
        "bertscore_model": bertscore_model,
        "bertscore_layers": bertscore_layers,
        "bertscore_rescale": bertscore_rescale or None,
        "offline": offline or pulled is not None,
    }
    changes = {
        "seed": seed,
        "resamples": resamples,
        "paper_extras": paper_extras or None,
        "metric_options": {k: v for k, v in metric_options.items() if v is not None},
    }
    if not importers.is_foreign(path):
        show(path, rescore(path, **changes), as_json=as_json)
        return 0
    names = {key: str(value) for key, value in options.key_values("--task", task or ()).items()}
    found = importers.read(path, names)
    folder = output / (run_name or importers.default_name(path))
    results = importers.make_run(found, folder, stored_options({}, **changes), fresh=fresh)
    show(folder, results, as_json=as_json)
    for line in importers.differences(found, results):
        err().print(line, markup=False, soft_wrap=True)
    if found.reported and not as_json:
        out().print(importers.agreement(found, results), markup=False, soft_wrap=True)
    return 0
