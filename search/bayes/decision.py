"""What every way of deciding has in common."""

from typing import Protocol

import torch
from torch import Tensor

from search.bayes.surrogate import Surrogate


class TooSlow(Exception):  # what it says, not an error
    """A decision took longer than it may."""


class Decision(Protocol):
    """Says what to try next, given what is believed.

    Attributes:
        costs: it weighs the cost, too.
        shortlist: how many points of a pool it can weigh; None: any number.
    """

    @property
    def costs(self) -> bool:
        """Says whether it weighs the cost, too."""
        ...

    @property
    def shortlist(self) -> int | None:
        """Returns how many points of a pool it can weigh; None: any number."""
        ...

    def of_pool(self, surrogate: Surrogate, x: Tensor, *, remaining: int, generator: torch.Generator) -> Tensor:
        """Returns how good each point is to try next, (n, d) -> (n,); only their order counts.

        Args:
            surrogate: what is believed.
            x: the points, those of high expected improvement first.
            remaining: trials that may still be asked, this one included.
            generator: all random numbers come from it.
        """
        ...

    def of_cube(self, surrogate: Surrogate, *, remaining: int, generator: torch.Generator) -> Tensor:
        """Returns the best point of the unit cube to try next, (d,); random starts come from torch's own generator.

        Raises:
            TooSlow: it took too long.
        """
        ...
