"""How a supernet learns: Adam for what is dense, Adagrad for the rows that a batch looks up."""

from collections.abc import Iterable, Sequence

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits

from data.batches.foundation import Examples
from search.space import Params
from search.supernet.proposal import trained
from search.supernet.supernet import Supernet


class Learner:
    """Moves a supernet's weights; only those that a loss reaches."""

    def __init__(self, supernet: Supernet, *, rate: float = 0.001, embedding_rate: float = 0.05) -> None:
        """Takes the supernet; rates are those of the recipe that the found models are trained by, where it is known."""
        self.supernet = supernet
        self.dense = torch.optim.Adam(supernet.weights.parameters(), lr=rate, fused=True)
        self.tables = torch.optim.Adagrad(supernet.tables.parameters(), lr=embedding_rate)

    def step(self, loss: Tensor, *others: nn.Parameter) -> None:
        """Descends; gradients of `others` are computed, too, and left to the caller.

        Raises:
            FloatingPointError: the loss is not finite.
        """
        if not torch.isfinite(loss):
            raise FloatingPointError("The supernet's loss is not finite: lower its rate")
        self.dense.zero_grad(set_to_none=True)
        self.tables.zero_grad(set_to_none=True)
        for other in others:
            other.grad = None
        loss.backward()
        self.dense.step()
        self.tables.step()

    def sampled(self, batches: Iterable[Examples], rng: np.random.Generator) -> float:
        """Learns batches in their order, each by another model drawn by chance; returns the FLOPs spent."""
        options, spent = self.supernet.options, 0.0
        for examples in batches:
            params = options.sample(rng)
            self.step(self.supernet.loss(examples, params))
            spent += trained(options.space.cost(params), examples.size)
        return spent


@torch.no_grad()
def inherited_loss(supernet: Supernet, params: Params, batches: Sequence[Examples]) -> float:
    """Computes the mean log loss of a model with its part of the shared weights."""
    network, total = supernet.inherited(params), 0.0
    for examples in batches:
        logits = network(supernet.embed(examples, params)).logits
        total += float(binary_cross_entropy_with_logits(logits, examples.labels, reduction="sum"))
    return total / sum(examples.size for examples in batches)
