"""The paper's metrics, equal to the authors' script with its traps.

Their numbers are comparable with the published tables and with nothing else. Gold and output are
raw texts: no parser stands between them. For each trap there is a standard metric without it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from medinst_eval.metrics.base import FloatArray, Metric, MetricContext
from medinst_eval.metrics.counts import macro_f1, multiset_f1
from medinst_eval.metrics.means import MeanMetric
from medinst_eval.metrics.normalise import PAPER_RULE, paper_normalise
from medinst_eval.metrics.signature import sign
from medinst_eval.metrics.text import ROUGE_LIBRARIES, rouge_l

CITATION = """@inproceedings{han-etal-2024-medinst,
  title = {{MedINST}: Meta Dataset of Biomedical Instructions},
  author = {Han, Wenhan and Fang, Meng and Zhang, Zihan and Yin, Yu and Song, Zirui and
            Chen, Ling and Pechenizkiy, Mykola and Chen, Qingyu},
  booktitle = {Findings of the Association for Computational Linguistics: EMNLP 2024},
  year = {2024}
}"""

_WORD_LABEL = re.compile(r"\[([BIO])\]")
_DIGITS = re.compile(r"\d+")
_WORD_LABELS = ("B", "I", "O")
_PADDING = "N"


def bracketed(text: str) -> list[str]:
    """Top-level bracketed strings of a text, without their outer brackets, as they stand.

    Inner brackets stay in the string; a `]` that closes nothing is skipped; a `[` that is never
    closed yields nothing, and neither does all that follows it.
    """
    found: list[str] = []
    depth = start = 0
    for position, char in enumerate(text):
        if char == "[":
            if depth == 0:
                start = position + 1
            depth += 1
        elif char == "]" and depth:
            depth -= 1
            if depth == 0:
                found.append(text[start:position])
    return found


class PaperLabelF1(Metric):
    """Macro F1 over labels, as the authors compute it.

    Formula:
        Mean over the labels that occur in the gold of F1 = 2 tp / (2 tp + fp + fn), with tp, fp
        and fn summed over the data set.
    Matching:
        Word labels (the authors' `label_leval_f1`, rule `bio`): all occurrences of `[B]`, `[I]`
        and `[O]` in the gold and in the output, in order; the output's list is cut to the gold's
        length or padded with a label N. Single labels (`label_level_f1`, rule `cls`): the whole
        output, lower-cased, without ASCII punctuation and without the words a, an, the.
    Trap:
        Word labels: the words are ignored, so one label missed or added shifts all that follow;
        `[B-Disease]` is no label; O is a class like the others and carries a third of the score.
        Single labels: "The answer is 'Supports'." is wrong.
    Differs:
        `entity_f1` aligns the labels to the words and counts whole entities; `accuracy` and
        `macro_f1` read the label out of the answer.
    Source:
        The authors' evaluation script; MedINST, Findings of EMNLP 2024.
    """

    name = "paper_label_f1"
    reads = "text"
    forms = ("word_labels", "label")
    citation = CITATION

    def __init__(self, context: MetricContext) -> None:
        super().__init__(context)
        self._by_word = context.form == "word_labels"
        self.labels: tuple[str, ...] = (
            _WORD_LABELS
            if self._by_word
            else tuple(sorted({paper_normalise(str(gold)) for gold in context.golds}))
        )
        """Labels in the order of the statistics."""
        self._rows = {label: row for row, label in enumerate(self.labels)}

    def _labels_of(self, gold: str, answer: str) -> tuple[list[str], list[str]]:
        if not self._by_word:
            return [paper_normalise(gold)], [paper_normalise(answer)]
        wanted = _WORD_LABEL.findall(gold)
        claimed = _WORD_LABEL.findall(answer)[: len(wanted)]
        return wanted, claimed + [_PADDING] * (len(wanted) - len(claimed))

    def sample_stats(self, gold: str, answer: str) -> Sequence[float]:
        """tp, fp, fn of each label in turn."""
        stats = [0.0] * (3 * len(self.labels))
        for wanted, claimed in zip(*self._labels_of(gold, answer), strict=True):
            if wanted == claimed:
                stats[3 * self._rows[wanted]] += 1
                continue
            stats[3 * self._rows[wanted] + 2] += 1
            if claimed in self._rows:
                stats[3 * self._rows[claimed] + 1] += 1
        return stats

    def score(self, sums: FloatArray) -> FloatArray:
        """Macro F1, shape (..., labels * 3) -> (...)."""
        return macro_f1(sums)

    @property
    def signature(self) -> str:
        """Rule, label set and normalisation."""
        if self._by_word:
            return sign(self.name, ("rule", "bio"), ("labels", "in-gold"), ("pad", _PADDING))
        return sign(self.name, ("rule", "cls"), ("labels", "in-gold"), ("norm", PAPER_RULE))


class PaperEntityF1(MeanMetric):
    """F1 of the bracketed strings (or of the joined labels) of each row, averaged over rows.

    Formula:
        Per row F1 = 2 P R / (P + R) over multisets, 0 where they share nothing; mean over rows.
    Matching:
        Bracket forms (the authors' rule `entity`): the top-level bracketed strings of each text
        (a scan with a depth counter), lower-cased, without ASCII punctuation and without the
        words a, an, the, compared whole. Several labels (rule `multicls`): the text split at
        ", ", each part lower-cased and stripped.
    Trap:
        Nested brackets stay in one string; an unclosed `[` yields nothing; a gold and an output
        both without brackets score 0, so that a row with nothing to find cannot be won;
        "[BRCA1, Gene]" equals "[BRCA1 <Gene>]"; "hepatitis A" equals "hepatitis". A mean over
        rows gives a row with one entity the weight of a row with fifty.
    Differs:
        `entity_f1`, `link_f1`, `relation_f1`, `event_f1` and `mention_f1` compare mention and
        type apart and count over the corpus; `micro_f1` counts labels over the corpus.
    Source:
        The authors' evaluation script (`entity_level_f1`); MedINST, Findings of EMNLP 2024.
    """

    name = "paper_entity_f1"
    reads = "text"
    forms = ("entities", "links", "relations", "events", "mentions", "labels")
    citation = CITATION

    def _items(self, text: str) -> list[str]:
        if self.context.form == "labels":
            return [part.lower().strip() for part in text.split(", ")]
        return [paper_normalise(item) for item in bracketed(text)]

    def value(self, gold: str, answer: str) -> float:
        """F1 of one row."""
        return multiset_f1(self._items(gold), self._items(answer))

    @property
    def signature(self) -> str:
        """Rule, normalisation and averaging."""
        if self.context.form == "labels":
            return sign(self.name, ("rule", "multicls"), ("norm", "lower-strip"), ("avg", "rows"))
        return sign(self.name, ("rule", "entity"), ("norm", PAPER_RULE), ("avg", "rows"))


class PaperExactMatch(MeanMetric):
    """Share of rows whose output equals the gold after the paper's normalisation.

    Formula:
        Rows with normalise(output) = normalise(gold) / rows.
    Matching:
        Both texts whole, lower-cased, without ASCII punctuation and without the words a, an, the.
    Trap:
        Any word around the answer makes it wrong; an option's letter is wrong; the options "A"
        and "The" become empty and equal an empty output; "-5" equals "5" and "1.5" equals "15".
    Differs:
        `accuracy` takes the option that was chosen by text, letter or number.
    Source:
        The authors' evaluation script (`em`); MedINST, Findings of EMNLP 2024.
    """

    name = "paper_em"
    reads = "text"
    citation = CITATION

    def value(self, gold: str, answer: str) -> float:
        """1 or 0."""
        return float(paper_normalise(gold) == paper_normalise(answer))

    @property
    def signature(self) -> str:
        """Normalisation."""
        return sign(self.name, ("rule", "em"), ("norm", PAPER_RULE), ("avg", "rows"))


def _single_number(text: str) -> int | None:
    """The one distinct whole number 0 to 5 of a text, else None."""
    numbers = {_whole(run) for run in _DIGITS.findall(text)}
    number = numbers.pop() if len(numbers) == 1 else -1
    return number if 0 <= number <= 5 else None


def _whole(run: str) -> int:
    """A run of digits (of any script) as a number; -1 for one above 9, which is off the scale.

    Python refuses to convert runs of thousands of digits, so the length decides first.
    """
    first = next((place for place, digit in enumerate(run) if int(digit)), len(run) - 1)
    return int(run[first]) if first == len(run) - 1 else -1


class PaperMse(MeanMetric):
    """Mean squared error of the whole numbers found in gold and output.

    Formula:
        Mean over rows of (output - gold)².
    Matching:
        The set of distinct runs of digits in each text; unless both sets hold exactly one number
        and both are 0 to 5, the pair counts as (0, 5), an error of 25.
    Trap:
        "3.5", "3 out of 5" and "" cost 25, as much as the worst wrong number there is, while
        "Score: 3" and "4/4" parse. Lower is better.
    Differs:
        `pearson`, `spearman` and `mse` read "3.5" and "3 out of 5".
    Source:
        The authors' evaluation script (`mse`); MedINST, Findings of EMNLP 2024.
    """

    name = "paper_mse"
    reads = "text"
    forms = ("number",)
    higher_is_better = False
    bounds = (0.0, 25.0)
    citation = CITATION

    def value(self, gold: str, answer: str) -> float:
        """Squared error of one row."""
        wanted, claimed = _single_number(gold), _single_number(answer)
        if wanted is None or claimed is None:
            return 25.0
        return float((wanted - claimed) ** 2)

    @property
    def signature(self) -> str:
        """Rule and scale."""
        return sign(self.name, ("rule", "mse"), ("scale", "0-5"), ("unparsed", "25"))


class PaperRougeL(MeanMetric):
    """ROUGE-L F-measure with stemming, averaged over rows.

    Formula:
        Per row F = 2 P R / (P + R), P = LCS / words of the output, R = LCS / words of the gold,
        LCS the longest common subsequence of words; mean over rows.
    Matching:
        Words are runs of a-z and 0-9 after lower-casing; words of more than 3 characters are
        Porter-stemmed. The output is taken as it stands.
    Trap:
        The tokenizer keeps only a-z and 0-9: "α-synuclein" is "synuclein", and a gold of Chinese
        or of signs alone scores 0 whatever the output.
    Differs:
        `rouge_l` is the same number on the parsed answer; `bertscore_f1` and `meteor` see
        synonyms and meaning.
    Source:
        The authors' evaluation script (`rouge`), the package `rouge_score`; Lin 2004.
    """

    name = "paper_rouge_l"
    reads = "text"
    citation = CITATION

    def value(self, gold: str, answer: str) -> float:
        """F-measure of one row."""
        return rouge_l(gold, answer)

    @property
    def signature(self) -> str:
        """Variant, stemming and library versions."""
        pairs = (("rule", "rouge"), ("type", "rougeL"), ("stem", "porter"), ("avg", "rows"))
        return sign(self.name, *pairs, libraries=ROUGE_LIBRARIES)


class PaperWordF1(MeanMetric):
    """F1 of the words of each row, averaged over rows; never a headline.

    Formula:
        Per row F1 = 2 P R / (P + R) over multisets of words, 0 where none is shared; mean.
    Matching:
        Both texts lower-cased, without ASCII punctuation and the words a, an, the, split at
        white space.
    Trap:
        Order does not count; brackets vanish, so a wrong type costs one word of many.
    Differs:
        No standard metric corresponds to it.
    Source:
        The authors' evaluation script (`f1`); MedINST, Findings of EMNLP 2024.
    """

    name = "paper_word_f1"
    reads = "text"
    citation = CITATION

    def value(self, gold: str, answer: str) -> float:
        """F1 of one row."""
        return multiset_f1(paper_normalise(gold).split(), paper_normalise(answer).split())

    @property
    def signature(self) -> str:
        """Rule and normalisation."""
        return sign(self.name, ("rule", "f1"), ("norm", PAPER_RULE), ("avg", "rows"))
