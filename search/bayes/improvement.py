"""The greedy decision: the highest expected improvement of the next trial."""

from dataclasses import dataclass

import torch
from botorch.acquisition import ExpectedImprovement, LogExpectedImprovement
from torch import Tensor

from search.bayes.box import THOROUGH, Effort, highest
from search.bayes.surrogate import Surrogate


@dataclass(frozen=True)
class Improvement:
    """Expected improvement, or its logarithm, which has the same highest point and is easier to climb.

    Attributes:
        logarithm: of it.
        effort: over the cube.
    """

    logarithm: bool = True
    effort: Effort = THOROUGH

    costs, shortlist = False, None

    def of_pool(self, surrogate: Surrogate, x: Tensor, *, remaining: int, generator: torch.Generator) -> Tensor:
        """Returns the logarithm of the expected improvement."""
        return surrogate.log_improvement(x)

    def of_cube(self, surrogate: Surrogate, *, remaining: int, generator: torch.Generator) -> Tensor:
        """Returns the point of the highest expected improvement."""
        kind = LogExpectedImprovement if self.logarithm else ExpectedImprovement
        of = kind(surrogate.model, best_f=surrogate.best)
        return highest(of, surrogate.dimensions, self.effort).squeeze(0)
