"""What the models of a leaderboard do not have in common, and what else a reader must know."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from medinst_eval.leaderboard.entries import CONDITIONS, Entry, TaskInfo


def varying(entries: Sequence[Entry]) -> tuple[str, ...]:
    """Conditions in which models differ. Data count as one where the runs' digests agree."""
    found = []
    for name in CONDITIONS:
        values = {entry.conditions[name] for entry in entries}
        if name == "data":
            runs = [entry for entry in entries if entry.run is not None]
            if not _differing_data(runs) and (len(runs) == len(entries) or not runs):
                continue
        if len(values) > 1:
            found.append(name)
    return tuple(found)


def _differing_data(runs: Sequence[Entry]) -> list[str]:
    """Tasks whose rows differ between runs that read the same shots and selection."""
    digests: dict[tuple[str, str, str], set[str]] = {}
    for entry in runs:
        for task, digest in entry.digests.items():
            key = (task, entry.conditions["shots"], entry.conditions["rows"])
            digests.setdefault(key, set()).add(digest)
    return sorted({key[0] for key, values in digests.items() if len(values) > 1})


def describe(
    entries: Sequence[Entry],
    tasks: Mapping[str, TaskInfo],
    common: Sequence[str],
) -> list[str]:
    """One sentence for everything that a reader of the table must know."""
    notes = []
    if differing := [name for name in varying(entries) if name != "data"]:
        notes.append(
            f"Models differ in {', '.join(differing)}: scores are not strictly comparable."
        )
    runs = [entry for entry in entries if entry.run is not None]
    if other_rows := _differing_data(runs):
        shown = ", ".join(other_rows[:5]) + (", …" if len(other_rows) > 5 else "")
        notes.append(f"The rows of {shown} differ between runs.")
    if runs and len(runs) < len(entries):
        notes.append(
            "Published scores are on the paper's test sets; whether these runs read the same rows "
            "is for you to know. No interval is known for them."
        )
    if any(entry.trained for entry in entries):
        notes.append("† Trained on training sets of these tasks.")
    averaged = [name for name, info in tasks.items() if info.averaged]
    if own := [info.label for info in tasks.values() if not info.averaged]:
        notes.append(f"{', '.join(own)}: not of the benchmark; in no average.")
    if (shared := sum(name in averaged for name in common)) < len(averaged):
        notes.append(f"Averages are over the {shared} of {len(averaged)} tasks all models have.")
    errors = [info.label for info in tasks.values() if not info.higher_is_better]
    if errors:
        notes.append(f"{', '.join(errors)}: lower is better; in no average.")
    notes += [
        f"{entry.name}: {entry.errors} rows have no answer because of engine errors."
        for entry in runs
        if entry.errors
    ]
    return notes
