"""DeepFM as a student (arXiv:1703.04247)."""

import torch
from torch import Tensor, nn

from models.layers.factorization import bi_interaction
from models.vertical.network import Sizes, VerticalBatch
from models.vertical.trunk import TrunkConfig, TrunkNetwork


class DeepFM(TrunkNetwork):
    """A factorization machine beside an MLP, on the same embeddings (section 2.1)."""

    Config = TrunkConfig

    def __init__(self, config: TrunkConfig, sizes: Sizes) -> None:
        super().__init__(config, sizes)
        self.dense = nn.Linear(sizes.num_dense, sizes.embedding_dim)
        features = sizes.num_sparse * sizes.embedding_dim + sizes.num_dense
        self.build_trunk(features, config.hidden, wide=(sizes.num_sparse + 2) * sizes.embedding_dim)

    def interact(self, tokens: Tensor, dense: Tensor, batch: VerticalBatch) -> Tensor:
        """The deep part's input: all features, (B, F·e + N)."""
        return torch.cat([tokens.flatten(1), dense], dim=1)

    def wide(self, tokens: Tensor, dense: Tensor) -> Tensor:
        """The FM part: all vectors and the sum of their pairwise products, (B, (F + 2)·e)."""
        tokens = torch.cat([tokens, self.dense(dense).unsqueeze(1)], dim=1)
        return torch.cat([tokens.flatten(1), bi_interaction(tokens)], dim=1)
