"""Figures of the study: means over seeds, paired differences, the adaptivity gap, what pruning leaves."""

from collections.abc import Iterable
from typing import Any

import numpy as np
from scipy.stats import wilcoxon

from quality.seed_intervals import interval
from search.trials import Row

TUNING_SEEDS = 1000  # seeds from here on choose, those below are reported
AHEAD, RIVALS = "ens", ("greedy", "two_step", "upper_bound")


def figures(rows: list[Row]) -> dict[str, Any]:
    """Computes all figures of the rows there are."""
    chosen = neighbors_chosen(rows)
    reported = [row for row in rows if row["seed"] < TUNING_SEEDS]
    single = [row for row in reported if row["policy"] in (AHEAD, *RIVALS)]
    gap = [row for row in reported if row["policy"] not in (AHEAD, *RIVALS)]
    pools = dict.fromkeys(row["pool"] for row in single)
    return {
        "neighbors": {pool: {p: k for (of, p), k in chosen.items() if of == pool} for pool in pools},
        "pools": {pool: _of_pool([row for row in single if row["pool"] == pool]) for pool in pools},
        "gap": _gap(gap),
        "pruning": _pruning([row for row in single if row["policy"] == AHEAD]),
    }


def neighbors_chosen(rows: list[Row]) -> dict[tuple[str, str], int]:
    """Returns the number of neighbors with which each policy found most of each pool, by the seeds for that."""
    found: dict[tuple[str, str], dict[int, int]] = {}
    for row in rows:
        if row["seed"] >= TUNING_SEEDS:
            of = found.setdefault((row["pool"], row["policy"]), {})
            of[row["k"]] = of.get(row["k"], 0) + row["found"]
    return {pair: max(of, key=lambda k: of[k]) for pair, of in found.items()}


def _of_pool(rows: list[Row]) -> dict[str, Any]:
    found: dict[str, Any] = {
        "points": rows[0]["points"],
        "share_positive": round(float(np.mean([(row["positives"] + 1) / row["points"] for row in rows])), 4),
    }
    for looks in sorted({row["looks"] for row in rows}):
        of = [row for row in rows if row["looks"] == looks]
        by = {policy: {r["seed"]: r["found"] for r in of if r["policy"] == policy} for policy in (AHEAD, *RIVALS)}
        found[str(looks)] = {
            "found": {policy: interval(values.values()) for policy, values in by.items()},
            "ens_less": {policy: _paired(by[AHEAD], by[policy]) for policy in RIVALS},
        }
    return found


def _paired(one: dict[int, int], other: dict[int, int]) -> dict[str, float] | None:
    """Compares by seed: mean difference, its 95 % interval, and p of Wilcoxon's test that the first finds more."""
    both = [one[seed] - other[seed] for seed in one if seed in other]
    found = interval(both)
    if found is not None and any(both):
        found["p"] = round(float(wilcoxon(both, alternative="greater").pvalue), 5)
    return found


def _gap(rows: list[Row]) -> dict[str, Any]:
    policies = dict.fromkeys(row["policy"] for row in rows)
    return {
        policy: {
            str(batch): {**(interval(_found(rows, policy, batch)) or {}), "cpu_s": _mean(rows, policy, batch)}
            for batch in sorted({row["batch"] for row in rows})
            if any(_found(rows, policy, batch))
        }
        for policy in policies
    }


def _found(rows: list[Row], policy: str, batch: int) -> list[int]:
    return [row["found"] for row in rows if row["policy"] == policy and row["batch"] == batch]


def _mean(rows: list[Row], policy: str, batch: int) -> float:
    return round(float(np.mean([r["cpu_s"] for r in rows if r["policy"] == policy and r["batch"] == batch])), 3)


def _pruning(rows: Iterable[Row]) -> dict[str, Any]:
    by: dict[tuple[str, int], list[Row]] = {}
    for row in rows:
        by.setdefault((row["pool"], row["looks"]), []).append(row)
    return {
        f"{pool}_{looks}": {
            "scored_one_by_one_share": round(
                sum(r["scored"] for r in of) / max(sum(r["scored_unpruned"] for r in of), 1), 5
            ),
            "cpu_s": round(float(np.mean([r["cpu_s"] for r in of])), 3),
        }
        for (pool, looks), of in by.items()
    }
