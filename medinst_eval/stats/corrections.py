"""Corrections of p-values for many tests."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def holm(p_values: Sequence[float]) -> list[float]:
    """Holm's step-down correction: the chance of any false alarm stays below the level."""
    order = np.argsort(p_values, kind="stable")
    out = np.empty(len(p_values))
    running = 0.0
    for rank, index in enumerate(order):
        running = max(running, min(1.0, (len(p_values) - rank) * p_values[index]))
        out[index] = running
    return [float(p) for p in out]


def benjamini_hochberg(p_values: Sequence[float]) -> list[float]:
    """Benjamini and Hochberg's step-up correction: the expected share of false alarms."""
    order = np.argsort(p_values, kind="stable")[::-1]
    out = np.empty(len(p_values))
    running = 1.0
    for back, index in enumerate(order):
        running = min(running, p_values[index] * len(p_values) / (len(p_values) - back))
        out[index] = running
    return [float(p) for p in out]
