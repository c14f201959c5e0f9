"""How far two orders of the same models agree, with intervals over models."""

from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.stats import rankdata

from search.choices import Array

DRAWS = 1000  # of models, with repetition


def agreement(scores: Array, truth: Array, flops: Array | None = None) -> dict[str, Any] | None:
    """Computes Kendall's τ_b and Spearman's ρ, with 95 % bootstrap intervals over models; None of fewer than 4 models.

    Args:
        scores: of n models, (n,).
        truth: what they should tell, (n,).
        flops: with them also ρ of what log FLOPs do not explain of the ranks.
    """
    if len(scores) < 4:
        return None
    rows = _drawn(len(scores))
    found = {"kendall": kendall(scores, truth, rows), "spearman": spearman(scores, truth, rows)}
    if flops is not None:
        found["partial_spearman"] = partial(scores, truth, flops, rows)
    figures: dict[str, Any] = {"models": len(scores)}
    for name, values in found.items():
        figures[name] = _interval(values, 95)
    return figures


def difference(one: Array, other: Array, truth: Array) -> dict[str, float]:
    """Computes how much greater ρ of `one` with the truth is than that of `other`, with a 90 % bootstrap interval.

    Scores that order the models the wrong way round have a negative ρ: a search that follows them picks the worst.
    """
    rows = _drawn(len(truth))
    return _interval(spearman(one, truth, rows) - spearman(other, truth, rows), 90)


def kendall(one: Array, other: Array, rows: npt.NDArray[np.int64]) -> Array:
    """Computes τ_b of samples, (k,); rows: which of the n models each sample has, (k, n)."""
    times = np.zeros((len(rows), len(one)))
    np.add.at(times, (np.arange(len(rows))[:, None], rows), 1)
    signs = [np.sign(scores[:, None] - scores) for scores in (one, other)]

    def over_pairs(of_pairs: Array) -> Array:
        total: Array = ((times @ of_pairs) * times).sum(1)
        return total

    spread = np.sqrt(over_pairs(signs[0] ** 2) * over_pairs(signs[1] ** 2))
    return _ratio(over_pairs(signs[0] * signs[1]), spread)


def spearman(one: Array, other: Array, rows: npt.NDArray[np.int64]) -> Array:
    """Computes ρ of samples, (k,); rows: which of the n models each sample has, (k, n). 0 without any order."""
    ranks = [rankdata(scores[rows], axis=1) for scores in (one, other)]
    a, b = (of_sample - of_sample.mean(1, keepdims=True) for of_sample in ranks)
    return _ratio((a * b).sum(1), np.sqrt((a**2).sum(1) * (b**2).sum(1)))


def partial(one: Array, other: Array, given: Array, rows: npt.NDArray[np.int64]) -> Array:
    """Computes ρ of two scores given a third, (k,); rows: as of `spearman`."""
    a, b, c = (spearman(x, y, rows) for x, y in ((one, other), (one, given), (other, given)))
    return _ratio(a - b * c, np.sqrt((1 - b**2) * (1 - c**2)))


def _drawn(count: int) -> npt.NDArray[np.int64]:
    """Returns the models themselves, then samples of as many."""
    rng = np.random.default_rng(0)
    return np.vstack([np.arange(count), rng.integers(count, size=(DRAWS, count))])


def _interval(values: Array, level: int) -> dict[str, float]:
    low, high = np.percentile(values[1:], [(100 - level) / 2, (100 + level) / 2])
    return {name: round(float(x), 3) for name, x in (("mean", values[0]), ("low", low), ("high", high))}


def _ratio(above: Array, below: Array) -> Array:
    return np.divide(above, below, out=np.zeros_like(above), where=below > 1e-9)
