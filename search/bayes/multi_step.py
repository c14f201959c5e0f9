"""The decision that is best together with the decisions that will follow it (arXiv:2006.15779)."""

import time
from dataclasses import dataclass

import torch
from botorch.utils.sampling import draw_sobol_samples
from torch import Tensor

from search.bayes.box import Effort, highest
from search.bayes.decision import TooSlow
from search.bayes.finite import lookahead
from search.bayes.improvement import Improvement
from search.bayes.surrogate import Surrogate
from search.bayes.tree import points_of_tree, tree

GREEDY = Improvement()
WIDTH = (12, 8, 8)  # points that are looked at in each step before the last two

EFFORT = Effort(restarts=2, raw=128, iterations=15)


@dataclass(frozen=True)
class MultiStep:
    """Looks so many steps ahead, as far as trials remain; the last step is the greedy one.

    Over a pool, the tree is weighed point by point. Over the cube, the best such trees of random points are where the
    one-shot tree is climbed from.

    Attributes:
        steps: 2 to 4.
        fantasies: Gauss-Hermite nodes of each step but the last; the more steps, the fewer in the later ones.
        effort: over the cube; the raw points are those of the pool.
        shortlist: points of a pool.
        limit_s: seconds of a decision.
    """

    steps: int = 2
    fantasies: tuple[int, ...] = (10, 5, 3)
    effort: Effort = EFFORT
    shortlist: int | None = 128
    limit_s: float = 60.0

    costs = False

    def __post_init__(self) -> None:
        if not 2 <= self.steps <= len(self.fantasies) + 1:
            raise ValueError(f"A decision may look 2 to {len(self.fantasies) + 1} steps ahead, not {self.steps}")

    def of_pool(self, surrogate: Surrogate, x: Tensor, *, remaining: int, generator: torch.Generator) -> Tensor:
        """Returns the value of each point's tree; points that are not looked at come after all others."""
        if min(self.steps, remaining) == 1:
            return GREEDY.of_pool(surrogate, x, remaining=remaining, generator=generator)
        places, values, _ = self._trees(surrogate, x, remaining)
        scores = surrogate.log_improvement(x)  # of the others
        scores = scores - scores.max() - 1.0
        scores[places] = values.clamp_min(0)
        return scores

    def of_cube(self, surrogate: Surrogate, *, remaining: int, generator: torch.Generator) -> Tensor:
        """Returns the root of the highest tree.

        Raises:
            TooSlow: after `limit_s`.
        """
        began = time.monotonic()
        greedy = GREEDY.of_cube(surrogate, remaining=remaining, generator=generator)
        if min(self.steps, remaining) == 1:
            return greedy
        d = surrogate.dimensions
        cube = torch.tensor([[0.0] * d, [1.0] * d], dtype=torch.float64)
        seed = int(torch.randint(2**31, (), generator=generator))
        drawn = draw_sobol_samples(cube, n=self.effort.raw - 1, q=1, seed=seed).squeeze(1)
        x = torch.cat([greedy.unsqueeze(0), drawn])
        places, values, levels = self._trees(surrogate, x, remaining)
        best = values.topk(min(self.effort.restarts, len(values))).indices
        starts = torch.stack([x[points_of_tree(places, levels, root)] for root in best.tolist()])
        value = tree(surrogate.model, self._nodes(remaining))
        points = highest(value, d, self.effort, q=starts.shape[1], starts=starts, limit_s=self.limit_s)
        if time.monotonic() - began > self.limit_s:
            raise TooSlow(f"looking {self.steps} steps ahead took more than {self.limit_s:.0f} s")
        return points[0]

    def _nodes(self, remaining: int) -> tuple[int, ...]:
        return self.fantasies[: min(self.steps, remaining) - 1]

    def _trees(self, surrogate: Surrogate, x: Tensor, remaining: int) -> tuple[Tensor, Tensor, list[Tensor]]:
        nodes = self._nodes(remaining)
        width = (*WIDTH[: len(nodes) - 1], len(x) if len(nodes) == 1 else WIDTH[-1])
        best = torch.tensor(surrogate.best, dtype=torch.float64)
        return lookahead(*surrogate.joint(x), surrogate.noise, best, nodes=nodes, width=width)
