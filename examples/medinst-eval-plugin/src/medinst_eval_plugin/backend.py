"""The backend `rules`: answers with the first or the last dose of the question.

A real one would load weights in `start` or send requests to a server in `generate`.
"""

from __future__ import annotations

import re
from collections.abc import Generator, Sequence
from typing import Any

from medinst_eval.backends.base import Backend, BackendOptions
from medinst_eval.errors import InputError, closest
from medinst_eval.types import Generation, Request, Sample

_MODELS = {"first": 0, "last": -1}
_DOSE = re.compile(r"\d+(?:\.\d+)? ?(?:mg|mcg|g)\b")


class RulesBackend:
    """Answers without weights, one request after another."""

    name = "rules"

    def __init__(self, options: BackendOptions) -> None:
        if options.model not in _MODELS:
            raise InputError(
                f"backend rules has no model '{options.model}'{closest(options.model, _MODELS)} "
                f"(there are {', '.join(_MODELS)})"
            )
        self._place = _MODELS[options.model]

    @property
    def tokenizer(self) -> None:
        """None: nothing is tokenised here, and prompts are sent as messages."""
        return None

    @property
    def max_model_len(self) -> None:
        """None: no prompt is too long."""
        return None

    def start(self) -> None:
        """Load what is slow to load."""

    def generate(self, requests: Sequence[Request]) -> Generator[Generation, None, None]:
        """Answer each request, in any order, as it finishes."""
        for request in requests:
            question = request.prompt.messages[-1].content.splitlines()[-1]
            found = _DOSE.findall(question)
            yield Generation(id=request.id, output=found[self._place] if found else "")

    def describe(self) -> dict[str, Any]:
        """Version and arguments for the manifest."""
        return {"version": "0.1.0", "arguments": {}}

    def close(self) -> None:
        """Free what `start` took."""


def create(options: BackendOptions, samples: Sequence[Sample]) -> Backend:  # noqa: ARG001
    """What the entry point names."""
    return RulesBackend(options)
