"""DLRM: bottom MLP, pairwise dot products, top MLP (arXiv:1906.00091)."""

from torchrec.models.dlrm import InteractionArch

from config import Section
from models.foundation.head import Head
from models.foundation.network import Count, FoundationInput, FoundationNetwork, FoundationOutput, Sizes, Widths
from models.layers.mlp import mlp


class DLRM(FoundationNetwork):
    """Dot products of all pairs of feature vectors, beside the dense vector, into the top MLP (section 2.1).

    B: batch, F: sparse features, d: embedding width, N: dense features
    """

    class Config(Section):
        """Hyperparameters."""

        bottom: list[Count] = [128]  # hidden layers between the dense features and their vector
        head: Widths = [256, 64]  # top MLP

    def __init__(self, config: Config, sizes: Sizes) -> None:
        super().__init__()
        self.bottom = mlp(sizes.num_dense, [*config.bottom, sizes.embedding_dim])
        self.interaction = InteractionArch(sizes.num_sparse)
        num_tokens = sizes.num_sparse + 1
        self.head = Head(sizes.embedding_dim + num_tokens * (num_tokens - 1) // 2, config.head)
        self.hidden_dim = self.head.hidden_dim

    def forward(self, x: FoundationInput) -> FoundationOutput:
        """Scores examples; the history comes in as its pooled token."""
        return self.head(self.interaction(self.bottom(x.dense), x.sparse))
