"""Random input of foundation architectures, and whole foundation models with tables on the CPU."""

from typing import Any

import torch
from torchrec import EmbeddingBagCollection, EmbeddingCollection, KeyedJaggedTensor

from config import FoundationModel as FoundationConfig
from config import NumEmbeddings
from models.foundation import FOUNDATION_MODELS
from models.foundation.embedded_network import CLICKED, SEQUENCE, FoundationBatch
from models.foundation.foundation_model import FoundationModel
from models.foundation.network import FoundationInput, FoundationNetwork, Sizes

SIZES = Sizes(num_sparse=5, num_dense=3, embedding_dim=8, sequence_length=6, target=1)
SPARSE = ("user_id", "item_id", "category")
ROWS = 50


def network(name: str, sizes: Sizes = SIZES, *, seed: int = 0, **hyperparameters: Any) -> FoundationNetwork:
    """A fresh architecture."""
    torch.manual_seed(seed)
    architecture = FOUNDATION_MODELS[name]
    return architecture(architecture.Config.model_validate(hyperparameters), sizes)


def foundation_input(lengths: list[int], sizes: Sizes = SIZES, *, seed: int = 1, T: int | None = None):
    """One row for each history length; steps beyond it are padding."""
    generator = torch.Generator().manual_seed(seed)
    T = T or sizes.sequence_length
    mask = torch.arange(T) < torch.tensor(lengths).unsqueeze(1)
    sequence = torch.randn(len(lengths), T, sizes.step_dim, generator=generator) * mask.unsqueeze(-1)
    sparse = torch.randn(len(lengths), sizes.num_sparse, sizes.embedding_dim, generator=generator)
    return FoundationInput(sparse, torch.randn(len(lengths), sizes.num_dense, generator=generator), sequence, mask)


def foundation_model(architecture: str, *, seed: int = 0, **hyperparameters: Any) -> FoundationModel:
    """An unsharded model, its tables made on the CPU."""
    config = FoundationConfig.model_validate(
        {
            "architecture": architecture,
            "hyperparameters": hyperparameters,
            "embedding_dim": 8,
            "num_embeddings": NumEmbeddings(user_id=ROWS, item_id=ROWS, other=ROWS),
            "optimizer": {"batch_size": 8, "learning_rate": 0.01, "embedding_learning_rate": 0.1},
            "codes": {"dim": 4},
        }
    )
    torch.manual_seed(seed)
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
