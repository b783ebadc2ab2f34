"""METEOR as NLTK computes it, with stems and synonyms remembered and many rows in parallel."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise

import numpy as np

from medinst_eval.metrics.base import FloatArray, MetricUnavailable
from medinst_eval.metrics.means import MeanMetric
from medinst_eval.metrics.signature import sign
from medinst_eval.metrics.text import porter_stem
from medinst_eval.metrics.wordnet import reader, synonyms

ALPHA, BETA, GAMMA = 0.9, 3.0, 0.5
_TOKEN = re.compile(r"\w+|[^\w\s]+")

_ROWS_PER_PROCESS = 10_000
"""A process needs seconds to load WordNet: less work than this is done sooner without it."""

Places = list[tuple[int, str]]
"""Words that are not matched yet, with their places."""


def tokens(text: str) -> list[str]:
    """Lower-cased tokens: NLTK's `wordpunct_tokenize`, which needs no downloaded model."""
    return [token.lower() for token in _TOKEN.findall(text)]


def _match(
    answer: Places, gold: Places, candidates: Iterable[Iterable[str]]
) -> tuple[list[tuple[int, int]], Places, Places]:
    """Give each answer word, last first, the last free gold word among its candidates."""
    free: dict[str, list[int]] = {}
    for slot, (_, word) in enumerate(gold):
        free.setdefault(word, []).append(slot)
    pairs: list[tuple[int, int]] = []
    used_answer: set[int] = set()
    used_gold: set[int] = set()
    for slot, words in reversed(list(enumerate(candidates))):
        best = max((free[word][-1] for word in words if free.get(word)), default=-1)
        if best >= 0:
            free[gold[best][1]].pop()
            used_answer.add(slot)
            used_gold.add(best)
            pairs.append((answer[slot][0], gold[best][0]))
    return (
        pairs,
        [item for slot, item in enumerate(answer) if slot not in used_answer],
        [item for slot, item in enumerate(gold) if slot not in used_gold],
    )


def align(gold: Sequence[str], answer: Sequence[str]) -> list[tuple[int, int]]:
    """Matched places (answer, gold) in order of the answer: equal words, then stems, then
    synonyms. As in NLTK, the words left over after the stems go on as stems.
    """
    left_answer, left_gold = list(enumerate(answer)), list(enumerate(gold))
    pairs, left_answer, left_gold = _match(left_answer, left_gold, [(w,) for w in answer])
    left_answer = [(place, porter_stem(word)) for place, word in left_answer]
    left_gold = [(place, porter_stem(word)) for place, word in left_gold]
    stems = [(word,) for _, word in left_answer]
    more, left_answer, left_gold = _match(left_answer, left_gold, stems)
    if left_answer and left_gold:
        names = [synonyms(word) for _, word in left_answer]
        last, _, _ = _match(left_answer, left_gold, names)
        more += last
    return sorted(pairs + more)


def _chunks(pairs: Sequence[tuple[int, int]]) -> int:
    """Runs of matches that are adjacent in both texts."""
    return 1 + sum(
        (after[0] - before[0], after[1] - before[1]) != (1, 1) for before, after in pairwise(pairs)
    )


def meteor(gold: str, answer: str) -> float:
    """METEOR of one pair, 0 to 1, equal to `nltk.translate.meteor_score.single_meteor_score`.

    Raises:
        MetricUnavailable: WordNet is not to be had.
    """
    wanted, claimed = tokens(gold), tokens(answer)
    pairs = align(wanted, claimed)
    if not pairs:
        return 0.0
    # The order of the operations is NLTK's, so that the last bit agrees.
    precision, recall = len(pairs) / len(claimed), len(pairs) / len(wanted)
    mean = (precision * recall) / (ALPHA * precision + (1 - ALPHA) * recall)
    penalty = GAMMA * (float(_chunks(pairs)) / len(pairs)) ** BETA
    return float((1 - penalty) * mean)


