"""The decision after which most is known of where the best mean lies."""

from dataclasses import dataclass

import torch
from botorch.acquisition import qKnowledgeGradient
from torch import Tensor

from search.bayes.box import LIGHT, Effort, highest
from search.bayes.finite import knowledge
from search.bayes.surrogate import Surrogate


@dataclass(frozen=True)
class KnowledgeGradient:
    """By how much the highest mean is expected to rise.

    Attributes:
        fantasies: of the trial's outcome.
        effort: over the cube.
    """

    fantasies: int = 10
    effort: Effort = LIGHT
    shortlist: int | None = 200

    costs = False

    def of_pool(self, surrogate: Surrogate, x: Tensor, *, remaining: int, generator: torch.Generator) -> Tensor:
        """Returns the knowledge gradient, where the best mean is looked for among the same points."""
        return knowledge(*surrogate.joint(x), surrogate.noise, nodes=self.fantasies)

    def of_cube(self, surrogate: Surrogate, *, remaining: int, generator: torch.Generator) -> Tensor:
        """Returns the point of BoTorch's highest one-shot knowledge gradient."""
        of = qKnowledgeGradient(surrogate.model, num_fantasies=self.fantasies)
        return highest(of, surrogate.dimensions, self.effort, q=1 + self.fantasies)[0]
