"""Several points to look at together, before any of their labels is known (batch ENS, Jiang et al., NeurIPS 2018)."""

import numpy as np

from search.active.belief import Belief
from search.active.policies import Policy, Score, best, scored

MOST_STATES = 16  # labels of the points chosen so far that are thought of together; the authors' own default

State = tuple[float, Belief]  # a weight, and what would be believed


def batch_nonmyopic(belief: Belief, looks: int, count: int, rng: np.random.Generator) -> list[int]:
    """Chooses points one after another, each for what all chosen ones and the looks after them find together.

    That is Σ p(x) + E[sum of the m highest probabilities after their labels], m looks being left after the batch. The
    expectation is over all labels of the points before, while they are `MOST_STATES` at most, and over so many drawn
    ones from then on. The last batch are the likeliest points.

    Args:
        belief: of the pool.
        looks: left, this batch among them.
        count: of points, fewer where the pool has fewer without a label.
        rng: draws labels.

    Raises:
        ValueError: no look is left, or no point without a label.
    """
    count = min(count, looks, int(belief.unknown.sum()))
    if looks <= count:
        return _likeliest(belief, count)
    states: list[State] = [(1.0, belief)]
    chosen: list[int] = []
    for _ in range(count):
        chosen.append(_best_of(states, looks - count + 1))
        states = _labelled(states, chosen[-1], rng)
    return chosen


def one_after_another(policy: Policy, belief: Belief, looks: int, count: int) -> list[int]:
    """Chooses points by a policy, each as if those before it had turned out negative; the last batch, the likeliest."""
    count = min(count, looks, int(belief.unknown.sum()))
    if looks <= count:
        return _likeliest(belief, count)
    chosen: list[int] = []
    for n in range(count):
        chosen.append(policy(belief, looks - n))
        belief = belief.after(chosen[-1], label=False)
    return chosen


def _likeliest(belief: Belief, count: int) -> list[int]:
    p = np.where(belief.unknown, belief.probability, -np.inf)
    return [int(point) for point in np.argsort(-p, kind="stable")[:count]]


def _best_of(states: list[State], looks: int) -> int:
    """Returns the point with the highest expected ENS score."""
    found = [scored(belief, looks) for _, belief in states]
    bound = sum(weight * of.bound for (weight, _), of in zip(states, found, strict=True))
    exact = np.logical_and.reduce([of.exact for of in found])
    exactly = [(weight, Score(belief, looks)) for weight, belief in states]
    return best(np.asarray(bound), exact, lambda point: sum(weight * of(point) for weight, of in exactly))


def _labelled(states: list[State], point: int, rng: np.random.Generator) -> list[State]:
    """Splits each state by the point's label, or draws it where that would be too many."""
    if 2 * len(states) <= MOST_STATES:
        chances = [(weight, belief, float(belief.probability[point])) for weight, belief in states]
        both = [
            (weight * (p if label else 1 - p), belief, label)
            for weight, belief, p in chances
            for label in (True, False)
        ]
        return [(weight, belief.after(point, label=label)) for weight, belief, label in both]
    drawn = [bool(rng.random() < belief.probability[point]) for _, belief in states]
    return [(weight, belief.after(point, label=label)) for (weight, belief), label in zip(states, drawn, strict=True)]
