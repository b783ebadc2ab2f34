"""Tasks of one's own: a first card with rows to change, and a check before a model is asked."""

from __future__ import annotations

from medinst_eval.owntasks.checking import GoldScore, TaskCheck, check
from medinst_eval.owntasks.writing import Written, write_new

__all__ = ["GoldScore", "TaskCheck", "Written", "check", "write_new"]
