"""The decision for objective and cost together: the hypervolume that the next trial is expected to add."""

from dataclasses import dataclass

import torch
from botorch.acquisition.multi_objective.logei import qLogNoisyExpectedHypervolumeImprovement
from botorch.models import ModelListGP
from botorch.sampling import SobolQMCNormalSampler
from torch import Tensor

from search.bayes.box import LIGHT, Effort, highest
from search.bayes.improvement import Improvement
from search.bayes.surrogate import Surrogate

BELOW = 0.1  # of the range of what was seen: how far the reference point lies below the worst


@dataclass(frozen=True)
class Pareto:
    """BoTorch's qLogNEHVI of the objective and the logarithm of the cost.

    Where no trial has a cost, the objective stands alone.

    Attributes:
        samples: of both at the trials so far.
        effort: over the cube.
        shortlist: points of a pool.
    """

    samples: int = 16
    effort: Effort = LIGHT
    shortlist: int | None = 200

    costs = True

    def of_pool(self, surrogate: Surrogate, x: Tensor, *, remaining: int, generator: torch.Generator) -> Tensor:
        """Returns the logarithm of the expected gain of hypervolume."""
        if surrogate.costs is None:
            return Improvement().of_pool(surrogate, x, remaining=remaining, generator=generator)
        with torch.no_grad():
            return self._gain(surrogate)(x.unsqueeze(1))

    def of_cube(self, surrogate: Surrogate, *, remaining: int, generator: torch.Generator) -> Tensor:
        """Returns the point of the highest expected gain."""
        if surrogate.costs is None:
            return Improvement().of_cube(surrogate, remaining=remaining, generator=generator)
        return highest(self._gain(surrogate), surrogate.dimensions, self.effort).squeeze(0)

    def _gain(self, surrogate: Surrogate) -> qLogNoisyExpectedHypervolumeImprovement:
        assert surrogate.costs is not None
        models = [surrogate.model, surrogate.costs]
        seen = torch.stack([model.train_targets for model in models], 1)  # (n, 2)
        lowest, range_ = seen.min(0).values, seen.max(0).values - seen.min(0).values
        return qLogNoisyExpectedHypervolumeImprovement(
            ModelListGP(*models),
            ref_point=(lowest - BELOW * range_.clamp_min(1e-6)).tolist(),
            X_baseline=surrogate.model.train_inputs[0],
            sampler=SobolQMCNormalSampler(torch.Size([self.samples]), seed=0),
            prune_baseline=True,
        )
