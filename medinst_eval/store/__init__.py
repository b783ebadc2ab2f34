"""A run folder: manifest, append-only predictions, resume, lock, and the finished files.

`predictions.jsonl` is written line by line and flushed, each line with a checksum, so that
whatever was finished before a crash is kept and whatever was damaged is noticed. All other files
are written whole or not at all.
"""

from __future__ import annotations

from medinst_eval.store.folder import RunFolder, differing_fields, identity, open_run
from medinst_eval.store.lines import Loaded, decode_prediction, encode_prediction, load_predictions
from medinst_eval.store.names import (
    MANIFEST,
    PREDICTIONS,
    RESULTS,
    SAMPLES,
    SCHEMA_VERSION,
    STATS,
    Manifest,
)
from medinst_eval.store.reading import FinishedRun, read_run

__all__ = [
    "MANIFEST",
    "PREDICTIONS",
    "RESULTS",
    "SAMPLES",
    "SCHEMA_VERSION",
    "STATS",
    "FinishedRun",
    "Loaded",
    "Manifest",
    "RunFolder",
    "decode_prediction",
    "differing_fields",
    "encode_prediction",
    "identity",
    "load_predictions",
    "open_run",
    "read_run",
]
