"""An average over many cells from few of them, with its error bar: Bayesian quadrature.

Which cell comes next is chosen as BINOCULARS does (arXiv:1909.04568): all that may still be evaluated are chosen
together, and one of them is taken.

n: cells, d: coordinates, k: cells that are evaluated
"""

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from quality.seed_intervals import half_width
from search.bayes.surrogate import fitted_process, standardized
from search.choices import Array

Rule = Literal["binoculars", "uncertainty", "random"]
Noise = Callable[[Sequence[int]], Array]  # variances of all cells, (n,), as those say that were evaluated
FIRST = 4  # cells drawn before a process is fitted
FLOOR = 0.8  # of the lowest value seen: what a warped process takes for the least
PASSES = 2  # over a batch, to exchange its cells for better ones
MOST = 12  # cells of a batch
LEAST_NOISE = 1e-6  # of values with deviation 1: a covariance without any could not be solved for
SAID = 1e-8  # share of the largest variance, below which a cell is known from others


@dataclass(frozen=True)
class Average:
    """What is known of an average.

    Attributes:
        mean: expected.
        deviation: of the average around it; 0 where every cell was evaluated.
        cells: that were evaluated, in their order.
        values: of them.
    """

    mean: float
    deviation: float
    cells: tuple[int, ...]
    values: tuple[float, ...]

    @property
    def interval(self) -> tuple[float, float]:
        """Returns the 95 % interval, by Student's t.

        How often it holds the truth: docs/results/bayesian.md.
        """
        half = half_width(self.deviation, max(len(self.cells) - 1, 1))
        return self.mean - half, self.mean + half


def average(
    evaluate: Callable[[int], float],
    x: Array,
    weights: Array,
    *,
    budget: int,
    rule: Rule = "binoculars",
    warped: bool = False,
    noise: Noise | None = None,
    seed: int = 0,
) -> Average:
    """Estimates the weighted average of the cells' values, of which it evaluates as many as the budget allows.

    Args:
        evaluate: a cell's value by its number.
        x: where the cells lie, in [0, 1], (n, d); values at near places are alike.
        weights: of the cells, not negative, (n,).
        budget: of evaluations.
        rule: of the next cell: one of the batch for the whole budget, drawn by its share of what is not known; the one
            of which least is known; any.
        warped: values are above 0, and vary the more the higher they are: the process is of their root (WSABI-L).
        noise: how far values lie from what their places let expect; None: equally far, learnt from the values.
        seed: of what is drawn.

    Raises:
        ValueError: the budget is below 1, the weights are none, a value is not finite, or both warped and a noise are
            given.
    """
    if budget < 1:
        raise ValueError(f"The budget is {budget}; at least 1 cell must be evaluated")
    if len(weights) != len(x) or not len(x) or weights.min() < 0 or not weights.sum() > 0:
        raise ValueError(
            f"{len(weights)} weights of {len(x)} cells; each cell needs one, not negative, and some above 0"
        )
    if warped and noise is not None:
        raise ValueError("A process of the root learns its noise from the values; give either warped or noise")
    rng = np.random.default_rng(seed)
    shares = weights / weights.sum()
    cells: list[int] = []
    values: list[float] = []
    budget = min(budget, int((shares > 0).sum()))
    while len(cells) < budget:
        if len(cells) < min(FIRST, budget) or rule == "random":
            cell = _drawn(np.where(np.isin(np.arange(len(x)), cells), 0.0, shares), rng)
        else:
            _, cov = _believed(x, cells, values, warped, noise, seed)
            cell = _next(cov, shares, cells, budget - len(cells), rule, rng)
        value = float(evaluate(cell))
        if not np.isfinite(value):
            raise ValueError(f"Cell {cell} has the value {value}; an average needs finite ones")
        cells.append(cell)
        values.append(value)
    return known(x, weights, cells, values, warped=warped, noise=noise, seed=seed)


def known(
    x: Array,
    weights: Array,
    cells: Sequence[int],
    values: Sequence[float],
    *,
    warped: bool = False,
    noise: Noise | None = None,
    seed: int = 0,
) -> Average:
    """Computes what some cells' values say of the average; those that were evaluated are known exactly.

    A single one has a deviation of NaN: it says nothing of the others. Values that are all the same have one of 0.
    """
    shares = weights / weights.sum()
    exact = float(np.dot(shares[list(cells)], values))
    rest = np.setdiff1d(np.arange(len(x)), cells)
    if not shares[rest].sum() > 0:
        return Average(exact, 0.0, tuple(cells), tuple(values))
    if len(cells) < 2:
        return Average(float(values[0]), float("nan"), tuple(cells), tuple(values))
    mean, cov = _believed(x, cells, values, warped, noise, seed)
    variance = shares[rest] @ cov[np.ix_(rest, rest)] @ shares[rest]
    return Average(
        exact + float(shares[rest] @ mean[rest]), float(np.sqrt(max(variance, 0.0))), tuple(cells), tuple(values)
    )


