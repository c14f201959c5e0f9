"""Whole foundation models with tables on the CPU, and ids for them to score."""

from typing import Any

import torch
from torchrec import EmbeddingBagCollection, EmbeddingCollection, KeyedJaggedTensor

from config import FoundationSettings, NumEmbeddings
from models.foundation.embedded_network import CLICKED, SEQUENCE, FoundationBatch
from models.foundation.foundation_model import FoundationModel

SPARSE = ("user_id", "item_id", "category")
ROWS = 50


def foundation_config(architecture: str, **hyperparameters: Any) -> FoundationSettings:
    """The section of a small model."""
    return FoundationSettings.model_validate(
        {
            "architecture": architecture,
            "hyperparameters": hyperparameters,
            "embedding_dim": 8,
            "num_embeddings": NumEmbeddings(user_id=ROWS, item_id=ROWS, other=ROWS),
            "optimizer": {"batch_size": 8, "learning_rate": 0.01, "embedding_learning_rate": 0.1},
            "codes": {"dim": 4},
        }
    )


def foundation_model(architecture: str, *, seed: int = 0, **hyperparameters: Any) -> FoundationModel:
    """An unsharded model, its tables made on the CPU."""
    torch.manual_seed(seed)
    config = foundation_config(architecture, **hyperparameters)
    model = FoundationModel(config, sparse=SPARSE, num_dense=3, sequence_length=6)
    for module in model.modules():
        if isinstance(module, EmbeddingBagCollection | EmbeddingCollection):
            module.to_empty(device="cpu")
            for table in module.parameters():
                torch.nn.init.normal_(table)
    return model


def foundation_batch(lengths: list[int], *, seed: int = 1) -> FoundationBatch:
    """Ids of one row for each history length; every second step was clicked."""
    generator = torch.Generator().manual_seed(seed)

    def ids(count: int) -> torch.Tensor:
        return torch.randint(ROWS, (count,), generator=generator)

    steps = [ids(length) for length in lengths]
    clicked = [row[::2] for row in steps]
    sparse = KeyedJaggedTensor(
        keys=[*SPARSE, CLICKED, SEQUENCE],
        values=torch.cat([*(ids(len(lengths)) for _ in SPARSE), *clicked, *steps]),
        lengths=torch.tensor([*[1] * len(SPARSE) * len(lengths), *map(len, clicked), *lengths]),
    )
    labels = torch.cat([(torch.arange(length) % 2 == 0).float() for length in lengths])
    ages = torch.rand(sum(lengths), generator=generator)
    return FoundationBatch(
        sparse, torch.randn(len(lengths), 3, generator=generator), torch.stack([labels, ages], dim=1)
    )
