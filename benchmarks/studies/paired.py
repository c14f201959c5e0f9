"""Two methods on the same tasks and seeds: which goes further, by how much, and whether that may be chance."""

from collections.abc import Iterable, Sequence
from typing import Any

from scipy.stats import binomtest

from benchmarks.studies.search_tabular.results import paired_bootstrap

Found = dict[tuple[str, str, int], float]  # by task, method and seed


def compared(found: Found, tasks: Iterable[str], one: str, other: str) -> dict[str, Any] | None:
    """Compares two methods: the mean difference, seeds drawn anew within each task, and a sign test; None: no pair."""
    by_task = [
        [
            value - found[task, other, seed]
            for (of, method, seed), value in found.items()
            if of == task and method == one and (task, other, seed) in found
        ]
        for task in tasks
    ]
    difference = paired_bootstrap(by_task)
    return None if difference is None else difference | signs([pair for of in by_task for pair in of])


def signs(differences: Sequence[float]) -> dict[str, float]:
    """Counts differences above and below 0, and computes the chance of as uneven counts were both as likely."""
    better, worse = sum(one > 0 for one in differences), sum(one < 0 for one in differences)
    p = float(binomtest(better, better + worse).pvalue) if better + worse else 1.0
    return {"better": better, "worse": worse, "sign_test_p": round(p, 5)}
