"""Wukong as a student: a small stack of factorization machines (arXiv:2403.02545)."""

import torch
from torch import Tensor, nn

from models.layers.interaction import WukongLayer
from models.vertical.network import Count, Sizes, VerticalBatch
from models.vertical.trunk import TrunkConfig, TrunkNetwork


class Wukong(TrunkNetwork):
    """Interaction layers over the features' tokens, one for all dense features (section 3)."""

    class Config(TrunkConfig):
        """Hyperparameters (section 3.7 names them l, n_F, n_L, k and the FMB's MLP)."""

        num_layers: Count = 2
        num_fmb_tokens: Count = 4
        num_lcb_tokens: Count = 4
        rank: Count = 8
        mlp: list[Count] = [32]  # hidden layers of each FMB

    def __init__(self, config: Config, sizes: Sizes) -> None:
        super().__init__(config, sizes)
        self.dense = nn.Linear(sizes.num_dense, sizes.embedding_dim)
        num_tokens = sizes.num_sparse + 1
        self.layers = nn.Sequential()
        for _ in range(config.num_layers):
            self.layers.append(
                WukongLayer(
                    num_tokens,
                    sizes.embedding_dim,
                    num_fmb=config.num_fmb_tokens,
                    num_lcb=config.num_lcb_tokens,
                    rank=config.rank,
                    hidden=config.mlp,
                )
            )
            num_tokens = config.num_fmb_tokens + config.num_lcb_tokens
        self.build_trunk(num_tokens * sizes.embedding_dim, config.hidden)

    def interact(self, tokens: Tensor, dense: Tensor, batch: VerticalBatch) -> Tensor:
        """The last layer's tokens side by side."""
        return self.layers(torch.cat([tokens, self.dense(dense).unsqueeze(1)], dim=1)).flatten(1)
