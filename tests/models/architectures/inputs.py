"""Random input of architectures, and architectures to read it."""

from typing import Any

import torch

from models.architectures import ARCHITECTURES
from models.architectures.architecture import Architecture, Inputs, Sizes

SIZES = Sizes(num_sparse=5, num_dense=3, embedding_dim=8, sequence_length=6, target=1)


def network(name: str, sizes: Sizes = SIZES, *, seed: int = 0, **hyperparameters: Any) -> Architecture:
    """A fresh architecture."""
    torch.manual_seed(seed)
    architecture = ARCHITECTURES[name]
    return architecture(architecture.Config.model_validate(hyperparameters), sizes)


def inputs(lengths: list[int], sizes: Sizes = SIZES, *, seed: int = 1) -> Inputs:
    """One row for each history length; steps beyond it are padding."""
    generator = torch.Generator().manual_seed(seed)
    T = sizes.sequence_length
    mask = torch.arange(T) < torch.tensor(lengths).unsqueeze(1)
    sequence = torch.randn(len(lengths), T, sizes.step_dim, generator=generator) * mask.unsqueeze(-1)
    tokens = torch.randn(len(lengths), sizes.num_sparse, sizes.embedding_dim, generator=generator)
    return Inputs(tokens, torch.randn(len(lengths), sizes.num_dense, generator=generator), sequence, mask)
