"""The value of a tree of decisions, as BoTorch computes it (arXiv:2006.15779)."""

from collections.abc import Sequence
from typing import Any

import torch
from botorch.acquisition import ExpectedImprovement
from botorch.acquisition.multi_step_lookahead import qMultiStepLookahead
from botorch.models.model import Model
from botorch.posteriors import Posterior
from botorch.sampling.normal import NormalMCSampler
from torch import Tensor

from search.bayes.finite import hermite


class GaussHermite(NormalMCSampler):
    """Fantasies of one observation at the quadrature's places, which `qMultiStepLookahead` weighs by `base_weights`."""

    def __init__(self, nodes: int) -> None:
        super().__init__(torch.Size([nodes]), seed=0)
        self.places, self.base_weights = hermite(nodes)

    def _construct_base_samples(self, posterior: Posterior) -> None:
        shape = self._get_collapsed_shape(posterior)
        assert shape[1:].numel() == 1, "a fantasy is of one observation"
        self.base_samples = self.places.view(shape)


def tree(model: Model, nodes: Sequence[int]) -> qMultiStepLookahead:
    """Builds the value of 1 + m1 + m1 m2 + … points: the sum of expected improvements, each after those before.

    Args:
        model: one output, higher is better.
        nodes: fantasies of each step but the last, m1, m2, ….
    """
    steps = len(nodes) + 1
    return qMultiStepLookahead(
        model,
        batch_sizes=[1] * len(nodes),
        samplers=[GaussHermite(m) for m in nodes],
        valfunc_cls=[ExpectedImprovement] * steps,
        valfunc_argfacs=[_incumbent] * steps,
    )


def points_of_tree(places: Tensor, levels: Sequence[Tensor], root: int) -> Tensor:
    """Puts the places of a tree that `lookahead` found in the order of `tree`'s points, (1 + m1 + m1 m2 + …).

    BoTorch has the last step's fantasies outermost.

    Args:
        places: of roots, (w,).
        levels: places tried after each, (w, m1), (w, m1, m2), ….
        root: its number among the w.
    """
    after = (level[root].permute(*reversed(range(level.dim() - 1))).flatten() for level in levels)
    return torch.cat([places[root].view(1), *after])


def _incumbent(model: Any, X: Tensor) -> dict[str, Any]:
    """Keeps the last dimension, as BoTorch's `make_best_f` does not: fantasies would be mixed up with restarts."""
    return {"best_f": model.train_targets.max(-1, keepdim=True).values}
