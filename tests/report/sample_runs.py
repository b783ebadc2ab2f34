"""Made-up finished runs over all 32 tasks: invented sentences, answers that are partly wrong."""

from __future__ import annotations

import hashlib
import json
import random
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from medinst_eval.tasks import load_cards
from medinst_eval.tasks.card import TaskCard

NAMES = """
GATA-1 interleukin-2 BRCA1 p53 NF-kappa B cyclin D1 endostatin Sox9 TNF-alpha c-Myc
metformin cisplatin warfarin lithium aspirin asthma anaemia melanoma sepsis diabetes
"""
PLAIN = """
the expression of in patients with was increased after treatment and no change could be
seen compared to controls while levels during remained low suggesting a role for this
pathway although further study is needed before any conclusion on dose or outcome
"""
SYLLABLES = ("ac", "bel", "cor", "dip", "er", "fol", "gly", "hem", "in", "ki", "lo", "mut")
TYPES = ("Gene", "Chemical", "Disease", "Cell", "Tissue")


class Writer:
    """Makes rows of every form from one seed; `quality` is the chance that a part is right."""

    def __init__(self, seed: int, quality: float, length: float = 1.0) -> None:
        self.length = length
        self.data = random.Random(seed)
        self.model = random.Random(f"{seed}-{quality}")
        self.quality = quality
        self.names = NAMES.split()
        self.plain = PLAIN.split()

    def text(self, words: int) -> tuple[str, list[str]]:
        tokens: list[str] = []
        names: list[str] = []
        for _ in range(int(words * self.length)):
            draw = self.data.random()
            if draw < 0.08:
                names.append(self.data.choice(self.names))
                tokens.append(names[-1])
            elif draw < 0.4:  # rare words, as real texts have them
                tokens.append("".join(self.data.choices(SYLLABLES, k=3)))
            else:
                tokens.append(self.data.choice(self.plain))
        return " ".join(tokens), names

    def right(self) -> bool:
        return self.model.random() < self.quality

    def tuples(self, card: TaskCard, names: Sequence[str]) -> list[list[str]]:
        types = card.labels or TYPES
        out = []
        for i, name in enumerate(names):
            kind = types[sum(map(ord, name)) % len(types)]
            other = names[(i + 1) % len(names)]
            out.append(
                {
                    "entities": [name, kind],
                    "links": [name, f"NCBI Gene/{1000 + len(name)}"],
                    "mentions": [name],
                    "relations": [name, kind, other],
                    "events": [kind, other, name],
                }[card.form]
            )
        return out

    def corrupt(self, card: TaskCard, gold: list[list[str]], text: str) -> list[list[str]]:
        types = card.labels or TYPES
        kept = []
        for parts in gold:
            if self.right():
                kept.append(parts)
            elif self.model.random() < 0.5 and card.form != "mentions":
                changed = list(parts)
                changed[0 if card.form == "events" else 1] = self.model.choice(types)
                kept.append(changed)
        if not self.right():
            word = self.model.choice(text.split())
            width = {"mentions": 1, "relations": 3, "events": 3}.get(card.form, 2)
            kept.append([word, types[0], word][:width])
        return kept

    def row(self, card: TaskCard) -> tuple[str, str, Any, Any, str]:
        """Input, gold text, parsed gold, parsed answer, output text."""
        if card.form == "word_labels":
            text, names = self.text(24)
            gold = ["B" if w in names else "O" for w in text.split()]
            answer = [g if self.right() else self.model.choice("BIO") for g in gold]
            words = text.split()
            return text, tag(words, gold), gold, answer, tag(words, answer)
        if card.form in ("entities", "links", "mentions", "relations", "events"):
            text, names = self.text(120)
            gold = self.tuples(card, names)
            answer = self.corrupt(card, gold, text)
            return text, bracket(gold), gold, answer, bracket(answer)
        text, names = self.text(60)
        return self._plain(card, text, names)

    def _plain(self, card: TaskCard, text: str, names: list[str]) -> tuple[str, str, Any, Any, str]:
        if card.form == "label":
            gold = self.data.choice(card.labels)
            answer = gold if self.right() else self.model.choice(card.labels)
            return text, gold, gold, answer, f"The answer is {answer}."
        if card.form == "labels":
            many = sorted(self.data.sample(card.labels, self.data.choice((1, 1, 2))))
            said = [label for label in many if self.right()] or [self.model.choice(card.labels)]
            return text, ", ".join(many), many, said, ", ".join(said)
        if card.form == "number":
            number = self.data.randint(0, 5)
            guess = (
                number if self.right() else min(5, max(0, number + self.model.choice((-2, -1, 1))))
            )
            return text, str(number), float(number), float(guess), str(guess)
        gold, _ = (
            self.text(30) if card.category in ("SUM", "TRANSL") else (names or ["none"])[0:1] * 2
        )
        words = [w if self.right() else self.model.choice(self.plain) for w in gold.split()]
        return text, gold, gold, " ".join(words), " ".join(words)


