"""DLRM as a student: pairwise dot products of all features (arXiv:1906.00091)."""

import torch
from torch import Tensor

from models.layers.dot import PairwiseDots
from models.layers.mlp import mlp
from models.vertical.network import Count, Sizes, VerticalBatch
from models.vertical.trunk import TrunkConfig, TrunkNetwork


class DLRM(TrunkNetwork):
    """Bottom MLP, dot products, then the trunk as top MLP (section 2.1)."""

    class Config(TrunkConfig):
        """Hyperparameters."""

        bottom: list[Count] = [32]  # hidden layers between the dense features and their vector

    def __init__(self, config: Config, sizes: Sizes) -> None:
        super().__init__(config, sizes)
        self.bottom = mlp(sizes.num_dense, [*config.bottom, sizes.embedding_dim])
        self.dots = PairwiseDots(sizes.num_sparse + 1)
        self.build_trunk(sizes.embedding_dim + self.dots.output_dim, config.hidden)

    def interact(self, tokens: Tensor, dense: Tensor, batch: VerticalBatch) -> Tensor:
        """The dense vector, then each pair's dot product."""
        vector = self.bottom(dense)  # (B, e)
        return torch.cat([vector, self.dots(torch.cat([vector.unsqueeze(1), tokens], dim=1))], dim=1)
