"""Made-up finished run folders, written straight to the documented files.

Rows are told right or wrong, answers and statistics follow from the task's form and metrics.
"""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from medinst_eval import metrics, stats
from medinst_eval.metrics.base import Metric, MetricContext
from medinst_eval.tasks import load_cards
from medinst_eval.tasks.card import TaskCard

CARDS = {card.name: card for card in load_cards()}
NEEDS_A_MODEL = ("bertscore_f1", "meteor")
"""Metrics whose values are made up instead of computed."""
FORMS: dict[str, Any] = {
    "entities": (("gene {i}", "Gene"), ("other {i}", "Gene")),
    "links": (("gene {i}", "db/{i}"), ("gene {i}", "db/x")),
    "relations": (("a {i}", "binds", "b {i}"), ("a {i}", "binds", "c {i}")),
    "events": (("Binding", "binds {i}", "a"), ("Binding", "blocks {i}", "a")),
    "mentions": (("it {i}",), ("they {i}",)),
}


@dataclass(frozen=True, kw_only=True)
class Rows:
    """A task's rows in a run.

    Attributes:
        right: Right or wrong, per row.
        status: Per row; default `ok`. A row that is not `ok` has no answer.
        clusters: Document per row; default its own.
        first: Number of the first row.
    """

    right: Sequence[bool]
    status: Sequence[str] = ()
    clusters: Sequence[int] = ()
    first: int = 0

    def statuses(self) -> list[str]:
        return list(self.status) or ["ok"] * len(self.right)


def make(rows: int, share: float, seed: int) -> Rows:
    """Rows that are right with this chance."""
    return Rows(right=list(np.random.default_rng(seed).random(rows) < share))


def answers(card: TaskCard, number: int) -> tuple[Any, Any]:
    """The right and a wrong answer of a row, parsed."""
    labels = card.labels or ("yes", "no")
    right, wrong = labels[number % len(labels)], labels[(number + 1) % len(labels)]
    if card.form in FORMS:
        one, two = FORMS[card.form]
        return (
            (tuple(p.format(i=number) for p in one),),
            (tuple(p.format(i=number) for p in two),),
        )
    return {
        "label": (right, wrong),
        "labels": ((right,), (wrong,)),
        "word_labels": (("O", "B", "I"), ("O", "O", "O")),
        "choice": (f"drug {number}", f"drug {number + 1}"),
        "number": (float(number % 6), float((number + 3) % 6)),
        "text": (f"patient number {number} was well", f"nothing can be said of {number}"),
    }[card.form]


def text(card: TaskCard, answer: Any) -> str:
    """An answer in the benchmark's form."""
    if answer is None:
        return ""
    if card.form in FORMS:
        return " ".join(f"[{part[0]} <{' '.join(part[1:])}>]" for part in answer)
    if card.form == "word_labels":
        return " ".join(f"w{n} [{label}]" for n, label in enumerate(answer))
    if card.form == "labels":
        return ", ".join(answer)
    return f"{answer:g}" if card.form == "number" else str(answer)


def samples(card: TaskCard, rows: Rows, shots: int = 2) -> list[dict[str, Any]]:
    """Lines of `samples.jsonl`, without metric values."""
    lines = []
    for place, (right, status) in enumerate(zip(rows.right, rows.statuses(), strict=True)):
        number = rows.first + place
        gold, wrong = answers(card, number)
        answer = (gold if right else wrong) if status in ("ok", "truncated") else None
        output = text(card, answer) if status != "unparsed" else "I cannot say."
        lines.append(
            {
                "task": card.name, "id": f"{card.name}/{number}",
                "key": hashlib.sha256(f"{card.name}{number}{shots}".encode()).hexdigest(),
                "input": f"Input {number} of {card.name}.", "gold": text(card, gold),
                "gold_answer": gold, "answer": answer, "status": status, "output": output,
                "note": "", "metrics": {},
            }
        )  # fmt: skip
    return lines


def table(metric: Metric, lines: Sequence[Mapping[str, Any]]) -> np.ndarray:
    """Statistics of the scored lines."""
    if metric.name in NEEDS_A_MODEL:
        return np.array([[0.9 if s["output"] == s["gold"] else 0.5, 1.0] for s in lines])
    gold, answer = ("gold", "output") if metric.reads == "text" else ("gold_answer", "answer")
    return metric.batch_stats([s[gold] for s in lines], [s[answer] for s in lines])


def write_run(
    path: Path,
    tasks: Mapping[str, Rows],
    *,
    shots: int = 2,
    model: str | None = None,
    unavailable: Sequence[str] = (),
    manifest: Mapping[str, Mapping[str, Any]] | None = None,
    signature: str = "",
) -> Path:
    """Write a run folder.

    Args:
        path: The folder; its name is the run's.
        tasks: Task -> rows.
        shots: Demonstrations.
        model: Model name; default the run's.
        unavailable: Metrics that could not be computed.
        manifest: Changes to parts of the manifest.
        signature: Added to every metric's signature.
    """
    path.mkdir(parents=True)
    arrays: dict[str, np.ndarray] = {}
    lines: list[dict[str, Any]] = []
    results: dict[str, Any] = {}
    for name, rows in tasks.items():
        card = CARDS[name]
        own = samples(card, rows, shots)
        results[name] = _task(card, own, rows, arrays, unavailable, signature)
        lines += own
    with (path / "samples.jsonl").open("w") as out:
        out.writelines(json.dumps(line) + "\n" for line in lines)
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)  # type: ignore[arg-type]
    (path / "stats.npz").write_bytes(buffer.getvalue())
    facts = {
        "schema_version": 1, "run": path.name, "model": model or path.name, "shots": shots,
        "suite": "medinst32",
        "complete": all("error" not in rows.statuses() for rows in tasks.values()),
        "absent": [name for name in CARDS if name not in tasks], "warnings": [],
        "tasks": results, "categories": _categories(results),
        "overall": _averages(list(results), results, whole=True), "timing": {},
    }  # fmt: skip
    (path / "results.json").write_text(json.dumps(facts))
    (path / "manifest.json").write_text(
        json.dumps(_manifest(path.name, model, shots, manifest or {}))
    )
    return path


