"""Bootstrap, paired tests and corrections on summed statistics; numpy only.

Everything works on tables of per-row statistics (`metrics.base`): a resample of the rows is a
vector of integer weights, so that 10,000 resamples of a score are one matrix product, and two
runs are compared by giving both the same weights. Rows of one document (a cluster) are summed
first and move together.

All draws come from numpy's PCG64 seeded by `seed`; the stream does not depend on the size of the
chunks the work is cut into, so that a result is a function of the statistics, the clusters, the
number of resamples and the seed alone.
"""

from __future__ import annotations

from medinst_eval.stats.corrections import benjamini_hochberg, holm
from medinst_eval.stats.paired import (
    EXACT_CLUSTERS,
    POWER,
    Permutation,
    detectable,
    mcnemar,
    monte_carlo_p,
    permutation_test,
)
from medinst_eval.stats.resampling import (
    LEVEL,
    RESAMPLES,
    FloatArray,
    IntArray,
    Table,
    bootstrap,
    combined,
    interval,
    stderr,
    task_seed,
)

__all__ = [
    "EXACT_CLUSTERS",
    "LEVEL",
    "POWER",
    "RESAMPLES",
    "FloatArray",
    "IntArray",
    "Permutation",
    "Table",
    "benjamini_hochberg",
    "bootstrap",
    "combined",
    "detectable",
    "holm",
    "interval",
    "mcnemar",
    "monte_carlo_p",
    "permutation_test",
    "stderr",
    "task_seed",
]
