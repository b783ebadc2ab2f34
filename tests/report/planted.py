"""Hostile texts planted into a run folder, wherever a model or a data set can put one."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

PLANT = (
    "</script><script>window.hacked=1</script><img src=x onerror=window.hacked=1>"
    "\"'><svg onload=window.hacked=1></textarea></style></title><!--\u2028]]>"
    "{{ 7*7 }}{% raw %}<a href=javascript:window.hacked=1>&lt;\x00"
)
# Names that files and code refer to; everything else may hold anything.
_KEPT = {"task", "suite", "status", "category", "primary", "tasks", "left_out", "higher_is_better"}


def _planted(value: Any, key: str = "") -> Any:
    if key in _KEPT and not isinstance(value, dict):
        return value
    if isinstance(value, str):
        return value + PLANT
    if isinstance(value, list):
        return [_planted(item) for item in value]
    if isinstance(value, dict):
        return {k: _planted(v, k) if k != "primary" else v for k, v in value.items()}
    return value


def plant(folder: Path) -> Path:
    """Append the plant to every free text of a run folder; returns the folder."""
    for name in ("results.json", "manifest.json"):
        path = folder / name
        path.write_text(json.dumps(_planted(json.loads(path.read_text()))))
    path = folder / "samples.jsonl"
    lines = path.read_text(encoding="utf-8").split("\n")
    planted = [json.dumps(_planted(json.loads(line))) for line in lines if line]
    path.write_text("\n".join(planted) + "\n")
    return folder