def meteor_pairs(pairs: Sequence[tuple[str, str]], processes: int | None = None) -> list[float]:
    """METEOR of many (gold, answer) pairs.

    Args:
        pairs: Golds and answers.
        processes: How many share the work; default: as many as are worth starting.

    Raises:
        MetricUnavailable: WordNet is not to be had.
    """
    reader()
    if processes is None:
        cpus = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
        processes = min(cpus or 1, len(pairs) // _ROWS_PER_PROCESS)
    if processes < 2:
        return [meteor(gold, answer) for gold, answer in pairs]
    size = -(-len(pairs) // processes)
    parts = [pairs[start : start + size] for start in range(0, len(pairs), size)]
    with ThreadPoolExecutor(len(parts)) as threads:
        return [value for part in threads.map(_in_process, parts) for value in part]


def _in_process(pairs: Sequence[tuple[str, str]]) -> list[float]:
    """METEOR of some pairs in a Python of their own, or here where it cannot be started.

    A plain command and not `multiprocessing`, whose children would import the caller's script
    again, and whose forks do not go with an engine's threads.
    """
    command = [sys.executable or "python", "-m", __spec__.name]
    try:
        done = subprocess.run(
            command, input=json.dumps(pairs).encode(), capture_output=True, check=True
        )
        values: list[float] = json.loads(done.stdout)
    except (OSError, subprocess.CalledProcessError, ValueError):
        return [meteor(gold, answer) for gold, answer in pairs]
    return values


class Meteor(MeanMetric):
    """Words matched between gold and answer, as they are, by stem or by synonym, with a penalty
    for a scattered order.

    Formula:
        Per row (1 - 0.5 (chunks / matches)³) P R / (0.9 P + 0.1 R); mean over rows. P = matches /
        tokens of the answer, R = matches / tokens of the gold.
    Matching:
        Lower-cased tokens of NLTK's `wordpunct_tokenize` (runs of word characters, runs of
        signs): first equal ones, then equal Porter stems, then WordNet synonyms.
    Trap:
        A perfect copy scores a little under 1: m matches in one chunk still cost 0.5 / m³. Other
        tokenizers and WordNet versions give other numbers; both are in the signature.
    Differs:
        The paper publishes METEOR for Multi-XScience and ParaMed without naming tokenizer or
        version, so its column is near but not the same.
    Source:
        Lavie and Agarwal 2007; equal to `nltk.translate.meteor_score.single_meteor_score`.
    """

    name = "meteor"
    forms = ("text",)
    citation = """@inproceedings{lavie-agarwal-2007-meteor,
  title = {{METEOR}: An Automatic Metric for {MT} Evaluation with High Levels of Correlation with
           Human Judgments},
  author = {Lavie, Alon and Agarwal, Abhaya},
  booktitle = {Proceedings of the Second Workshop on Statistical Machine Translation},
  year = {2007}
}"""

    def value(self, gold: str, answer: str | None) -> float:
        """METEOR of one row."""
        return 0.0 if answer is None else meteor(gold, answer)

    def batch_stats(self, golds: Sequence[str], answers: Sequence[str | None]) -> FloatArray:
        """(value, 1) of every row; several processes share the work where there is much."""
        values = meteor_pairs([(g, a or "") for g, a in zip(golds, answers, strict=True)])
        return np.column_stack([np.asarray(values, dtype=np.float64), np.ones(len(values))])

    @property
    def signature(self) -> str:
        """Parameters, tokenizer, stemmer, versions of NLTK and WordNet."""
        try:
            version = str(reader().get_version())
        except MetricUnavailable:
            version = "absent"
        pairs = (
            ("alpha", f"{ALPHA:g}"),
            ("beta", f"{BETA:g}"),
            ("gamma", f"{GAMMA:g}"),
            ("tok", "wordpunct"),
            ("case", "lc"),
            ("stem", "porter"),
            ("wordnet", version),
        )
        return sign(self.name, *pairs, libraries=("nltk",))


if __name__ == "__main__":
    json.dump(meteor_pairs(json.load(sys.stdin), processes=1), sys.stdout)
