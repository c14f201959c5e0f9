"""How far two orders of the same models agree, with intervals over models."""

from typing import Any

import numpy as np
from scipy.stats import kendalltau, rankdata, spearmanr

from search.space import Array

DRAWS = 1000


def agreement(scores: Array, truth: Array, flops: Array | None = None) -> dict[str, Any] | None:
    """Computes Kendall's τ and Spearman's ρ, with 95 % bootstrap intervals over models; None of fewer than 4 models.

    Args:
        scores: of n models, (n,).
        truth: what they should tell, (n,).
        flops: with them also ρ of what log FLOPs do not explain of the ranks.
    """
    if len(scores) < 4:
        return None
    rng = np.random.default_rng(0)
    drawn = [rng.integers(len(scores), size=len(scores)) for _ in range(DRAWS)]
    figures: dict[str, Any] = {"models": len(scores)}
    measures = {"kendall": lambda rows: _kendall(scores[rows], truth[rows])}
    measures["spearman"] = lambda rows: _spearman(scores[rows], truth[rows])
    if flops is not None:
        measures["partial_spearman"] = lambda rows: partial(scores[rows], truth[rows], np.log(flops[rows]))
    for name, measure in measures.items():
        values = np.array([measure(rows) for rows in drawn])
        low, high = np.nanpercentile(values, [2.5, 97.5])
        value = measure(np.arange(len(scores)))
        figures[name] = {"mean": round(value, 3), "low": round(float(low), 3), "high": round(float(high), 3)}
    return figures


def partial(one: Array, other: Array, given: Array) -> float:
    """Computes Spearman's partial correlation of two scores given a third."""
    a, b, c = _spearman(one, other), _spearman(one, given), _spearman(other, given)
    rest = (1 - b * b) * (1 - c * c)
    return float((a - b * c) / np.sqrt(rest)) if rest > 1e-9 else 0.0


def difference(one: Array, other: Array, truth: Array) -> dict[str, float]:
    """Computes how much nearer `one` is to the truth by |ρ|, with a 90 % bootstrap interval over models."""
    rng = np.random.default_rng(0)
    values = []
    for _ in range(DRAWS):
        rows = rng.integers(len(truth), size=len(truth))
        values.append(abs(_spearman(one[rows], truth[rows])) - abs(_spearman(other[rows], truth[rows])))
    low, high = np.percentile(values, [5, 95])
    mean = abs(_spearman(one, truth)) - abs(_spearman(other, truth))
    return {"mean": round(mean, 3), "low": round(float(low), 3), "high": round(float(high), 3)}


def _kendall(one: Array, other: Array) -> float:
    return _defined(kendalltau(one, other).statistic)


def _spearman(one: Array, other: Array) -> float:
    if np.ptp(one) == 0 or np.ptp(other) == 0:
        return 0.0
    return _defined(spearmanr(rankdata(one), rankdata(other)).statistic)


def _defined(value: float) -> float:
    return 0.0 if np.isnan(value) else float(value)
