"""How often the gate raises a false alarm, and what it finds: simulated pairs of runs.

Runs have the 32 tasks with their real numbers of rows, a right or wrong answer in each, and
documents that share rows where the cards say so; they pass through the same code as
`medinst-eval compare` from paired statistics on. Prints a table and exits with 1 where a target
is missed.

    python benchmarks/gate.py [--pairs 400] [--seed 0] [--permutations 2000]
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from medinst_eval.compare.analysis import AnalysisOptions, Unit, analyse_task, average, judge
from medinst_eval.compare.pairing import PairedTask
from medinst_eval.compare.sides import PairedMetric
from medinst_eval.stats import FloatArray, Table
from medinst_eval.tasks import load_cards
from medinst_eval.tasks.card import TaskCard

Bools = npt.NDArray[np.bool_]
CHANGE = 0.10
"""Share of rows that two equal models answer differently."""
FORM = 0.01
"""Share of rows that a model does not answer in form."""
CLUSTER_ROWS = 3
"""Rows of a document, in tasks whose cards say that rows share documents."""


@dataclass(frozen=True)
class Plan:
    """What is different between two simulated runs: chance of a change and of it being a loss."""

    change: float = CHANGE
    worse: float = 0.5


def share(sums: FloatArray) -> FloatArray:
    """Accuracy of (right, rows)."""
    return np.asarray(sums[..., 0] / sums[..., 1])


def table(right: Bools) -> Table:
    """Statistics of right and wrong rows."""
    return Table(np.column_stack([right, np.ones(len(right))]).astype(np.float64), share)


def pair(card: TaskCard, rows: int, plan: Plan, rng: np.random.Generator) -> PairedTask:
    """Two runs on one task: some rows change, and of these a share gets worse."""
    changed = rng.random(rows) < plan.change
    lost = rng.random(rows) < plan.worse
    same = rng.random(rows) < rng.uniform(0.2, 0.9)
    return _paired(card, np.where(changed, lost, same), np.where(changed, ~lost, same), rng)


def exact_pair(
    card: TaskCard, rows: int, lost: int, found: int, rng: np.random.Generator
) -> PairedTask:
    """Two runs on one task that differ in exactly so many rows."""
    base = rng.random(rows) < 0.5
    base[: lost + found] = np.arange(lost + found) < lost
    new = base.copy()
    new[: lost + found] = ~base[: lost + found]
    return _paired(card, base, new, rng)


def _paired(card: TaskCard, base: Bools, new: Bools, rng: np.random.Generator) -> PairedTask:
    rows = len(base)
    name = card.metrics.standard[0]
    step = 1 if card.cluster == "row" else CLUSTER_ROWS
    clusters = np.arange(rows, dtype=np.int64) // step
    statuses = [tuple(np.where(rng.random(rows) < FORM, "unparsed", "ok")) for _ in range(2)]
    tables = table(base), table(new)
    metric = PairedMetric(
        name=name, higher_is_better=True, span=1.0, base=tables[0], new=tables[1],
        values=(tables[0].value(), tables[1].value()),
    )  # fmt: skip
    return PairedTask(
        card=card, rows=tuple((n, n) for n in range(rows)), clusters=clusters,
        row_clusters=clusters, metrics={name: metric}, left_out={},
        statuses=(statuses[0], statuses[1]),
    )  # fmt: skip


def compare(pairs: Sequence[PairedTask], options: AnalysisOptions) -> list[Unit]:
    """Verdicts of all tasks and of the whole."""
    evidence = [analyse_task(task, options) for task in pairs]
    whole = average("overall", "overall", evidence, options)
    tasks = judge([e.unit for e in evidence], options.correction)
    return [*tasks, *judge([whole] if whole else [], options.correction)]


def worse(units: Sequence[Unit]) -> set[str]:
    """Names of the lines called worse."""
    return {unit.name for unit in units if unit.verdict == "worse"}


Make = Callable[[np.random.Generator], list[PairedTask]]
Question = tuple[str, Callable[[set[str]], bool], Callable[[float], bool], str]
"""Title, whether the lines called worse are a hit, whether the share of hits is right, target."""


def simulate(
    count: int, make: Make, questions: Sequence[Question], options: AnalysisOptions, seed: int
) -> bool:
    """Simulate pairs, print the answer to every question, and say whether all are on target."""
    start = time.perf_counter()
    called = [
        worse(compare(make(np.random.default_rng([seed, number])), options))
        for number in range(count)
    ]
    seconds = time.perf_counter() - start
    good = True
    for title, hit, target, words in questions:
        rate = sum(map(hit, called)) / count
        good &= target(rate)
        mark = "" if target(rate) else "  MISSED"
        print(f"{title:<68} {100 * rate:6.1f} %   {words}{mark}", flush=True)
    print(f"  {count} pairs in {seconds:.0f} s", flush=True)
    return good


def scenarios(count: int, seed: int, options: AnalysisOptions) -> bool:
    """Run every scenario; True where all targets are met."""
    cards = load_cards()
    sizes: Mapping[str, int] = {card.name: card.rows or 100 for card in cards}
    planted = next(card for card in cards if card.name == "PubMedQA-labeled")
    assert sizes[planted.name] == 500

    def everywhere(plan: Plan) -> Make:
        return lambda rng: [pair(card, sizes[card.name], plan, rng) for card in cards]

    def one(random: bool) -> Make:
        def make(rng: np.random.Generator) -> list[PairedTask]:
            rest = [pair(card, sizes[card.name], Plan(), rng) for card in cards if card != planted]
            if random:
                return [*rest, pair(planted, 500, Plan(worse=0.75), rng)]
            lost = 37 + int(rng.random() < 0.5)
            return [*rest, exact_pair(planted, 500, lost, 50 - lost, rng)]

        return make

    def overall(names: set[str]) -> bool:
        return "overall" in names

    def any_task(names: set[str]) -> bool:
        return bool(names - {"overall"})

    def found(names: set[str]) -> bool:
        return planted.name in names

    plans: list[tuple[Make, list[Question]]] = [
        (
            everywhere(Plan()),
            [
                ("equal models: any of 32 tasks called worse", any_task, lambda s: s <= 0.07,
                 "at most 7 %"),
                ("equal models: overall called worse", overall, lambda s: s <= 0.07,
                 "at most 7 %"),
            ],
        ),
        (
            one(random=False),
            [("5 points lost on a task of 500 rows (50 change: 37 or 38 lost)", found,
              lambda s: s >= 0.60, "at least 60 %")],
        ),
        (
            one(random=True),
            [("5 points lost on a task of 500 rows (10 % and 7.5 % by chance)", found,
              lambda _: True, "in theory 62.8 %")],
        ),
        (
            everywhere(Plan(worse=0.6)),
            [("2 points lost on every task (10 % change, 6 % lost): overall", overall,
              lambda s: s >= 0.95, "at least 95 %")],
        ),
    ]  # fmt: skip
    good = [simulate(count, make, asked, options, seed) for make, asked in plans]
    return all(good)


def main() -> int:
    """Run all scenarios; 1 where a target is missed."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--pairs", type=int, default=400)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--permutations", type=int, default=2000)
    arguments = parser.parse_args()
    options = AnalysisOptions(
        resamples=100, permutations=arguments.permutations, seed=arguments.seed
    )
    return int(not scenarios(arguments.pairs, arguments.seed, options))


if __name__ == "__main__":
    sys.exit(main())
