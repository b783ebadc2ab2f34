"""Leak check: test inputs that demonstrations or training rows give away.

A text gives an input away when it repeats it word for word, or holds most of its word n-grams.
Words are compared after NFKC, case folding and removal of punctuation.
"""

from __future__ import annotations

from medinst_eval.leaks.check import Finding, LeakReport, TaskReport, check_data
from medinst_eval.leaks.overlap import Options

__all__ = ["Finding", "LeakReport", "Options", "TaskReport", "check_data"]
