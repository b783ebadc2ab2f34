"""BERTScore through bert-score: one batched pass over all pairs of all tasks that ask for it."""

from __future__ import annotations

from collections import ChainMap, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

import numpy as np

from medinst_eval.metrics.base import FloatArray, MetricContext, MetricUnavailable
from medinst_eval.metrics.encoder import (
    DEFAULT_ENCODER,
    Encoder,
    batch_size,
    default_layers,
    identity,
    load,
)
from medinst_eval.metrics.means import MeanMetric
from medinst_eval.metrics.signature import sign

Pair = tuple[str, str]
"""(gold, answer)."""

_WINDOW = 128
"""Pairs whose embeddings are held at once: at 512 tokens of 1,024 floats half a gigabyte."""


@dataclass(frozen=True, kw_only=True)
class BertScoreSettings:
    """What changes a BERTScore.

    Attributes:
        model: Hub id or folder of the encoder; default: bert-score's for English, roberta-large.
        layers: Layer whose states are compared; default: the one bert-score names for the model.
        rescale: Rescale with bert-score's baseline for English, which spreads the scores.
        device: `cpu`, `cuda`, `cuda:1`; default: the GPU where there is one.
    """

    model: str | None = None
    layers: int | None = None
    rescale: bool = False
    device: str | None = None

    @classmethod
    def from_options(cls, options: Mapping[str, Any]) -> BertScoreSettings:
        """Settings from the options `bertscore_model`, `_layers`, `_rescale`, `_device`."""
        return cls(
            model=options.get("bertscore_model"),
            layers=options.get("bertscore_layers"),
            rescale=bool(options.get("bertscore_rescale", False)),
            device=options.get("bertscore_device"),
        )

    @property
    def encoder(self) -> str:
        """The encoder's id or folder."""
        return self.model or DEFAULT_ENCODER


@dataclass(frozen=True, kw_only=True)
class BertScores:
    """BERTScores of pairs, in their order, and what happened to the texts."""

    precision: FloatArray
    recall: FloatArray
    f1: FloatArray
    cut: int
    """Different texts that were longer than the encoder's limit and lost their end."""


def bertscore_pairs(pairs: Sequence[Pair], settings: BertScoreSettings | None = None) -> FloatArray:
    """F1 of each (gold, answer) pair, shape (pairs,); see `bertscore`."""
    return bertscore(pairs, settings).f1


def bertscore(pairs: Sequence[Pair], settings: BertScoreSettings | None = None) -> BertScores:
    """BERTScore of many pairs in one pass.

    The encoder is loaded once, equal texts are encoded once, and texts of like length share a
    batch as large as the memory allows. Pairs with a blank gold or answer score 0 and never reach
    the library. The result does not depend on the order of the pairs.

    Raises:
        MetricUnavailable: The encoder (or its baseline) is not to be had; the text says why and
            what to do.
    """
    settings = settings or BertScoreSettings()
    scores = np.zeros((len(pairs), 3))
    wanted = sorted({p for p in pairs if p[0].strip() and p[1].strip()}, key=_order)
    cut = 0
    if wanted:
        layers = settings.layers or default_layers(settings.encoder)
        baseline = _baseline(settings.encoder, layers) if settings.rescale else None
        encoder = load(settings.encoder, layers, settings.device)
        values, cut = _score_all(encoder, wanted)
        if baseline is not None:
            values = (values - baseline) / (1 - baseline)
        row_of = {pair: row for row, pair in enumerate(wanted)}
        for place, pair in enumerate(pairs):
            if pair in row_of:
                scores[place] = values[row_of[pair]]
    # Rounding in single precision may end a hair above a perfect match.
    scores = np.minimum(scores, 1.0)
    return BertScores(precision=scores[:, 0], recall=scores[:, 1], f1=scores[:, 2], cut=cut)


def _order(pair: Pair) -> tuple[int, str, str]:
    """Equal golds side by side, short ones first."""
    return (len(pair[0]), *pair)