def tag(words: Sequence[str], labels: Sequence[str]) -> str:
    return " ".join(f"{w} [{label}]" for w, label in zip(words, labels, strict=True))


def bracket(tuples: Sequence[Sequence[str]]) -> str:
    return " ".join(f"[{p[0]}{''.join(f' <{q}>' for q in p[1:])}]" for p in tuples)


def overlap(form: str, gold: Any, answer: Any) -> float:
    """A rough score of one row: enough for a page to have something to show."""
    if form == "text":
        gold, answer = gold.split(), answer.split()
    if isinstance(gold, list):
        ours, theirs = [map(str, gold)], [map(str, answer)]
        if form == "word_labels":
            return sum(g == a for g, a in zip(gold, answer, strict=True)) / len(gold)
        ours, theirs = list(map(str, gold)), list(map(str, answer))
        common = sum(min(ours.count(x), theirs.count(x)) for x in set(ours))
        return 2 * common / (len(ours) + len(theirs)) if ours or theirs else 1.0
    return float(gold == answer)


def score(value: float, n: int, *, higher: bool = True) -> dict[str, Any]:
    spread = (max(value * (1 - value), 0.0004) / n) ** 0.5 if higher else 0.2
    low = value - 1.96 * spread
    high = value + 1.96 * spread
    return {
        "value": value, "ci95": [max(low, 0.0), min(high, 1.0) if higher else high],
        "stderr": spread, "higher_is_better": higher,
        "signature": f"match:exact|n:{n}|bootstrap:10000|seed:0|version:0.1.0",
    }  # fmt: skip


def task_rows(
    card: TaskCard, rows: int, quality: float, seed: int, length: float
) -> list[dict[str, Any]]:
    writer = Writer(seed, quality, length)
    records = []
    for number in range(rows):
        text, gold_text, gold, answer, output = writer.row(card)
        status = "ok"
        if writer.model.random() > 0.96:
            status = writer.model.choice(("unparsed", "empty", "truncated", "error"))
            answer = None
            output = "" if status in ("empty", "error") else "I cannot help with that."
        value = overlap(card.form, gold, answer) if answer is not None else 0.0
        names = (*card.metrics.paper, *card.metrics.standard)
        records.append(
            {
                "task": card.name, "id": f"{card.name}/{number}",
                "key": hashlib.sha256(f"{card.name}{number}{text}".encode()).hexdigest(),
                "instruction": f"{card.title}.", "input": text, "gold": gold_text,
                "gold_answer": gold, "output": output, "answer": answer, "status": status,
                "note": "no brackets" if status == "unparsed" else "",
                "metrics": {} if status == "error" else {name: value for name in names
                            if name not in ("macro_f1", "pearson", "spearman", "paper_label_f1")},
            }
        )  # fmt: skip
    return records


