"""What the stopwatch sees of a contestant, and how one without fused tables takes a step."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy

from benchmarks.speed.fm_training_contestants.task import DENSE_LEARNING_RATE, Batch


@dataclass(frozen=True)
class Contestant:
    """A model with its optimizers."""

    prepare: Callable[[Batch], Any]  # the batch in the form the model takes; outside the clock
    step: Callable[[Any], None]  # learns a prepared batch
    score: Callable[[Any], Tensor]  # probabilities of a prepared batch, (B,)
    dense_parameters: int  # outside the tables


def dense_adam(model: nn.Module, prepare: Callable[[Batch], Any], *, dense_parameters: int) -> Contestant:
    """Trains as the peers' own trainers do: Adam over every parameter, the whole tables among them.

    In the peers' favour Adam is torch's fused one, which none of them takes by itself, nothing regularizes, and
    batches are ready in memory, where their data loaders would read them row by row.

    Args:
        model: gives probabilities of the first thing that `prepare` gives.
        prepare: makes (input, labels) of a batch.
        dense_parameters: outside the tables.
    """
    optimizer = torch.optim.Adam(model.parameters(), lr=DENSE_LEARNING_RATE, fused=True)

    def step(prepared: tuple[Any, Tensor]) -> None:
        model.train()
        x, labels = prepared
        loss = binary_cross_entropy(model(x).flatten(), labels)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        loss.item()

    def score(prepared: tuple[Any, Tensor]) -> Tensor:
        model.eval()
        return model(prepared[0]).flatten()

    return Contestant(prepare, step, score, dense_parameters)


def outside_tables(model: nn.Module) -> int:
    """Counts the parameters of a model that are in no nn.Embedding."""
    tables = {id(p) for m in model.modules() if isinstance(m, nn.Embedding) for p in m.parameters()}
    return sum(p.numel() for p in model.parameters() if id(p) not in tables)