def _baseline(model: str, layers: int) -> FloatArray:
    """bert-score's baseline (precision, recall, F1) of an encoder's layer for English."""
    path = files("bert_score") / "rescale_baseline" / "en" / f"{model}.tsv"
    if not path.is_file():
        raise MetricUnavailable(
            f"bert-score has no baseline for {model}; leave --bertscore-rescale out"
        )
    rows = path.read_text(encoding="utf-8").splitlines()[1:]
    return np.array([np.float32(cell) for cell in rows[layers].split(",")[1:]], dtype=np.float64)


def _lengths(encoder: Encoder, texts: Sequence[str]) -> dict[str, int]:
    """Tokens of each text, special tokens included, before anything is cut."""
    ids = encoder.tokenizer(list(texts), truncation=False, verbose=False)["input_ids"]
    return {text: len(row) for text, row in zip(texts, ids, strict=True)}


def _score_all(encoder: Encoder, pairs: Sequence[Pair]) -> tuple[FloatArray, int]:
    """Precision, recall and F1 of distinct pairs, shape (pairs, 3); and how many texts were cut."""
    import torch

    last_use = {text: place for place, pair in enumerate(pairs) for text in pair}
    lengths = _lengths(encoder, list(last_use))
    states: dict[str, Any] = {}
    parts: list[FloatArray] = []
    with torch.inference_mode():
        for start in range(0, len(pairs), _WINDOW):
            window = pairs[start : start + _WINDOW]
            fresh = {text: lengths[text] for pair in window for text in pair if text not in states}
            states.update(_encode(encoder, fresh))
            parts.append(_compare(encoder, window, states))
            done = start + len(window)
            states = {text: kept for text, kept in states.items() if last_use[text] >= done}
    cut = sum(length > encoder.limit for length in lengths.values())
    return np.concatenate(parts), cut


def _weights(encoder: Encoder) -> dict[int, float]:
    """Weight of each token id: 1 but for the special ones (no idf)."""
    weights: dict[int, float] = defaultdict(lambda: 1.0)
    weights[encoder.tokenizer.sep_token_id] = 0
    weights[encoder.tokenizer.cls_token_id] = 0
    return weights


def _encode(encoder: Encoder, lengths: Mapping[str, int]) -> dict[str, Any]:
    """Token states and weights of texts, the longest first, held in main memory.

    Texts of like length share a batch. A batch that does not fit after all is halved; a single
    text that does not fit is an error.
    """
    import torch
    from bert_score.utils import get_bert_embedding

    texts = sorted(lengths, key=lambda text: (-lengths[text], text))
    states: dict[str, Any] = {}
    place, most = 0, len(texts)
    while place < len(texts):
        longest = min(encoder.limit, lengths[texts[place]])
        batch = texts[place : place + min(most, batch_size(encoder, longest))]
        try:
            found, mask, weights = get_bert_embedding(
                batch, encoder.model, encoder.tokenizer, _weights(encoder), device=encoder.device
            )
        except torch.OutOfMemoryError:
            torch.cuda.empty_cache()
            if len(batch) == 1:
                raise MetricUnavailable(
                    "the GPU has no memory left for BERTScore; free it, then score the run again"
                ) from None
            most = len(batch) // 2
            continue
        for row, text in enumerate(batch):
            length = int(mask[row].sum())
            # Cloned, so that a row does not keep its whole padded batch alive.
            states[text] = (found[row, :length].cpu().clone(), weights[row, :length].clone())
        place += len(batch)
    return states