def noise_of_means(variances: Sequence[float] | Array, cells: Sequence[int], rows: Array) -> Array:
    """Computes the variance of each cell's mean of rows around what is expected of them, (n,).

    Args:
        variances: of the rows of each cell that was evaluated, (k,); rows of all cells are taken to vary alike.
        cells: that were evaluated, k.
        rows: of each cell, (n,).
    """
    pooled = np.average(variances, weights=rows[list(cells)])
    return np.asarray(pooled / np.maximum(rows, 1.0))


def batch(cov: Array, size: int) -> list[int]:
    """Chooses the cells that together hold most of what is not known: of the largest determinant, nearly.

    One after another, then exchanged for better ones. A determinant does not depend on values to come, so the batch
    is the best plan as long as what is believed of the values does not change the process.

    Args:
        cov: of the cells, (n, n).
        size: of the batch; fewer where no more is unknown.
    """
    chosen: list[int] = []
    for _ in range(size):
        left = _left(cov, chosen)
        if not left.max() > SAID * cov.diagonal().max():
            break
        chosen.append(int(left.argmax()))
    for _ in range(PASSES if len(chosen) > 1 else 0):
        for place in range(len(chosen)):
            others = chosen[:place] + chosen[place + 1 :]
            chosen[place] = int(_left(cov, others).argmax())
    return chosen


def _left(cov: Array, given: list[int]) -> Array:
    """Computes the variance that is left of each cell once some are known, (n,)."""
    if not given:
        return cov.diagonal().copy()
    inner = cov[np.ix_(given, given)]
    inner = inner + 1e-10 * inner.diagonal().mean() * np.eye(len(given))
    left = cov.diagonal() - (cov[:, given] * np.linalg.solve(inner, cov[given]).T).sum(1)
    left[given] = 0.0
    return left.clip(0.0)


def _next(cov: Array, shares: Array, cells: list[int], remaining: int, rule: Rule, rng: np.random.Generator) -> int:
    of_average = cov * np.outer(shares, shares)
    of_average[cells] = 0.0
    of_average[:, cells] = 0.0
    variance = of_average.diagonal()
    if not variance.max() > 0:  # nothing is unknown, as where all values were the same
        return _drawn(np.where(np.isin(np.arange(len(cov)), cells), 0.0, shares), rng)
    if rule == "uncertainty":
        return int(variance.argmax())
    chosen = batch(of_average, min(remaining, MOST))
    return chosen[_drawn(variance[chosen], rng)]


def _drawn(weights: Array, rng: np.random.Generator) -> int:
    return int(rng.choice(len(weights), p=weights / weights.sum()))


def _believed(
    x: Array, cells: Sequence[int], values: Sequence[float], warped: bool, noise: Noise | None, seed: int
) -> tuple[Array, Array]:
    """Computes mean, (n,), and covariance, (n, n), of all cells' values, with what a cell has of its own.

    The fitted process gives correlations; its mean and its scale are not taken for known, but integrated out under
    vague priors, so the values follow Student's t with k - 1 degrees of freedom (O'Hagan, "Bayes-Hermite quadrature",
    1991, section 2).
    """
    y = torch.tensor(values, dtype=torch.float64)
    lowest = FLOOR * float(y.min())
    y, shift, spread = standardized((2 * (y - lowest)).sqrt() if warped else y)
    points = torch.from_numpy(np.asarray(x, np.float64))
    own = None if noise is None else np.maximum(noise(cells) / spread**2, LEAST_NOISE)  # (n,)
    with torch.random.fork_rng(devices=[]), torch.enable_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # BoTorch warns of every start that it could not climb from
        torch.default_generator.manual_seed(seed)
        given = None if own is None else torch.from_numpy(own[list(cells)])
        model = fitted_process(points[list(cells)], y, [], given)
        cov = _numbers(model.covar_module(points).to_dense())
        cov += np.diag(np.full(len(x), float(model.likelihood.noise)) if own is None else own)
    mean, cov = _mean_and_scale_unknown(cov, list(cells), _numbers(y))
    mean, cov = mean * spread + shift, cov * spread**2
    if warped:
        return lowest + mean**2 / 2, cov * np.outer(mean, mean)
    return mean, cov


def _mean_and_scale_unknown(cov: Array, cells: list[int], y: Array) -> tuple[Array, Array]:
    """Computes mean, (n,), and squared scale, (n, n), of all cells once some are known.

    Args:
        cov: of all cells before, up to its scale, (n, n).
        cells: that are known, k.
        y: their values, (k,).
    """
    ones = np.ones(len(cells))
    of_known = cov[np.ix_(cells, cells)]
    weights = np.linalg.solve(of_known, np.column_stack([ones, y, cov[cells]]))  # (k, 2 + n)
    of_ones, of_y, of_all = weights[:, 0], weights[:, 1], weights[:, 2:]
    precision = float(ones @ of_ones)  # of the process's mean
    level = float(ones @ of_y) / precision
    mean = level + cov[:, cells] @ (of_y - level * of_ones)
    scale = max(float((y - level) @ (of_y - level * of_ones)), 0.0) / (len(cells) - 1)
    beside = 1 - of_all.T @ ones  # how much of each cell hangs on the mean
    return mean, scale * (cov - cov[:, cells] @ of_all + np.outer(beside, beside) / precision)


def _numbers(of: Tensor) -> Array:
    return of.detach().numpy()
