"""Names of the files in a run folder."""

from __future__ import annotations

from typing import Any

MANIFEST = "manifest.json"
PREDICTIONS = "predictions.jsonl"
SAMPLES = "samples.jsonl"
RESULTS = "results.json"
STATS = "stats.npz"
SCHEMA_VERSION = 1

Manifest = dict[str, Any]