def _task(
    card: TaskCard,
    lines: list[dict[str, Any]],
    rows: Rows,
    arrays: dict[str, np.ndarray],
    unavailable: Sequence[str],
    signature: str,
) -> dict[str, Any]:
    kept = [n for n, line in enumerate(lines) if line["status"] != "error"]
    scored = [lines[n] for n in kept]
    clusters = np.array([rows.clusters[n] for n in kept] if rows.clusters else kept)
    arrays[f"{card.name}|#clusters"] = clusters.astype(np.int64)
    entries: dict[str, Any] = {}
    for name in dict.fromkeys((*card.metrics.paper, *card.metrics.standard)):
        kind = metrics.get(name)
        if name in unavailable or not scored:
            entries[name] = {
                "value": None, "ci95": None, "stderr": None, "signature": "",
                "higher_is_better": kind.higher_is_better, "reason": "no encoder; run score later",
            }  # fmt: skip
            continue
        golds = [s["gold" if kind.reads == "text" else "gold_answer"] for s in scored]
        context = MetricContext(form=card.form, golds=golds, labels=card.labels, scale=card.scale)
        metric = metrics.create(name, context)
        found = table(metric, scored)
        arrays[f"{card.name}|{name}"] = found
        whole = stats.Table(found, metric.score, metric.is_sum)
        (draws,) = stats.bootstrap([whole], resamples=200)
        entries[name] = {
            "value": whole.value(), "ci95": list(stats.interval(draws)),
            "stderr": stats.stderr(draws), "higher_is_better": metric.higher_is_better,
            "signature": f"metric:{name}{signature}|bootstrap:200|seed:0",
        }  # fmt: skip
        if metric.per_row:
            values = metric.score(found if metric.is_sum else found[:, None, :])
            for line, value in zip(scored, values, strict=True):
                line["metrics"][name] = round(float(value), 6)
    counts = {s: sum(line["status"] == s for line in lines) for s in ("unparsed", "empty")}
    return {
        "category": card.category, "level": card.level, "n": len(lines), "n_scored": len(scored),
        "n_errors": len(lines) - len(scored), **counts,
        "truncated": sum(line["status"] == "truncated" for line in lines), "overlong": 0,
        "metrics": entries,
        "primary": {"paper": card.metrics.paper[0], "standard": card.metrics.standard[0]},
        "warnings": [],
    }  # fmt: skip


def _categories(results: Mapping[str, Any]) -> dict[str, Any]:
    groups = dict.fromkeys(entry["category"] for entry in results.values())
    return {
        group: _averages(
            [name for name, entry in results.items() if entry["category"] == group], results
        )
        for group in groups
    }


def _averages(
    names: Sequence[str], results: Mapping[str, Any], *, whole: bool = False
) -> dict[str, Any]:
    averages = {}
    for which in ("paper", "standard"):
        scores = {n: results[n]["metrics"][results[n]["primary"][which]] for n in names}
        higher = {n: s for n, s in scores.items() if s["higher_is_better"]}
        used = higher or ({} if whole else scores)
        used = {n: s for n, s in used.items() if s["value"] is not None}
        value = float(np.mean([s["value"] for s in used.values()])) if used else None
        averages[which] = {
            "value": value, "ci95": None if value is None else [value - 0.02, value + 0.02],
            "stderr": 0.01, "higher_is_better": bool(higher), "signature": "mean",
            "tasks": list(used), "left_out": [n for n in names if n not in used], "of": len(names),
        }  # fmt: skip
    return averages


def _manifest(
    name: str, model: str | None, shots: int, changes: Mapping[str, Mapping[str, Any]]
) -> dict[str, Any]:
    whole: dict[str, Any] = {
        "schema_version": 1, "run": name, "suite": "medinst32",
        "model": {"name": model or name, "revision": None, "fingerprint": "f"},
        "backend": {"name": "baseline", "version": "1", "arguments": {}},
        "sampling": {"temperature": 0.0, "top_p": 1.0, "seed": 0, "max_tokens": None},
        "prompt": {
            "shots": shots, "layout": "chat", "system_prompt": None, "template_args": {},
            "overlong": "fit",
        },
        "data": {"source": "made up", "revision": None, "limit": None, "sample": None, "seed": 0},
        "scoring": {"seed": 0, "resamples": 200, "metric_options": {}},
    }  # fmt: skip
    for part, values in changes.items():
        whole[part] = {**whole[part], **values} if isinstance(whole[part], dict) else values
    return whole
