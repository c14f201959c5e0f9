"""One point of the batch that would be best for all remaining trials at once (BINOCULARS, arXiv:1909.04568)."""

from dataclasses import dataclass
from typing import Literal

import torch
from botorch.acquisition import qLogExpectedImprovement
from botorch.sampling import SobolQMCNormalSampler
from torch import Tensor

from search.bayes.box import Effort, highest
from search.bayes.finite import batch
from search.bayes.improvement import Improvement
from search.bayes.surrogate import Surrogate

EFFORT = Effort(restarts=2, raw=32, iterations=30)


@dataclass(frozen=True)
class Binoculars:
    """Chooses as many points together as trials remain, and one of them by its own expected improvement.

    Attributes:
        pick: the best of the batch, or one drawn with a chance that its expected improvement is proportional to.
        most: points of a batch.
        samples: of the objective.
        effort: over the cube.
        shortlist: points of a pool.
    """

    pick: Literal["best", "sampled"] = "sampled"
    most: int = 12
    samples: int = 128
    effort: Effort = EFFORT
    shortlist: int | None = 400

    costs = False

    def of_pool(self, surrogate: Surrogate, x: Tensor, *, remaining: int, generator: torch.Generator) -> Tensor:
        """Returns the order: what was picked, the rest of the batch, the others; each by expected improvement."""
        scores = surrogate.log_improvement(x)
        if remaining == 1:
            return scores
        places = batch(
            *surrogate.joint(x),
            surrogate.best,
            min(self.most, remaining),
            samples=4 * self.samples,
            generator=generator,
        )
        if not places:  # no sample improves anywhere
            return scores
        order = scores - scores.max() - 1.0
        chosen = torch.tensor(places)
        order[chosen] = scores[chosen] - scores[chosen].min() + 1.0
        order[chosen[self._pick(scores[chosen], generator)]] = order.max() + 1.0
        return order

    def of_cube(self, surrogate: Surrogate, *, remaining: int, generator: torch.Generator) -> Tensor:
        """Returns a point of the best batch."""
        q = min(self.most, remaining)
        if q == 1:
            return Improvement().of_cube(surrogate, remaining=remaining, generator=generator)
        seed = int(torch.randint(2**31, (), generator=generator))
        sampler = SobolQMCNormalSampler(torch.Size([self.samples]), seed=seed)
        of = qLogExpectedImprovement(surrogate.model, best_f=surrogate.best, sampler=sampler)
        points = highest(of, surrogate.dimensions, self.effort, q=q)  # (q, d)
        return points[self._pick(surrogate.log_improvement(points), generator)]

    def _pick(self, log_improvement: Tensor, generator: torch.Generator) -> int:
        if self.pick == "best":
            return int(log_improvement.argmax())
        return int(torch.multinomial(log_improvement.softmax(0), 1, generator=generator))
