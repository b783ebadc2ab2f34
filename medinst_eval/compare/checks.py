"""What makes two runs incomparable, field by field."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Any

from medinst_eval.errors import InputError, NotComparableError
from medinst_eval.store import FinishedRun

ALLOWABLE = {
    "suite": "another suite",
    "tasks": "a task that only one of the runs has: the common tasks are compared",
    "data": "rows that only one of the runs has, or that differ: the common rows are compared",
    "limit": "another --limit, --sample, --shard or sampling seed: the common rows are compared",
    "shots": "another number of demonstrations",
    "layout": "another prompt layout",
    "prompt": "another layout, system prompt, template arguments, treatment of long prompts or "
    "scoring of choices",
    "sampling": "another temperature, top-p, seed of sampling or token limit",
    "incomplete": "rows without an answer because of engine errors",
    "metrics": "a metric that is signed differently or missing in one run: the task is left out",
}
"""What `--allow` takes, and what each means."""

_PROMPT_FIELDS = ("system_prompt", "template_args", "overlong", "choice_scoring")
_SELECTION_FIELDS = ("limit", "sample", "shard")


@dataclass(frozen=True, kw_only=True)
class Difference:
    """One field in which two runs differ."""

    field: str
    """A key of `ALLOWABLE`."""
    what: str
    """The field's full name and both values, or the rows concerned."""


def parse_allow(spec: str) -> frozenset[str]:
    """The fields of a comma-separated `--allow`.

    Raises:
        InputError: An unknown field; the nearest known one is named.
    """
    fields = [part.strip().lower() for part in spec.split(",") if part.strip()]
    for field in fields:
        if field not in ALLOWABLE:
            close = difflib.get_close_matches(field, ALLOWABLE, n=1)
            hint = f"did you mean '{close[0]}'?" if close else f"one of {', '.join(ALLOWABLE)}"
            raise InputError(f"--allow: unknown field '{field}'; {hint}")
    return frozenset(fields)


def settings(base: FinishedRun, new: FinishedRun) -> list[Difference]:
    """Differences in what was asked and how: suite, tasks, selection, prompt, sampling, errors."""
    found = [
        *_fields("suite", base, new, ("suite",)),
        *_tasks(base, new),
        *_fields("limit", base, new, *((("data", f)) for f in _selection(base, new))),
        *_fields("shots", base, new, ("prompt", "shots")),
        *_fields("layout", base, new, ("prompt", "layout")),
        *_fields("prompt", base, new, *(("prompt", f) for f in _PROMPT_FIELDS)),
        *_fields("sampling", base, new, *(("sampling", f) for f in _sampling(base, new))),
    ]
    for run in (base, new):
        if not run.results.get("complete", False):
            errors = sum(task.get("n_errors", 0) for task in run.results["tasks"].values())
            what = f"{run.name} is incomplete ({errors} rows without an answer)"
            found.append(Difference(field="incomplete", what=what))
    return found


def refuse(
    base: str, new: str, differences: Collection[Difference], allow: Collection[str]
) -> list[str]:
    """Refuse runs that differ in a field nobody allowed; else say what was allowed.

    Returns:
        One note per difference that was let through.

    Raises:
        NotComparableError: Some difference is not allowed; all of them are named.
    """
    allowed = set(allow) | ({"layout"} if "prompt" in allow else set())
    forbidden = [d for d in differences if d.field not in allowed]
    if not forbidden:
        return [f"allowed: {d.what}" for d in differences]
    shown = "; ".join(d.what for d in forbidden[:8])
    rest = f"; and {len(forbidden) - 8} more" if len(forbidden) > 8 else ""
    fields = ",".join(dict.fromkeys(d.field for d in forbidden))
    remedy = f"to compare all the same: --allow {fields}"
    if any(d.field == "metrics" for d in forbidden):
        remedy = f"`medinst-eval score` both runs with one version, or {remedy}"
    raise NotComparableError(f"{base} and {new} cannot be compared: {shown}{rest}; {remedy}")


def plain_signature(signature: str) -> str:
    """A metric's signature without the part that only moves its interval."""
    return signature.split("|bootstrap:", 1)[0]


def _tasks(base: FinishedRun, new: FinishedRun) -> Iterator[Difference]:
    ours, theirs = base.results["tasks"], new.results["tasks"]
    for run, missing in ((base, set(theirs) - set(ours)), (new, set(ours) - set(theirs))):
        if missing:
            names = ", ".join(sorted(missing)[:4]) + (", …" if len(missing) > 4 else "")
            what = f"tasks: {run.name} lacks {len(missing)} ({names})"
            yield Difference(field="tasks", what=what)


def _selection(base: FinishedRun, new: FinishedRun) -> tuple[str, ...]:
    """The seed of a selection matters only where rows were sampled."""
    sampled = any(_get(run, ("data", "sample")) is not None for run in (base, new))
    return (*_SELECTION_FIELDS, "seed") if sampled else _SELECTION_FIELDS


def _sampling(base: FinishedRun, new: FinishedRun) -> tuple[str, ...]:
    """Greedy decoding reads neither the seed nor top-p."""
    drawn = any(_get(run, ("sampling", "temperature")) for run in (base, new))
    return ("temperature", "max_tokens", *(("top_p", "seed") if drawn else ()))


def _fields(
    field: str, base: FinishedRun, new: FinishedRun, *paths: tuple[str, ...]
) -> Iterator[Difference]:
    for path in paths:
        ours, theirs = _get(base, path), _get(new, path)
        if ours != theirs:
            name = ".".join(path)
            what = f"{name}: {_short(ours)} and {_short(theirs)}"
            yield Difference(field=field, what=what)


def _get(run: FinishedRun, path: tuple[str, ...]) -> Any:
    value: Any = run.manifest
    for name in path:
        value = value.get(name) if isinstance(value, dict) else None
    return value


def _short(value: Any) -> str:
    text = "none" if value is None else str(value)
    return text if len(text) <= 40 else f"{text[:39]}…"
