"""DCN-V2 as a student: cross layers under the trunk (arXiv:2008.13535)."""

import torch
from torch import Tensor

from models.layers.cross import CrossNet
from models.vertical.network import Count, Sizes, VerticalBatch
from models.vertical.trunk import TrunkConfig, TrunkNetwork


class DCNv2(TrunkNetwork):
    """Cross layers over all features as one vector; the trunk is stacked on them (section 3)."""

    class Config(TrunkConfig):
        """Hyperparameters."""

        num_cross_layers: Count = 2
        rank: Count | None = 16  # of each cross layer's matrix; None: full rank

    def __init__(self, config: Config, sizes: Sizes) -> None:
        super().__init__(config, sizes)
        width = sizes.num_sparse * sizes.embedding_dim + sizes.num_dense
        self.cross = CrossNet(width, num_layers=config.num_cross_layers, rank=config.rank)
        self.build_trunk(width, config.hidden)

    def interact(self, tokens: Tensor, dense: Tensor, batch: VerticalBatch) -> Tensor:
        """Crosses of all features, (B, F*e + N)."""
        return self.cross(torch.cat([tokens.flatten(1), dense], dim=1))
