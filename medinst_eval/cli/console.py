"""Where the command line writes: tables to standard output, everything else to standard error."""

from __future__ import annotations

import re
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console

# C0 and C1 controls but for newline and tab, and the marks that reorder text on screen.
_CONTROLS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")
_PIPED_WIDTH = 200


def out() -> Console:
    """Console on standard output; plain and wide when piped."""
    return _console(stderr=False)


def err() -> Console:
    """Console on standard error; plain when piped."""
    return _console(stderr=True)


def _console(*, stderr: bool) -> Console:
    from rich.console import Console

    stream = sys.stderr if stderr else sys.stdout
    width = None if stream.isatty() else _PIPED_WIDTH
    return Console(stderr=stderr, highlight=False, soft_wrap=False, width=width)


def printable(text: str) -> str:
    """Text of a model or data set, fit for a terminal: control characters shown, not obeyed."""
    return _CONTROLS.sub(lambda match: f"\\x{ord(match[0]):02x}", text)
