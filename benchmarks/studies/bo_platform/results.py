"""Figures of searches of pools: mean GAPs, differences on the same pools and seeds, and what an ask costs."""

from itertools import product
from typing import Any

import numpy as np

from benchmarks.studies.bo_gap import LOOK_AHEAD
from benchmarks.studies.bo_platform.searches import METHODS
from benchmarks.studies.paired import Found, compared
from search.trials import Row

PAIRS = (*product((*LOOK_AHEAD, "knowledge_gradient"), ("ei",)), ("ei", "random"))


def figures(rows: list[Row]) -> dict[str, Any]:
    """Computes all figures; runs with a fallback, and those that began at the best row, are not among the GAPs."""
    of_pools = list(dict.fromkeys(row["pool"] for row in rows))
    gaps: Found = {
        (row["pool"], row["method"], row["seed"]): row["gap"]
        for row in rows
        if not row["fallbacks"] and row["gap"] is not None
    }
    return {
        "runs": len(rows),
        "left_out": {m: n for m in METHODS if (n := sum(r["fallbacks"] > 0 for r in rows if r["method"] == m))},
        "began_at_the_best": sum(row["gap"] is None for row in rows),
        "methods": {method: _of_method(rows, gaps, method) for method in METHODS},
        "by_pool": {pool: {method: _mean(gaps, [pool], method) for method in METHODS} for pool in of_pools},
        **{f"{one}_less_{other}": pairs for one, other in PAIRS if (pairs := compared(gaps, of_pools, one, other))},
    }


def _of_method(rows: list[Row], gaps: Found, method: str) -> dict[str, Any]:
    of = [row for row in rows if row["method"] == method]
    decisions = sum(row["decisions"] for row in of)
    return {
        "gap": _mean(gaps, list({row["pool"] for row in of}), method),
        "cpu_seconds_an_ask": round(sum(row["cpu_seconds"] for row in of) / decisions, 3) if of else None,
    }


def _mean(gaps: Found, pools: list[str], method: str) -> float | None:
    of = [found for (pool, name, _), found in gaps.items() if pool in pools and name == method]
    return round(float(np.mean(of)), 4) if of else None
