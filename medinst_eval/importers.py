"""Outputs of other tools as run folders: the authors' result file, lm-evaluation-harness."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from medinst_eval import store
from medinst_eval.config import safe_name
from medinst_eval.errors import InputError, closest
from medinst_eval.finishing import RunRows, score_folder
from medinst_eval.manifest import now, package_version
from medinst_eval.scoring import ScoringOptions, TaskRows
from medinst_eval.suites import MEDINST32, suite_cards
from medinst_eval.tasks.card import TaskCard
from medinst_eval.types import Prediction, Sample

AUTHORS_NAMES = {
    "label_leval_f1": "paper_label_f1",
    "label_level_f1": "paper_label_f1",
    "em": "paper_em",
    "entity_level_f1": "paper_entity_f1",
    "mse": "paper_mse",
    "rouge": "paper_rouge_l",
    "f1": "paper_word_f1",
}
"""Metric names of the authors' result file (BENCHMARK.md) -> ours."""

_TOLERANCE = 1e-9
_WORD_LABEL = re.compile(r"(\S+) \[[BIO]\]")


@dataclass(frozen=True, kw_only=True)
class ForeignRow:
    """One output of another tool."""

    gold: str
    output: str
    instruction: str = ""
    input: str = ""


@dataclass(frozen=True, kw_only=True)
class Foreign:
    """What another tool's file holds."""

    kind: str
    path: Path
    tasks: Mapping[str, Sequence[ForeignRow]]
    reported: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    """Scores that the file itself states, by task and by our metric name."""


def is_foreign(path: Path) -> bool:
    """Whether a path is another tool's file (or a folder of samples files), not a run folder."""
    if path.is_dir():
        return not (path / store.MANIFEST).is_file() and bool(_samples_files(path))
    return path.is_file()


def default_name(path: Path) -> str:
    """Run name for a foreign file: its own name without the ending."""
    return safe_name(path.resolve().stem)


def read(path: Path, names: Mapping[str, str]) -> Foreign:
    """Read another tool's outputs.

    Args:
        path: The authors' result file, an lm-evaluation-harness samples file, or a folder of them.
        names: Task name there -> task name here, where they differ.

    Raises:
        InputError: Not such a file, or a task name that no card has.
    """
    if path.is_dir() or path.suffix == ".jsonl":
        return _lm_eval(path, names)
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror}") from error
    except ValueError as error:
        raise InputError(f"{path} is not JSON ({error})") from error
    return _authors(path, content, names)


def _card_name(where: str, name: str, names: Mapping[str, str]) -> str:
    wanted = names.get(name, name)
    known = {card.name.lower(): card.name for card in suite_cards(MEDINST32)}
    plain = {key.replace("-", "_"): value for key, value in known.items()}
    lowered = wanted.lower().removesuffix("-zs").replace("-", "_").removeprefix("medinst32_")
    found = known.get(wanted.lower()) or plain.get(lowered.removesuffix("_zs"))
    if found is None:
        raise InputError(
            f"{where}: no task '{wanted}'{closest(wanted, known.values())} "
            f"Map it with --task {name}=TASK"
        )
    return found


def _authors(path: Path, content: Any, names: Mapping[str, str]) -> Foreign:
    tasks: dict[str, list[ForeignRow]] = {}
    reported: dict[str, dict[str, float]] = {}
    groups = content.items() if isinstance(content, dict) else ()
    for category, members in groups:
        for name, record in members.items() if isinstance(members, dict) else ():
            if not isinstance(record, dict) or not isinstance(record.get("generated"), list):
                raise InputError(f"{path}: {category}.{name} has no list 'generated'")
            task = _card_name(str(path), name, names)
            tasks[task] = [
                _pair(path, f"{category}.{name}.generated[{number}]", row)
                for number, row in enumerate(record["generated"])
            ]
            stated = record.get("metrics") or {}
            reported[task] = {
                AUTHORS_NAMES[key]: float(value)
                for key, value in stated.items()
                if key in AUTHORS_NAMES
            }
    if not tasks:
        raise InputError(
            f"{path} is not a result file of the benchmark's authors "
            '({category: {task: {"generated": […]}}}), nor a run folder'
        )
    return Foreign(kind="authors", path=path, tasks=tasks, reported=reported)


def _pair(path: Path, where: str, row: Any) -> ForeignRow:
    if not isinstance(row, dict):
        raise InputError(f"{path}: {where} is not an object")
    for name in ("prediction", "target"):
        if not isinstance(row.get(name), str):
            raise InputError(f"{path}: {where}: field '{name}' is missing or not text")
    return ForeignRow(gold=row["target"], output=row["prediction"])


def _samples_files(folder: Path) -> list[Path]:
    return sorted(folder.rglob("samples_*.jsonl"))


def _lm_eval(path: Path, names: Mapping[str, str]) -> Foreign:
    files = _samples_files(path) if path.is_dir() else [path]
    tasks: dict[str, list[ForeignRow]] = {}
    for file in files:
        # samples_<task>_<2026-01-31T12-00-00.000000>.jsonl
        name = re.sub(r"_\d{4}-\d\d-\d\dT.*$", "", file.stem.removeprefix("samples_"))
        task = _card_name(str(file), name, names)
        if task in tasks:
            raise InputError(f"{file}: a second file for task {task}; give one file a task")
        tasks[task] = _lm_eval_rows(file)
    return Foreign(kind="lm-eval", path=path, tasks=tasks)


