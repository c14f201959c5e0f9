"""The foundation model as the platform trains it: embedding tables, an architecture, the compressor of its codes."""

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torchrec import EmbeddingBagCollection, EmbeddingBagConfig, KeyedJaggedTensor, PoolingType

from config import FoundationModel as FoundationConfig
from models.foundation import FOUNDATION_MODELS
from models.layers.compressor import Compressor

HISTORY_FEATURE = "history_clicked_item_ids"  # pooled; shares the table of item_id


class FoundationOutput(NamedTuple):
    """What the FM says of a batch of B examples."""

    logits: Tensor  # (B,)
    code: Tensor  # compressed embedding in (−1, 1), (B, code_dim)
    reconstruction_loss: Tensor  # scalar; trains the compressor only


class FoundationModel(nn.Module):
    """torchrec tables → architecture → logits and codes.

    B: batch, F: sparse features, d: embedding width, N: dense features
    """

    def __init__(self, config: FoundationConfig, *, sparse: tuple[str, ...], num_dense: int) -> None:
        """Builds the module; the tables stay on the meta device until they are sharded.

        Args:
            config: the `foundation_model` section.
            sparse: names of the one-id features; the pooled click history is added to them.
            num_dense: number of dense features.

        Raises:
            ValueError: the architecture is unknown, or does not know a hyperparameter.
        """
        super().__init__()
        if config.architecture not in FOUNDATION_MODELS:
            raise ValueError(
                f"Unknown architecture {config.architecture!r} in foundation_model.architecture. "
                f"Known: {', '.join(sorted(FOUNDATION_MODELS))}."
            )
        architecture = FOUNDATION_MODELS[config.architecture]
        self.features = [*sparse, HISTORY_FEATURE]
        self.embeddings = EmbeddingBagCollection(
            tables=[
                EmbeddingBagConfig(
                    name=name,
                    embedding_dim=config.embedding_dim,
                    num_embeddings=config.num_embeddings.rows(name),
                    feature_names=[name, HISTORY_FEATURE] if name == "item_id" else [name],
                    pooling=PoolingType.MEAN,
                )
                for name in sparse
            ],
            device=torch.device("meta"),
        )
        self.network = architecture(
            architecture.Config.model_validate(config.hyperparameters),
            num_sparse=len(self.features),
            num_dense=num_dense,
            embedding_dim=config.embedding_dim,
        )
        self.compressor = Compressor(self.network.hidden_dim, config.code_dim)

    def forward(self, sparse: KeyedJaggedTensor, dense: Tensor) -> FoundationOutput:
        """Scores a batch.

        Args:
            sparse: ids of `features`, each below its table's rows.
            dense: (B, N).
        """
        pooled = self.embeddings(sparse).to_dict()
        tokens = torch.stack([pooled[name] for name in self.features], dim=1)  # (B, F, d)
        logits, hidden = self.network(tokens, dense)
        code, reconstruction_loss = self.compressor(hidden)
        return FoundationOutput(logits, code, reconstruction_loss)
