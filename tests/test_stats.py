"""The bootstrap and the paired tests against SciPy, brute force and closed forms."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from medinst_eval import stats
from medinst_eval.stats import FloatArray, Table, paired, resampling

Score = Callable[[FloatArray], FloatArray]


def accuracy(sums: FloatArray) -> FloatArray:
    return np.asarray(sums[..., 0] / sums[..., 1])


def micro_f1(sums: FloatArray) -> FloatArray:
    return np.asarray(2 * sums[..., 0] / np.maximum(2 * sums[..., 0] + sums[..., 1:].sum(-1), 1))


def pearson(s: FloatArray) -> FloatArray:
    n, x, y, xy, xx, yy = np.moveaxis(s, -1, 0)
    spread = np.maximum(n * xx - x * x, 0) * np.maximum(n * yy - y * y, 0)
    return np.asarray(np.where(spread > 0, n * xy - x * y, 0) / np.sqrt(np.maximum(spread, 1e-12)))


def rows_mean(rows: FloatArray) -> FloatArray:
    return np.asarray(rows[..., 0].mean(axis=-1))


def right_or_wrong(rows: int, share: float, seed: int) -> Table:
    hits = np.random.default_rng(seed).random(rows) < share
    return Table(np.column_stack([hits, np.ones(rows)]).astype(float), accuracy)


def pearson_stats(x: FloatArray, y: FloatArray) -> FloatArray:
    return np.column_stack([np.ones_like(x), x, y, x * y, x * x, y * y])


# --- bootstrap --------------------------------------------------------------------------------


def test_standard_error_of_a_share_is_the_closed_form() -> None:
    table = right_or_wrong(500, 0.7, seed=1)
    (scores,) = stats.bootstrap([table], seed=3)
    p = table.value()
    assert stats.stderr(scores) == pytest.approx(math.sqrt(p * (1 - p) / 500), rel=0.03)
    low, high = stats.interval(scores)
    assert high - low == pytest.approx(2 * 1.96 * math.sqrt(p * (1 - p) / 500), rel=0.04)


@pytest.mark.parametrize("kind", ["accuracy", "micro_f1", "pearson"])
def test_interval_is_scipys(kind: str) -> None:
    from scipy.stats import bootstrap

    rng = np.random.default_rng(5)
    x = rng.normal(size=200)
    data, score = {
        "accuracy": (right_or_wrong(200, 0.8, seed=2).stats, accuracy),
        "micro_f1": (rng.poisson([3.0, 1.0, 2.0], size=(200, 3)).astype(float), micro_f1),
        "pearson": (pearson_stats(x, 0.7 * x + rng.normal(size=200)), pearson),
    }[kind]

    def of_columns(*columns: FloatArray, axis: int = -1) -> FloatArray:
        return score(np.stack([c.sum(axis=axis) for c in columns], axis=-1))

    theirs = bootstrap(
        tuple(data.T), of_columns, paired=True, n_resamples=20_000, method="percentile",
        vectorized=True, batch=1000, rng=np.random.default_rng(9),
    )  # fmt: skip
    (scores,) = stats.bootstrap([Table(data, score)], resamples=20_000, seed=1)
    grain = 1.001 / 200 if kind == "accuracy" else 0.0  # shares of 200 rows are that far apart
    width = theirs.standard_error
    assert stats.stderr(scores) == pytest.approx(width, rel=0.03)
    assert stats.interval(scores) == pytest.approx(
        tuple(theirs.confidence_interval), abs=max(0.08 * width, grain)
    )


def test_all_tables_get_the_same_resamples_whatever_the_chunks(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    first, second = right_or_wrong(60, 0.5, seed=1), right_or_wrong(60, 0.9, seed=2)
    alone = stats.bootstrap([first], resamples=300, seed=7)[0]
    both = stats.bootstrap([second, first], resamples=300, seed=7)
    np.testing.assert_array_equal(alone, both[1])
    monkeypatch.setattr(resampling, "_CELLS", 61)
    np.testing.assert_array_equal(alone, stats.bootstrap([first], resamples=300, seed=7)[0])
    assert not np.array_equal(alone, stats.bootstrap([first], resamples=300, seed=8)[0])


def test_rows_of_a_document_move_together() -> None:
    documents = right_or_wrong(40, 0.6, seed=4)
    tripled = Table(np.repeat(documents.stats, 3, axis=0), accuracy)
    clusters = np.repeat(np.arange(40)[::-1] * 17, 3).astype(np.int64)
    kept = stats.bootstrap([tripled], clusters=clusters[::-1], resamples=500, seed=2)[0]
    plain = stats.bootstrap([documents], resamples=500, seed=2)[0]
    np.testing.assert_allclose(kept, plain)
    naive = stats.bootstrap([tripled], resamples=500, seed=2)[0]
    assert stats.stderr(kept) > 1.5 * stats.stderr(naive)
    one = stats.bootstrap([tripled], clusters=np.zeros(120, dtype=np.int64), resamples=50)[0]
    assert set(one) == {tripled.value()}


@pytest.mark.parametrize("clusters", [None, [0, 0, 0, 5, 5, 2, 7, 7, 7, 7]])
def test_metrics_of_rows_see_the_resamples_of_the_sums(clusters: list[int] | None) -> None:
    values = np.array([0.1, 0.9, 0.4, 0.0, 1.0, 0.3, 0.8, 0.2, 0.6, 0.5])
    sums = Table(np.column_stack([values, np.ones(10)]), accuracy)
    rows = Table(values[:, None], rows_mean, is_sum=False)
    ids = None if clusters is None else np.array(clusters)
    by_sum, by_row = stats.bootstrap([sums, rows], clusters=ids, resamples=400, seed=3)
    np.testing.assert_allclose(by_sum, by_row)
    assert np.unique(by_row.round(9)).size > 10


@pytest.mark.parametrize(
    ("stats_rows", "value"),
    [([[1.0, 1.0]], 1.0), ([[0.0, 1.0]] * 30, 0.0), ([[1.0, 1.0]] * 3, 1.0)],
)
def test_one_row_or_a_constant_column_has_a_defined_interval(
    stats_rows: list[list[float]], value: float
) -> None:
    (scores,) = stats.bootstrap([Table(np.array(stats_rows), accuracy)], resamples=200)
    assert stats.interval(scores) == (value, value)
    assert stats.stderr(scores) == 0.0


@given(
    st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5), st.integers(0, 5)), min_size=1),
    st.integers(0, 2**64 - 1),
)
def test_intervals_are_ordered_finite_and_inside_the_bounds(
    rows: list[tuple[int, int, int]], seed: int
) -> None:
    table = Table(np.array(rows, dtype=float), micro_f1)
    (scores,) = stats.bootstrap([table], resamples=50, seed=seed)
    low, high = stats.interval(scores)
    assert 0 <= low <= high <= 1


def test_no_rows_and_uneven_tables_are_refused() -> None:
    empty = Table(np.empty((0, 2)), accuracy)
    with pytest.raises(ValueError, match="no rows"):
        stats.bootstrap([empty])
    with pytest.raises(ValueError, match="equal numbers of rows"):
        stats.bootstrap([right_or_wrong(3, 0.5, 1), right_or_wrong(4, 0.5, 1)])
    with pytest.raises(ValueError, match="cluster numbers"):
        stats.bootstrap([right_or_wrong(3, 0.5, 1)], clusters=np.zeros(2, dtype=np.int64))
    with pytest.raises(ValueError, match="no scores"):
        stats.interval(np.empty(0))


def test_seeds_are_stable() -> None:
    assert stats.task_seed(0, "AnEM") == 14567952799984337464
    seeds = {stats.task_seed(seed, task) for seed in (0, 1) for task in ("AnEM", "AnEM-RE")}
    assert len(seeds) == 4


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["accuracy", "micro_f1", "pearson"])
def test_the_interval_covers_the_truth_in_95_of_100(kind: str) -> None:
    """1,000 data sets of 200 rows; the truth is known or the limit of a very large sample."""
    rng = np.random.default_rng(11)

    def draw(rows: int) -> FloatArray:
        if kind == "accuracy":
            hits = (rng.random(rows) < 0.75).astype(float)
            return np.column_stack([hits, np.ones(rows)])
        if kind == "micro_f1":
            golds = rng.poisson(4.0, rows)
            found = rng.binomial(golds, rng.beta(4, 2, rows))
            return np.column_stack([found, rng.poisson(1.0, rows), golds - found]).astype(float)
        x = rng.normal(size=rows)
        return pearson_stats(x, 0.6 * x + 0.8 * rng.normal(size=rows))

    score: Score = {"accuracy": accuracy, "micro_f1": micro_f1, "pearson": pearson}[kind]
    truth = {"accuracy": 0.75, "pearson": 0.6}.get(kind)
    if truth is None:
        truth = float(score(draw(2_000_000).sum(axis=0)))
    covered = 0
    for number in range(1000):
        (scores,) = stats.bootstrap([Table(draw(200), score)], resamples=1000, seed=number)
        low, high = stats.interval(scores)
        covered += low <= truth <= high
    assert 930 <= covered <= 970


# --- paired permutation -----------------------------------------------------------------------


def brute_force(base: FloatArray, new: FloatArray, score: Score) -> float:
    observed = abs(float(score(new.sum(0))) - float(score(base.sum(0))))
    hits = 0
    for swaps in itertools.product([False, True], repeat=len(base)):
        mask = np.array(swaps)[:, None]
        first, second = np.where(mask, new, base), np.where(mask, base, new)
        gap = abs(float(score(second.sum(0))) - float(score(first.sum(0))))
        hits += gap >= observed - 1e-12
    return hits / 2 ** len(base)


@pytest.mark.parametrize("seed", range(6))
def test_few_rows_are_enumerated(seed: int) -> None:
    rng = np.random.default_rng(seed)
    base, new = rng.integers(0, 4, (2, 9, 3)).astype(float)
    new[2:5] = base[2:5]
    test = stats.permutation_test(Table(base, micro_f1), Table(new, micro_f1))
    assert test.exact
    assert test.p_value == pytest.approx(brute_force(base, new, micro_f1))


def test_many_rows_agree_with_scipy() -> None:
    from scipy.stats import permutation_test

    rng = np.random.default_rng(8)
    base = rng.random(120)
    new = base + rng.normal(0.02, 0.15, 120)

    def of_means(x: FloatArray, y: FloatArray, axis: int) -> FloatArray:
        return np.asarray(y.mean(axis=axis) - x.mean(axis=axis))

    theirs = permutation_test(
        (base, new), of_means, permutation_type="samples", vectorized=True, n_resamples=20_000,
        batch=2000, rng=np.random.default_rng(1),
    )  # fmt: skip
    tables = [Table(np.column_stack([v, np.ones(120)]), accuracy) for v in (base, new)]
    ours = stats.permutation_test(tables[0], tables[1], permutations=20_000, seed=4)
    assert not ours.exact
    assert 0.01 < ours.p_value < 0.99
    assert ours.p_value == pytest.approx(theirs.pvalue, abs=0.012)
    assert ours.difference == pytest.approx(float(new.mean() - base.mean()))


@pytest.mark.parametrize("clusters", [None, np.repeat(np.arange(10), 3)])
def test_rows_and_sums_are_swapped_alike(clusters: stats.IntArray | None) -> None:
    rng = np.random.default_rng(2)
    base, new = rng.random((2, 30))
    new[:9] = base[:9]
    by_sum = stats.permutation_test(
        Table(np.column_stack([base, np.ones(30)]), accuracy),
        Table(np.column_stack([new, np.ones(30)]), accuracy),
        clusters=clusters, permutations=500, seed=6,
    )  # fmt: skip
    by_row = stats.permutation_test(
        Table(base[:, None], rows_mean, is_sum=False), Table(new[:, None], rows_mean, is_sum=False),
        clusters=clusters, permutations=500, seed=6,
    )  # fmt: skip
    np.testing.assert_allclose(by_sum.permuted, by_row.permuted, atol=1e-12)
    assert by_sum.p_value == pytest.approx(by_row.p_value)
    assert by_sum.exact is (clusters is not None)


def test_whole_documents_are_swapped() -> None:
    """Copies of one document are no further evidence."""
    rng = np.random.default_rng(3)
    base, new = rng.integers(0, 2, (2, 8)).astype(float)
    single = [Table(np.column_stack([v, np.ones(8)]), accuracy) for v in (base, new)]
    copies = [Table(np.repeat(t.stats, 5, axis=0), accuracy) for t in single]
    clusters = np.repeat(np.arange(8), 5)
    kept = stats.permutation_test(copies[0], copies[1], clusters=clusters)
    assert kept.p_value == pytest.approx(stats.permutation_test(*single).p_value)


def test_equal_runs_give_no_evidence() -> None:
    table = right_or_wrong(50, 0.5, seed=1)
    test = stats.permutation_test(table, table, permutations=100)
    assert (test.difference, test.p_value) == (0.0, 1.0)
    assert not test.permuted.any()


def test_permutations_do_not_depend_on_the_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = right_or_wrong(70, 0.4, seed=1), right_or_wrong(70, 0.6, seed=2)
    whole = stats.permutation_test(first, second, permutations=333, seed=5).permuted
    monkeypatch.setattr(resampling, "_CELLS", 100)
    cut = stats.permutation_test(first, second, permutations=333, seed=5).permuted
    np.testing.assert_array_equal(whole, cut)


def test_unlike_tables_are_refused() -> None:
    with pytest.raises(ValueError, match="same metric"):
        stats.permutation_test(
            right_or_wrong(5, 0.5, 1), Table(np.zeros((5, 1)), rows_mean, is_sum=False)
        )


# --- McNemar, corrections, detectable difference ----------------------------------------------


@given(st.integers(0, 400), st.integers(0, 400))
def test_mcnemar_is_scipys_binomial_test(first: int, second: int) -> None:
    from scipy.stats import binomtest

    theirs = binomtest(first, first + second).pvalue if first + second else 1.0
    assert stats.mcnemar(first, second) == pytest.approx(theirs, rel=1e-9)


@pytest.mark.parametrize(
    ("first", "second", "p"),
    [(0, 0, 1.0), (5, 0, 0.0625), (6, 0, 0.03125), (0, 6, 0.03125), (37, 13, 0.00093622291085)],
)
def test_mcnemar_literals(first: int, second: int, p: float) -> None:
    assert stats.mcnemar(first, second) == pytest.approx(p, rel=1e-6)


@pytest.mark.parametrize(
    ("p_values", "by_holm", "by_bh"),
    [
        ([], [], []),
        ([0.04], [0.04], [0.04]),
        ([0.01, 0.04, 0.03, 0.005], [0.03, 0.06, 0.06, 0.02], [0.02, 0.04, 0.04, 0.02]),
        ([0.5, 0.9, 0.6], [1.0, 1.0, 1.0], [0.9, 0.9, 0.9]),
        ([0.02, 0.02], [0.04, 0.04], [0.02, 0.02]),
    ],
)
def test_corrections(p_values: list[float], by_holm: list[float], by_bh: list[float]) -> None:
    assert stats.holm(p_values) == pytest.approx(by_holm)
    assert stats.benjamini_hochberg(p_values) == pytest.approx(by_bh)


@given(st.lists(st.floats(0, 1), min_size=1, max_size=40))
def test_corrections_are_ordered_and_scipys(p_values: list[float]) -> None:
    from scipy.stats import false_discovery_control

    by_holm, by_bh = stats.holm(p_values), stats.benjamini_hochberg(p_values)
    np.testing.assert_allclose(by_bh, false_discovery_control(p_values), atol=1e-12)
    for raw, h, b in zip(p_values, by_holm, by_bh, strict=True):
        assert raw <= b + 1e-12
        assert b <= h + 1e-12 <= 1 + 2e-12


def test_detectable_difference() -> None:
    assert stats.detectable(0.01) == pytest.approx(0.0280159, abs=1e-6)
    assert stats.detectable(0.0) == 0.0


def test_detectable_difference_is_found_four_times_in_five() -> None:
    """A drop of exactly that size, planted in 300 simulated pairs, is called in about 80 %."""
    rng = np.random.default_rng(1)
    rows, change, found = 800, 0.2, 0
    for number in range(300):
        base = (rng.random(rows) < 0.5).astype(float)
        size = stats.detectable(math.sqrt(change / rows))
        moved = rng.random(rows) < change
        worse = rng.random(rows) < (1 + size / change) / 2
        new = np.where(moved, np.where(worse, 0.0, 1.0), base)
        base = np.where(moved, np.where(worse, 1.0, 0.0), base)
        tables = [Table(np.column_stack([v, np.ones(rows)]), accuracy) for v in (base, new)]
        test = stats.permutation_test(*tables, permutations=1000, seed=number)
        found += test.p_value < 0.05 and test.difference < 0
    assert 0.72 <= found / 300 <= 0.88


def test_paired_module_counts_ties_as_extreme() -> None:
    permuted = np.array([0.1 + 0.2, -0.3, 0.1, 0.0])
    assert paired.monte_carlo_p(permuted, 0.3) == pytest.approx(3 / 5)
