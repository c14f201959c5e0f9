"""What to look at next: greedy, two steps ahead, an upper bound, and efficient nonmyopic search (ENS).

ENS (Jiang et al., ICML 2017) takes the point x that maximises

    f(x) = p(x) + E_y[ sum of the m highest p(x' | x has label y) over the other points x' ],

where m looks are left after this one: as if all of them were made at once. With m = 1 it is exactly two steps ahead.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from search.active.belief import Belief
from search.choices import Array

Policy = Callable[[Belief, int], int]  # the belief and how many looks are left, this one among them; a point
SLACK = 1e-9  # of sums, relative: what differs by less is a tie, which the point that comes first wins


@dataclass(frozen=True)
class Scored:
    """What ENS knows of all points.

    Attributes:
        bound: of f, no less than it, (n,); -inf where the label is known.
        exact: where the bound is f itself, (n,).
    """

    bound: Array
    exact: npt.NDArray[np.bool_]


def greedy(belief: Belief, looks: int) -> int:
    """Returns the point that is most likely positive."""
    return _first_highest(np.where(belief.unknown, belief.probability, -np.inf))


def upper_bound(belief: Belief, looks: int, *, weight: float = 1.0) -> int:
    """Returns the point with the highest p + weight · sqrt(p (1 - p) / (labels seen + 1)): p and its deviation.

    That of a beta distribution: where few neighbors have a label, more is hoped for.
    """
    p = belief.probability
    deviation = np.sqrt(p * (1 - p) / (belief.seen + 1))
    return _first_highest(np.where(belief.unknown, p + weight * deviation, -np.inf))


def two_step(belief: Belief, looks: int) -> int:
    """Returns the point that is best if one look follows."""
    return nonmyopic(belief, min(looks, 2))


def nonmyopic(belief: Belief, looks: int) -> int:
    """Returns the point that ENS takes with so many looks left.

    Raises:
        ValueError: no look is left, or no point without a label.
    """
    found = scored(belief, looks)
    return best(found.bound, found.exact, Score(belief, looks))


def best(bound: Array, exact: npt.NDArray[np.bool_], evaluate: Callable[[int], float]) -> int:
    """Returns the point with the highest value, and evaluates as few as it can: the highest bound first.

    Args:
        bound: of each point's value, (n,).
        exact: where the bound is the value, (n,).
        evaluate: computes a point's value.
    """
    values = np.where(exact, bound, -np.inf)
    lead = values.max()
    left = np.flatnonzero(~exact & (bound > -np.inf))
    for point in left[np.argsort(-bound[left], kind="stable")]:
        if bound[point] <= lead * (1 + SLACK):
            break
        values[point] = evaluate(int(point))
        lead = max(lead, values[point])
    return _first_highest(values)


def scored(belief: Belief, looks: int) -> Scored:
    """Bounds the ENS score of all points at once.

    For any θ, the sum of the m highest of v is at most mθ + Σ (v - θ)⁺, and is just that where no more than m of v are
    above θ and no fewer than m are at it or above. With θ the m-th highest probability now, a label changes that sum
    by what its neighbors add, which one sparse product tells for all points.

    Raises:
        ValueError: no look is left, or no point without a label.
    """
    left = int(belief.unknown.sum())
    if looks < 1 or not left:
        raise ValueError(f"{looks} looks at {left} points without a label: there is nothing to choose")
    p, open_ = belief.probability, belief.unknown
    m = min(looks, left) - 1
    if m == 0:
        return Scored(np.where(open_, p, -np.inf), open_.copy())
    highest = np.partition(p[open_], left - m)[left - m]
    usual = np.median((belief.positives[open_] + 1) / (belief.seen[open_] + 1))
    bounds = [_sums(belief, m, 1, (highest, usual)), _sums(belief, m, 0, (highest,))]
    total = p + p * bounds[0].bound + (1 - p) * bounds[1].bound
    return Scored(np.where(open_, total, -np.inf), open_ & bounds[0].exact & bounds[1].exact)


def _sums(belief: Belief, m: int, label: int, thetas: tuple[float, ...]) -> Scored:
    """Bounds the sum of the m highest probabilities once each point has that label, by the best of some θ."""
    p, open_ = belief.probability, belief.unknown
    after = (belief.positives + label) / (belief.seen + 1)

    def measured(of: Array, theta: float) -> list[Array]:
        """Returns what a point adds over θ, and whether it is above θ, or at it or above."""
        return [
            np.maximum(of - theta, 0) * open_,
            (of > theta * (1 + SLACK)) & open_,
            (of > theta * (1 - SLACK)) & open_,
        ]

    now = [column.astype(np.float64) for theta in thetas for column in measured(p, theta)]
    then = [column.astype(np.float64) for theta in thetas for column in measured(after, theta)]
    changes = np.stack([new - old for new, old in zip(then, now, strict=True)], 1)
    sums = (belief.pool.told @ changes).T
    found = Scored(np.full(belief.pool.size, np.inf), np.zeros(belief.pool.size, np.bool_))
    for place, theta in enumerate(thetas):
        over, above, at_least = (
            old.sum() - old + sums[3 * place + n] for n, old in enumerate(now[3 * place : 3 * place + 3])
        )
        exact = (np.rint(above) <= m) & (np.rint(at_least) >= m)
        found = Scored(np.minimum(found.bound, m * theta + over), found.exact | exact)
    return found


class Score:
    """Computes the ENS score of one point after another; `made` counts how many were, by all."""

    made = 0

    def __init__(self, belief: Belief, looks: int) -> None:
        """Keeps the points that may be among the m highest, whatever one label changes."""
        self.belief = belief
        left = np.flatnonzero(belief.unknown)
        self.m = min(looks, len(left)) - 1
        kept = min(len(left), self.m + 1 + belief.pool.most_told)
        self._highest = left[np.argsort(-belief.probability[left], kind="stable")[:kept]]
        self._aside = np.zeros(belief.pool.size, np.bool_)

    def __call__(self, point: int) -> float:
        """Returns the score of a point without a label."""
        Score.made += 1
        belief, m = self.belief, self.m
        p, told = belief.probability, belief.pool.told_by(point)
        total = float(p[point])
        if m == 0:
            return total
        told = told[belief.unknown[told]]
        changed = np.append(told, point)
        self._aside[changed] = True
        others = p[self._highest[~self._aside[self._highest]][:m]]
        self._aside[changed] = False
        for label, weight in ((1, p[point]), (0, 1 - p[point])):
            after = np.concatenate([others, (belief.positives[told] + label) / (belief.seen[told] + 1)])
            total += weight * np.partition(after, len(after) - m)[len(after) - m :].sum()
        return float(total)


def _first_highest(values: Array) -> int:
    """Returns the first point whose value is the highest, but for rounding."""
    highest = values.max()
    return int(np.flatnonzero(values >= highest - SLACK * abs(highest))[0])
