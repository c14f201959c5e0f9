"""A small student: embeddings and dense features into an MLP, with target attention over the FM history."""

import torch
from torch import Tensor

from models.vertical.network import Sizes, VerticalBatch
from models.vertical.trunk import TrunkConfig, TrunkNetwork


class Dnn(TrunkNetwork):
    """Multi-layer perceptron over embeddings, dense features and, where `use_history`, the pooled FM history."""

    Config = TrunkConfig

    def __init__(self, config: TrunkConfig, sizes: Sizes) -> None:
        super().__init__(config, sizes)
        self.build_trunk(sizes.num_sparse * sizes.embedding_dim + sizes.num_dense, config.hidden)

    def interact(self, tokens: Tensor, dense: Tensor, batch: VerticalBatch) -> Tensor:
        """All features side by side: no interaction but the trunk's."""
        return torch.cat([tokens.flatten(1), dense], dim=1)
