"""Metrics of free text that compare strings of characters and words: ROUGE-L and chrF."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from functools import cache, lru_cache

import numpy as np

from medinst_eval.metrics.base import FloatArray, Metric, ratio
from medinst_eval.metrics.means import MeanMetric
from medinst_eval.metrics.signature import sign

ROUGE_LIBRARIES = ("rouge_score", "nltk")
_WORD = re.compile(r"[a-z0-9]+")
_CHAR_ORDER = 6
_BETA = 2


@cache
def _porter() -> object:
    from nltk.stem.porter import PorterStemmer

    return PorterStemmer()


@lru_cache(maxsize=1 << 18)
def porter_stem(word: str) -> str:
    """NLTK's Porter stem of a word, remembered."""
    return str(_porter().stem(word))  # type: ignore[attr-defined]


@lru_cache(maxsize=1 << 12)
def rouge_words(text: str) -> tuple[str, ...]:
    """Words as `rouge_score` sees them: runs of a-z and 0-9, the longer ones stemmed."""
    words = _WORD.findall(text.lower())
    stems = (porter_stem(word) if len(word) > 3 else word for word in words)
    return tuple(stem for stem in stems if stem)


def rouge_l(gold: str, answer: str) -> float:
    """ROUGE-L F-measure with stemming, 0 to 1, equal to `rouge_score`'s.

    The longest common subsequence comes from rapidfuzz, which counts 64 cells of the table at
    once; two outputs of a thousand words take microseconds instead of a second.
    """
    from rapidfuzz.distance import LCSseq

    wanted, claimed = rouge_words(gold), rouge_words(answer)
    if not wanted or not claimed:
        return 0.0
    common = LCSseq.similarity(wanted, claimed)
    precision, recall = common / len(claimed), common / len(wanted)
    return 2 * precision * recall / (precision + recall) if common else 0.0


class RougeL(MeanMetric):
    """Longest common subsequence of words between gold and answer, as an F-measure.

    Formula:
        Per row F = 2 P R / (P + R), P = LCS / words of the answer, R = LCS / words of the gold;
        mean over rows.
    Matching:
        Words are runs of a-z and 0-9 after lower-casing; words of more than 3 characters are
        Porter-stemmed.
    Trap:
        Only a-z and 0-9 are seen. A summary in other words scores low however right it is.
    Differs:
        `paper_rouge_l` takes the output as it stands; this one takes the parsed answer, and no
        answer scores 0.
    Source:
        Lin 2004, ROUGE: A Package for Automatic Evaluation of Summaries; equal to the package
        `rouge_score` (rougeL, stemmed) to 1e-9.
    """

    name = "rouge_l"
    forms = ("text",)
    citation = """@inproceedings{lin-2004-rouge,
  title = {{ROUGE}: A Package for Automatic Evaluation of Summaries},
  author = {Lin, Chin-Yew},
  booktitle = {Text Summarization Branches Out},
  year = {2004}
}"""

    def value(self, gold: str, answer: str | None) -> float:
        """F-measure of one row."""
        return 0.0 if answer is None else rouge_l(gold, answer)

    @property
    def signature(self) -> str:
        """Variant, stemming and library versions."""
        pairs = (("type", "rougeL"), ("stem", "porter"), ("avg", "rows"))
        return sign(self.name, *pairs, libraries=ROUGE_LIBRARIES)


def _ngrams(text: str, order: int) -> Counter[str]:
    return Counter([text[start : start + order] for start in range(len(text) - order + 1)])


class ChrF(Metric):
    """Character n-gram F-score over the corpus (chrF2).

    Formula:
        For n = 1 to 6, P and R of character n-grams from counts summed over the data set; both
        averaged over the n for which either side has n-grams; F with beta 2 of the two means,
        0 to 1 (sacrebleu prints it x100).
    Matching:
        Case-sensitive, white space removed, punctuation kept, no word n-grams.
    Trap:
        A corpus score is no mean of row scores: long rows weigh more.
    Differs:
        The paper reports no chrF.
    Source:
        Popović 2015, chrF: character n-gram F-score for automatic MT evaluation; equal to
        sacrebleu's `corpus_chrf` / 100 to 1e-9.
    """

    name = "chrf"
    forms = ("text",)
    citation = """@inproceedings{popovic-2015-chrf,
  title = {chr{F}: character n-gram {F}-score for automatic {MT} evaluation},
  author = {Popovi{\\'c}, Maja},
  booktitle = {Proceedings of the Tenth Workshop on Statistical Machine Translation},
  year = {2015}
}"""

    def sample_stats(self, gold: str, answer: str | None) -> Sequence[float]:
        """For n = 1 to 6: n-grams of the answer, of the gold, and shared ones."""
        wanted, claimed = "".join(gold.split()), "".join((answer or "").split())
        stats: list[float] = []
        for order in range(1, _CHAR_ORDER + 1):
            gold_grams, answer_grams = _ngrams(wanted, order), _ngrams(claimed, order)
            shared = sum(
                min(count, gold_grams[gram])
                for gram, count in answer_grams.items()
                if gram in gold_grams
            )
            # As sacrebleu: n-grams claimed against a gold too short to have any do not count.
            stats += [answer_grams.total() if gold_grams else 0, gold_grams.total(), shared]
        return stats

    def score(self, sums: FloatArray) -> FloatArray:
        """chrF2 of summed counts, shape (..., 18) -> (...); 0 where nothing is shared."""
        counts = sums.reshape(*sums.shape[:-1], _CHAR_ORDER, 3)
        claimed, wanted, shared = counts[..., 0], counts[..., 1], counts[..., 2]
        effective = (claimed > 0) & (wanted > 0)
        orders = effective.sum(axis=-1).astype(np.float64)
        precision = ratio(np.where(effective, ratio(shared, claimed), 0.0).sum(axis=-1), orders)
        recall = ratio(np.where(effective, ratio(shared, wanted), 0.0).sum(axis=-1), orders)
        factor = float(_BETA**2)
        return ratio((1 + factor) * precision * recall, factor * precision + recall)

    @property
    def signature(self) -> str:
        """sacrebleu's own keys: case, effective order, n-gram orders, white space."""
        pairs = (("case", "mixed"), ("eff", "yes"), ("nc", "6"), ("nw", "0"), ("space", "no"))
        return sign(self.name, ("beta", "2"), *pairs, ("avg", "corpus"), libraries=("sacrebleu",))