def _lm_eval_rows(file: Path) -> list[ForeignRow]:
    rows = []
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
    except OSError as error:
        raise InputError(f"cannot read {file}: {error.strerror}") from error
    for number, line in enumerate(lines, start=1):
        try:
            record = json.loads(line)
            answer = record.get("filtered_resps") or record["resps"][0]
            doc = record.get("doc") or {}
            gold = record["target"]
            output = answer[0] if isinstance(answer, list) else answer
        except (ValueError, KeyError, IndexError, AttributeError, TypeError) as error:
            raise InputError(
                f"{file}:{number}: not a sample of lm-evaluation-harness ({error!r})"
            ) from error
        rows.append(
            ForeignRow(
                gold=str(gold),
                output=str(output),
                instruction=str(doc.get("instruction", "")),
                input=str(doc.get("input", "")),
            )
        )
    if not rows:
        raise InputError(f"{file} holds no samples")
    return rows


# -- a run folder of them -----------------------------------------------------------------------


def make_run(found: Foreign, folder: Path, options: ScoringOptions, *, fresh: bool) -> Any:
    """Score foreign outputs and write them as a run folder; returns its results."""
    cards = {card.name: card for card in suite_cards(MEDINST32)}
    if found.reported:  # The file states ROUGE-L and word F1 of every task.
        options = replace(options, paper_extras=True)
    tasks = []
    for name in cards:
        if name in found.tasks:
            tasks.append(_task(cards[name], found.tasks[name]))
    manifest = _manifest(found, folder.name, tasks)
    with store.open_run(folder, manifest, fresh=fresh) as opened:
        for task in tasks:
            for prediction in task.predictions:
                if prediction is not None and prediction.id not in opened.predictions:
                    opened.append(prediction)
        absent = tuple(name for name in cards if name not in found.tasks)
        rows = RunRows(tasks=tuple(tasks), suite=tuple(cards.values()), absent=absent)
        return score_folder(opened, rows, options, timing={})


def _task(card: TaskCard, rows: Sequence[ForeignRow]) -> TaskRows:
    samples, predictions = [], []
    for number, row in enumerate(rows):
        text = row.input
        if not text and card.form == "word_labels":
            text = " ".join(_WORD_LABEL.findall(row.gold))
        key = hashlib.sha256(
            json.dumps([row.instruction, text, row.gold, []], ensure_ascii=False).encode()
        ).hexdigest()
        sample = Sample(
            task=card.name,
            id=f"{card.name}/{number}",
            key=key,
            instruction=row.instruction,
            input=text,
            gold=row.gold,
        )
        samples.append(sample)
        predictions.append(
            Prediction(
                task=card.name,
                id=sample.id,
                key=key,
                prompt_sha="",
                output=row.output,
                reasoning=None,
                finish_reason="stop",
                prompt_tokens=0,
                output_tokens=0,
            )
        )
    return TaskRows(card=card, samples=samples, predictions=predictions)


def _manifest(found: Foreign, run: str, tasks: Sequence[TaskRows]) -> store.Manifest:
    return {
        "schema_version": store.SCHEMA_VERSION,
        "run": run,
        "suite": MEDINST32,
        "model": {"name": found.path.stem, "revision": None, "fingerprint": "unknown"},
        "backend": {"name": f"import:{found.kind}", "version": None, "arguments": {}},
        "sampling": {"temperature": None, "top_p": None, "seed": None, "max_tokens": None},
        "prompt": {"shots": None, "layout": None, "system_prompt": None},
        "data": {
            "source": str(found.path),
            "revision": None,
            "limit": None,
            "sample": None,
            "seed": None,
            "tasks": {
                task.card.name: {
                    "digest": hashlib.sha256(
                        "".join(s.key for s in task.samples).encode()
                    ).hexdigest(),
                    "rows": len(task.samples),
                    "rows_total": len(task.samples),
                }
                for task in tasks
            },
        },
        "package": {"version": package_version(), "git_commit": None},
        "started": now(),
        "ended": now(),
    }


def differences(found: Foreign, results: Mapping[str, Any]) -> list[str]:
    """Scores that the file states and that come out otherwise here, one line each."""
    lines = []
    for task, stated in found.reported.items():
        for name, value in stated.items():
            ours = results["tasks"][task]["metrics"].get(name)
            if ours is None:
                lines.append(f"{task}: {name} is {value:.6f} in the file and not computed here")
            elif ours["value"] is None or abs(ours["value"] - value) > _TOLERANCE:
                lines.append(f"{task}: {name} is {value:.6f} in the file and {ours['value']} here")
    return lines


def agreement(found: Foreign, results: Mapping[str, Any]) -> str:
    """One line: how many stated scores were met."""
    stated = sum(len(values) for values in found.reported.values())
    different = len(differences(found, results))
    return f"{stated - different} of {stated} scores stated in {found.path.name} are met"