def _compare(encoder: Encoder, pairs: Sequence[Pair], states: Mapping[str, Any]) -> FloatArray:
    """bert-score's greedy matching of encoded pairs, shape (pairs, 3)."""
    import torch
    from bert_score.utils import greedy_cos_idf
    from torch.nn.utils.rnn import pad_sequence

    def padded(texts: Sequence[str]) -> tuple[Any, Any, Any]:
        found = [states[text] for text in texts]
        lengths = torch.tensor([len(state) for state, _ in found])
        mask = torch.arange(int(lengths.max())).expand(len(found), -1) < lengths.unsqueeze(1)
        state = pad_sequence([state for state, _ in found], batch_first=True, padding_value=2.0)
        weights = pad_sequence([weight for _, weight in found], batch_first=True)
        return state.to(encoder.device), mask.to(encoder.device), weights.to(encoder.device)

    parts = []
    for start in range(0, len(pairs), 32):
        batch = pairs[start : start + 32]
        golds, answers = padded([p[0] for p in batch]), padded([p[1] for p in batch])
        parts.append(torch.stack(greedy_cos_idf(*golds, *answers), dim=-1).cpu())
    values: FloatArray = torch.cat(parts).double().numpy()
    return values


class BertScoreF1(MeanMetric):
    """Likeness of gold and answer in meaning: each token matched to the nearest of the other side.

    Formula:
        Per row P = mean over the answer's tokens of the largest cosine to a token of the gold,
        R the same from the gold's side, F1 = 2 P R / (P + R); mean over rows.
    Matching:
        Token states of one layer of an encoder (default roberta-large, layer 17), no idf
        weights. A blank answer scores 0 and never reaches the encoder. Text beyond the encoder's
        limit (512 tokens) is cut and counted.
    Trap:
        Unrescaled scores crowd between 0.8 and 0.95 even for unrelated English: compare models,
        not values. With `--bertscore-rescale` unrelated text is near 0 and may fall below. Another
        encoder or layer is another metric.
    Differs:
        The paper publishes BERTScore for Multi-XScience and ParaMed without naming the encoder.
    Source:
        Zhang et al. 2020; equal to the package `bert-score` to 1e-6.
    """

    name = "bertscore_f1"
    forms = ("text",)
    citation = """@inproceedings{zhang-2020-bertscore,
  title = {{BERTScore}: Evaluating Text Generation with {BERT}},
  author = {Zhang, Tianyi and Kishore, Varsha and Wu, Felix and Weinberger, Kilian Q. and
            Artzi, Yoav},
  booktitle = {International Conference on Learning Representations},
  year = {2020}
}"""

    def __init__(self, context: MetricContext) -> None:
        super().__init__(context)
        self._settings = BertScoreSettings.from_options(context.options)
        self._known: Mapping[Pair, float] = context.options.get("bertscore_values", {})

    def value(self, gold: str, answer: str | None) -> float:
        """F1 of one row; a pass of its own unless its value is already known."""
        return float(self._values([(gold, answer or "")])[0])

    def batch_stats(self, golds: Sequence[str], answers: Sequence[str | None]) -> FloatArray:
        """(value, 1) of every row, from the option `bertscore_values` or in one pass.

        The option maps (gold, answer) to F1, so that one pass can serve several tasks.

        Raises:
            MetricUnavailable: A value is not known and the encoder is not to be had.
        """
        values = self._values([(g, a or "") for g, a in zip(golds, answers, strict=True)])
        return np.column_stack([values, np.ones(len(values))])

    def _values(self, pairs: Sequence[Pair]) -> FloatArray:
        blank = {pair: 0.0 for pair in pairs if not pair[1].strip()}
        missing = [pair for pair in pairs if pair not in self._known and pair not in blank]
        found = dict(zip(missing, bertscore_pairs(missing, self._settings), strict=True))
        known = ChainMap(blank, found, dict(self._known))
        return np.array([known[pair] for pair in pairs], dtype=np.float64)

    @property
    def signature(self) -> str:
        """Encoder with revision or weight hash, layer, idf, rescaling, library versions."""
        settings = self._settings
        try:
            layers = str(settings.layers or default_layers(settings.encoder))
        except MetricUnavailable:
            layers = "unknown"
        pairs = (
            ("encoder", identity(settings.encoder)),
            ("layer", layers),
            ("idf", "no"),
            ("rescale", "en" if settings.rescale else "no"),
            ("empty", "0"),
        )
        return sign(self.name, *pairs, libraries=("bert-score", "transformers"))
