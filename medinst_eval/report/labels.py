"""Names of metrics as a reader knows them."""

from __future__ import annotations

_WORDS = {
    "f1": "F1", "mse": "MSE", "em": "EM", "chrf": "chrF", "rouge": "ROUGE", "meteor": "METEOR",
    "bertscore": "BERTScore", "pearson": "Pearson", "spearman": "Spearman",
}  # fmt: skip


def metric_label(name: str) -> str:
    """`paper_rouge_l` -> `paper ROUGE-L`."""
    words = " ".join(_WORDS.get(word, word) for word in name.split("_"))
    return words.replace("ROUGE l", "ROUGE-L")
