"""Figures of the study, from its finished runs."""

from collections.abc import Callable, Iterable
from itertools import product
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.stats import binomtest

from benchmarks.studies.search_tabular.ranking import PREDICTORS
from benchmarks.studies.search_tabular.replay import METHODS
from quality.seed_intervals import interval
from search.trials import Row

Array = npt.NDArray[np.float64]
SHARES = {"top_02pct": 0.002, "top_002pct": 0.0002}
RESAMPLES = 10_000
TPE = ("tpe", "tpe_univariate")
COMPARED = (
    ("predictor", "predictor_top_k"),
    ("predictor", "tpe_best"),
    ("predictor_top_k", "tpe_best"),
    ("predictor", "evolution"),
    ("predictor_top_k", "evolution"),
)


def figures(rows: list[Row], combinations: dict[str, int]) -> dict[str, Any]:
    """Computes all figures, by table and over all tables.

    Args:
        rows: finished runs.
        combinations: of each table.
    """
    searches = {
        (row["table"], row["method"], row["seed"]): row | {"combinations": combinations[row["table"]]}
        for row in rows
        if row["study"] == "search"
    }
    tables = [name for name in combinations if any(table == name for table, _, _ in searches)]
    pooled = {method: _of_searches(_of(searches, tables, method)) for method in METHODS}
    pooled = {method: found for method, found in pooled.items() if found}
    hits = {method: found["top_002pct"]["share"] for method, found in pooled.items()}
    better = max((name for name in TPE if name in hits), key=hits.__getitem__, default=None)
    return {
        "hit_top002pct": hits.get("predictor"),
        "top_k_hit_top002pct": hits.get("predictor_top_k"),
        "tpe_hit_top002pct": hits.get(better) if better else None,
        "better_tpe": better,
        "tables": {
            table: {
                "combinations": combinations[table],
                "methods": {
                    method: found | {"best_rank_by_trial": _curve(_of(searches, [table], method))}
                    for method in METHODS
                    if (found := _of_searches(_of(searches, [table], method)))
                },
                "tau": _tau(rows, table),
            }
            for table in tables
        },
        "all_tables": pooled,
        "differences": {
            share: {
                f"{one}_less_{other}": difference
                for one, other in COMPARED
                if (difference := _difference(searches, tables, one, better if other == "tpe_best" else other, share))
            }
            for share in SHARES
        },
        "tau_differences": _tau_differences(rows, tables),
    }


Searches = dict[tuple[str, str, int], Row]


def _of(searches: Searches, tables: list[str], method: str) -> list[Row]:
    return [row for (table, name, _), row in searches.items() if table in tables and name == method]


def hit(row: Row, share: str, rank: Callable[[Row], int] = lambda row: min(row["ranks"])) -> bool:
    """Says whether a search came among the best so many of all combinations."""
    return rank(row) <= SHARES[share] * row["combinations"]


def _of_searches(rows: list[Row]) -> dict[str, Any]:
    if not rows:
        return {}
    best = [min(row["ranks"]) for row in rows]
    quartiles = np.quantile(best, [0.25, 0.5, 0.75])
    return {
        "searches": len(rows),
        "best_rank": dict(zip(("lower_quartile", "median", "upper_quartile"), map(float, quartiles), strict=True)),
        "chosen_rank_median": float(np.median([row["chosen_rank"] for row in rows])),
        **{share: _share([hit(row, share) for row in rows]) for share in SHARES},
        **{f"chosen_{s}": _share([hit(row, s, lambda r: r["chosen_rank"]) for row in rows]) for s in SHARES},
        **{name: round(float(np.mean([row[name] for row in rows])), 2) for name in ("repeated", "fallbacks")},
        "cpu_seconds": round(float(np.median([row["cpu_seconds"] for row in rows])), 2),
    }


def _share(hits: list[bool]) -> dict[str, float]:
    """Computes the share of hits with its 95 % Wilson interval."""
    bounds = binomtest(sum(hits), len(hits)).proportion_ci(method="wilson")
    return {"share": round(sum(hits) / len(hits), 4), "low": round(bounds.low, 4), "high": round(bounds.high, 4)}


def _curve(rows: list[Row]) -> list[float]:
    return [float(x) for x in np.median([np.minimum.accumulate(row["ranks"]) for row in rows], axis=0)]


def _difference(
    searches: Searches, tables: list[str], one: str, other: str | None, share: str
) -> dict[str, Any] | None:
    """Compares two methods by their hits, on the same seeds of all tables."""
    pairs = [
        [
            float(hit(row, share)) - float(hit(searches[table, other, seed], share))
            for (table, method, seed), row in searches.items()
            if table == name and method == one and (table, other, seed) in searches
        ]
        for name in tables
        if other
    ]
    return paired_bootstrap(pairs)


def paired_bootstrap(by_table: Iterable[list[float]]) -> dict[str, Any] | None:
    """Computes the mean of paired differences, with a 95 % interval: seeds are drawn anew within each table."""
    arrays = [np.array(differences) for differences in by_table if differences]
    if not arrays:
        return None
    rng = np.random.default_rng(0)
    count = sum(map(len, arrays))
    drawn = sum(x[rng.integers(0, len(x), (RESAMPLES, len(x)))].sum(1) for x in arrays) / count
    low, high = np.quantile(drawn, [0.025, 0.975])
    mean = float(np.concatenate(arrays).mean())
    return {"mean": round(mean, 4), "low": round(float(low), 4), "high": round(float(high), 4), "pairs": count}


def _taus(rows: list[Row], table: str, predictor: str) -> dict[int, float]:
    return {
        row["seed"]: row["tau"]
        for row in rows
        if (row["study"], row["table"], row["method"]) == ("ranking", table, predictor)
    }


def _tau(rows: list[Row], table: str) -> dict[str, Any]:
    return {name: found for name in PREDICTORS if (found := interval(_taus(rows, table, name).values()))}


def _tau_differences(rows: list[Row], tables: list[str]) -> dict[str, Any]:
    """Compares ten ranking nets with the others, by Kendall's τ on the same splits."""
    found: dict[str, Any] = {}
    for other, name in product(list(PREDICTORS)[1:], [*tables, "all_tables"]):
        pairs = []
        for table in tables if name == "all_tables" else [name]:
            ours, theirs = _taus(rows, table, "ten_ranking"), _taus(rows, table, other)
            pairs.append([ours[seed] - theirs[seed] for seed in sorted(ours.keys() & theirs.keys())])
        if compared := paired_bootstrap(pairs):
            found.setdefault(f"ten_ranking_less_{other}", {})[name] = compared
    return found
