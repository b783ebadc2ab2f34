"""Who is really behind the best: paired tests between runs on the same rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from medinst_eval import stats
from medinst_eval.compare import checks, pairing
from medinst_eval.compare.sides import LoadedRun
from medinst_eval.leaderboard.entries import Entry
from medinst_eval.stats import Permutation
from medinst_eval.suites import manifest_cards
from medinst_eval.tasks.card import TaskCard


@dataclass(kw_only=True)
class PairedTests:
    """Paired tests of entries, each run read and each pair tested once.

    Call it with two entries and the tasks of a line: the p-value of the mean difference over
    these tasks, or None where the two are not runs on the same rows under the same conditions.
    """

    permutations: int = stats.RESAMPLES
    seed: int = 0
    _cards: dict[str, TaskCard] = field(default_factory=dict)
    _runs: dict[str, LoadedRun] = field(default_factory=dict)
    _tests: dict[tuple[str, str, str], Permutation | None] = field(default_factory=dict)

    def __call__(self, one: Entry, two: Entry, tasks: Sequence[str]) -> float | None:
        """Two-sided p-value of the difference of two entries."""
        if one.run is None or two.run is None or checks.settings(one.run, two.run):
            return None
        first, second = sorted((one, two), key=lambda entry: entry.name)
        found = [self._test(first, second, task) for task in tasks]
        tests = [test for test in found if test is not None]
        if len(tests) != len(tasks) or not tests:
            return None
        if len(tests) == 1:
            return tests[0].p_value
        difference = sum(test.difference for test in tests) / len(tests)
        permuted = stats.combined([test.permuted for test in tests])
        return stats.monte_carlo_p(permuted, difference)

    def _load(self, entry: Entry) -> LoadedRun:
        if entry.name not in self._runs:
            assert entry.run is not None
            self._runs[entry.name] = pairing.load(entry.run)
        return self._runs[entry.name]

    def _test(self, one: Entry, two: Entry, task: str) -> Permutation | None:
        key = (one.name, two.name, task)
        if key not in self._tests:
            self._tests[key] = self._run(one, two, task)
        return self._tests[key]

    def _run(self, one: Entry, two: Entry, task: str) -> Permutation | None:
        assert one.run is not None
        if task not in self._cards:
            self._cards.update({card.name: card for card in manifest_cards(one.run.manifest)})
        card = self._cards.get(task)
        if card is None:
            return None
        pair, differences = pairing.pair_task(
            card, self._load(one), self._load(two), by_content=False, options={}
        )
        metric = pair.metrics.get(one.tasks[task].metric)
        if metric is None or any(d.field != "metrics" for d in differences):
            return None
        return stats.permutation_test(
            metric.base,
            metric.new,
            clusters=pair.clusters,
            permutations=self.permutations,
            seed=stats.task_seed(self.seed, task),
        )
