"""Factorization machine as a student (Rendle, ICDM 2010)."""

import torch
from torch import Tensor, nn

from models.layers.factorization import bi_interaction
from models.vertical.network import Sizes, VerticalBatch
from models.vertical.trunk import HistoryConfig, TrunkNetwork


class FM(TrunkNetwork):
    """First- and second-order terms and the encoded history, under a linear head; no hidden layer.

    A feature's first-order weight is a linear map of its embedding, so it needs no table of its own. The dense
    features are one more vector.
    """

    Config = HistoryConfig

    def __init__(self, config: HistoryConfig, sizes: Sizes) -> None:
        super().__init__(config, sizes)
        self.dense = nn.Linear(sizes.num_dense, sizes.embedding_dim)
        self.build_trunk((sizes.num_sparse + 2) * sizes.embedding_dim, [])

    def interact(self, tokens: Tensor, dense: Tensor, batch: VerticalBatch) -> Tensor:
        """All vectors and the sum of their pairwise products, (B, (F + 2)·e)."""
        tokens = torch.cat([tokens, self.dense(dense).unsqueeze(1)], dim=1)
        return torch.cat([tokens.flatten(1), bi_interaction(tokens)], dim=1)