def task_result(card: TaskCard, records: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    scored = [r for r in records if r["status"] != "error"]
    values = [next(iter(r["metrics"].values())) for r in scored if r["metrics"]]
    mean = sum(values) / len(values) if values else 0.0
    names = (*card.metrics.paper, *card.metrics.standard)
    metrics = {
        name: score(1.5, len(scored), higher=False) if "mse" in name else score(mean, len(scored))
        for name in dict.fromkeys(names)
    }
    counts = {s: sum(r["status"] == s for r in records) for s in ("unparsed", "empty", "truncated")}
    return {
        "category": card.category, "level": card.level, "n": len(records),
        "n_scored": len(scored), "n_errors": len(records) - len(scored), **counts,
        "overlong": 0, "clusters": len(scored), "metrics": metrics,
        "primary": {"paper": card.metrics.paper[0], "standard": card.metrics.standard[0]},
        "warnings": [],
    }  # fmt: skip


def averages(results: Mapping[str, Any], *, alone: bool) -> dict[str, Any]:
    out: dict[str, Any] = {}
    for which in ("paper", "standard"):
        used, left = {}, []
        for name, result in results.items():
            metric = result["metrics"][result["primary"][which]]
            if metric["higher_is_better"] or alone:
                used[name] = metric
            else:
                left.append(name)
        if not used:
            return averages(results, alone=True)
        mean = sum(m["value"] for m in used.values()) / len(used)
        higher = all(m["higher_is_better"] for m in used.values())
        out[which] = {
            **score(mean, 60 * len(used), higher=higher),
            "tasks": list(used), "left_out": left, "of": len(used),
        }  # fmt: skip
    return out


def write_sample_run(
    folder: Path,
    name: str,
    *,
    quality: float = 0.7,
    rows: int | Mapping[str, int] = 12,
    tasks: Sequence[str] = (),
    seed: int = 0,
    length: float = 1.0,
) -> Path:
    """Write a finished run folder.

    Args:
        folder: Where run folders live.
        name: Name of the run, as results.json gives it.
        quality: Chance that a part of an answer is right.
        rows: Rows of every task, or per task.
        tasks: Only these tasks; default all 32.
        seed: Same seed, same data: two runs that can be compared.
        length: Length of the inputs, 1 for short ones.
    """
    path = folder / f"run-{hashlib.sha256(name.encode()).hexdigest()[:8]}"
    path.mkdir(parents=True)
    cards = [c for c in load_cards() if not tasks or c.name in tasks]
    results: dict[str, Any] = {}
    with (path / "samples.jsonl").open("w", encoding="utf-8") as out:
        for card in cards:
            count = rows if isinstance(rows, int) else rows[card.name]
            records = task_rows(card, count, quality, seed, length)
            results[card.name] = task_result(card, records)
            for record in records:
                out.write(json.dumps(record, ensure_ascii=False) + "\n")
    groups: dict[str, dict[str, Any]] = {}
    for task, result in results.items():
        groups.setdefault(result["category"], {})[task] = result
    (path / "results.json").write_text(
        json.dumps(
            {
                "schema_version": 1, "run": name, "model": f"models/{name}", "shots": 2,
                "suite": "medinst32", "complete": True, "absent": [], "warnings": [],
                "tasks": results,
                "categories": {g: averages(members, alone=False) for g, members in groups.items()},
                "overall": averages(results, alone=False),
                "timing": {"load_s": 21.4, "generate_s": 1204.2, "score_s": 12.0,
                           "prompt_tokens": 9_120_332, "output_tokens": 881_020},
            },
            ensure_ascii=False,
        )
    )  # fmt: skip
    (path / "manifest.json").write_text(json.dumps(manifest(name, results), ensure_ascii=False))
    return path


def manifest(name: str, results: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "schema_version": 1, "run": name, "suite": "medinst32",
        "model": {"name": f"models/{name}", "revision": None, "fingerprint": "9f2c11ab" * 8},
        "backend": {"name": "vllm", "version": "0.32.0", "arguments": {"dtype": "bfloat16"}},
        "sampling": {"temperature": 0.0, "top_p": 1.0, "seed": 0, "max_tokens": 1024},
        "prompt": {"shots": 2, "layout": "chat", "system_prompt": None, "template_args": {},
                   "overlong": "fit"},
        "data": {"source": "aialt/MedINST32", "revision": "3f1c0de", "limit": None,
                 "sample": None, "seed": None, "absent": [],
                 "tasks": {t: {"digest": "ab" * 32, "rows": r["n"], "rows_total": r["n"]}
                           for t, r in results.items()}},
        "package": {"version": "0.1.0", "git_commit": None},
        "platform": {"python": "3.11.2", "system": "Linux", "machine": "x86_64"},
        "started": "2026-07-01T09:00:00+00:00", "ended": "2026-07-01T09:21:00+00:00",
    }  # fmt: skip


def edit_results(folder: Path, change: Any) -> None:
    """Change results.json in place."""
    path = folder / "results.json"
    content = json.loads(path.read_text(encoding="utf-8"))
    change(content)
    path.write_text(json.dumps(content, ensure_ascii=False), encoding="utf-8")
