"""Errors a user can act on. Each carries one line: what is wrong, where, what to do."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class MedinstError(Exception):
    """Base of every error this package raises on purpose; the command line exits with 2."""

    exit_code = 2


class InputError(MedinstError):
    """Wrong use or bad input: options, cards, data rows, paths."""


class StoreError(MedinstError):
    """A run folder cannot be read, written or continued."""


class BackendError(MedinstError):
    """An engine cannot be loaded, or stopped working in the middle of a run."""

    exit_code = 1


class NotComparableError(MedinstError):
    """Two runs differ in something that makes their scores incomparable."""

    exit_code = 3


class InterruptedRunError(MedinstError):
    """The user or a scheduler asked the run to stop; what was finished is kept."""

    exit_code = 130


def closest(name: str, known: Iterable[str]) -> str:
    """`; did you mean 'x'?` for a misspelt name, or nothing where no known name is near."""
    by_lower = {candidate.lower(): candidate for candidate in known}
    found = difflib.get_close_matches(name.lower(), by_lower, n=1)
    return f"; did you mean '{by_lower[found[0]]}'?" if found else ""
