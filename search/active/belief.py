"""What is believed of a pool: a point is as likely positive as its labelled neighbors are (arXiv:1811.08871)."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import numpy.typing as npt
from scipy import sparse

from search.choices import Array

POSITIVES, NEGATIVES = 0.05, 1.0  # that every point is taken to have seen before; the papers' α₁ and α₂ - α₁


@dataclass(frozen=True)
class Pool:
    """Points and who is near whom.

    Attributes:
        near: (n, n), 1 at [i, j] where the label of j tells of i.
        positives: that each point is taken to have seen before any label.
        negatives: the same of the others.
    """

    near: sparse.csr_array
    positives: float = POSITIVES
    negatives: float = NEGATIVES

    @property
    def size(self) -> int:
        """Returns n."""
        return int(self.near.shape[0])

    @cached_property
    def told(self) -> sparse.csr_array:
        """Who learns of whose label, (n, n): `near` transposed."""
        return self.near.T.tocsr()

    @cached_property
    def most_told(self) -> int:
        """Returns to how many points, at most, a label tells something."""
        return int(np.diff(self.told.indptr).max())

    def told_by(self, point: int) -> npt.NDArray[np.int32]:
        """Returns the points that a point's label tells of."""
        return self.told.indices[self.told.indptr[point] : self.told.indptr[point + 1]]


@dataclass(frozen=True)
class Belief:
    """A pool with the labels known so far; told a label, it becomes another belief.

    Attributes:
        pool: of n points.
        positives: seen by each point, its prior included, (n,).
        seen: labels seen by each point, its prior included, (n,).
        unknown: which points have no label, (n,).
    """

    pool: Pool
    positives: Array
    seen: Array
    unknown: npt.NDArray[np.bool_]

    @classmethod
    def of(cls, pool: Pool, labels: Iterable[tuple[int, bool]]) -> "Belief":
        """Returns what is believed after some labels: pairs of a point and whether it is positive.

        Raises:
            ValueError: a point has two labels.
        """
        known, positive = np.zeros(pool.size), np.zeros(pool.size)
        for point, label in labels:
            if known[point]:
                raise ValueError(f"point {point} has a label already")
            known[point], positive[point] = 1, label
        seen = pool.positives + pool.negatives + pool.near @ known
        return cls(pool, pool.positives + pool.near @ positive, seen, known == 0)

    @cached_property
    def probability(self) -> Array:
        """Of being positive, by the labels of the neighbors alone, (n,)."""
        return self.positives / self.seen

    def after(self, point: int, *, label: bool) -> "Belief":
        """Returns what is believed once a point's label is known.

        Raises:
            ValueError: it was known.
        """
        if not self.unknown[point]:
            raise ValueError(f"point {point} has a label already")
        told = self.pool.told_by(point)
        positives, seen, unknown = self.positives.copy(), self.seen.copy(), self.unknown.copy()
        positives[told] += label
        seen[told] += 1
        unknown[point] = False
        return replace(self, positives=positives, seen=seen, unknown=unknown)
