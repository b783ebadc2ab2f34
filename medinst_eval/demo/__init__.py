"""What makes `medinst-eval demo` work without network: built-in data and a small model.

The data are the project's own sentences in the benchmark's layout; the model is a tiny Llama that
shows how a run looks, not what a model can do.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

DATA = Path(__file__).parent / "data"
CHECKPOINTS = Path(__file__).parent / "checkpoints"
TASKS = (
    "NCBI-disease", "BC5CDR", "AnEM", "BioNLP-2009", "BioNLP-2011-GE", "BioNLP-2011-ID",
    "BioNLP-2011-REL", "BioNLP-2013-CG", "BioNLP-2013-GE", "BioNLP-2013-GRO", "BioNLP-2013-PC",
    "BioRED", "tmVar-v3", "tmVar-v3-NED", "MeDAL", "AnEM-RE", "BC5CDR-RE", "BioInfer-RE",
    "AnEM-COREF", "MLEE-COREF", "MLEE-EE", "BioASQ-Task-B-yesno", "PubMedQA-labeled", "MedQA",
    "SciFact", "ManConCorpus", "CoVERt", "MedDialog", "Hallmarks-of-Cancer", "BIOSSES",
    "Multi-XScience", "ParaMed",
)  # fmt: skip
"""Tasks of the built-in data set: all 32."""


def data_folder() -> Path:
    """Folder of the built-in data set, laid out as the Hub repository of MedINST32."""
    return DATA


def model_folder(which: Literal["early", "final"] = "final") -> Path:
    """Folder of the demonstration model: weights, tokenizer, chat template, `training.json`.

    Args:
        which: Checkpoint of its training: `early` is clearly worse than `final`.
    """
    return CHECKPOINTS / which
