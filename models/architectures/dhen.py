"""DHEN: layers that are each an ensemble of interaction modules (arXiv:2203.11014)."""

from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn.functional import silu

from config import Section
from models.architectures.architecture import Architecture, Count, Sizes
from models.layers.cross import CrossNet
from models.layers.dot import PairwiseDots
from models.layers.interaction import LinearCompression


class EnsembleLayer(nn.Module):
    """Swish(LN(Σ branch(X) + shortcut(X))); a branch reads all tokens and ends in a linear map to the new ones.

    The shortcut is the identity where the number of tokens stays the same, else a linear map over tokens.

    B: batch, n: tokens in, m: tokens out, d: embedding width
    """

    def __init__(
        self, num_tokens: int, embedding_dim: int, *, num_outputs: int, branches: tuple[str, ...], rank: int
    ) -> None:
        """Builds the branches.

        Args:
            num_tokens: n.
            embedding_dim: d.
            num_outputs: m.
            branches: some of `dot`, pairwise dot products, and `dcn`, one cross layer over the flattened tokens.
            rank: of the cross layer.
        """
        super().__init__()
        width, outputs = num_tokens * embedding_dim, num_outputs * embedding_dim
        self.branches = nn.ModuleDict()
        if "dot" in branches:
            dots = PairwiseDots(num_tokens)
            self.branches["dot"] = nn.Sequential(dots, nn.Linear(dots.output_dim, outputs))
        if "dcn" in branches:
            cross = CrossNet(width, num_layers=1, rank=rank)
            for name, parameter in cross.named_parameters():  # start as torchrec's LowRankCrossNet does
                (nn.init.zeros_ if name.endswith("bias") else nn.init.xavier_normal_)(parameter)
            self.branches["dcn"] = nn.Sequential(nn.Flatten(), cross, nn.Linear(width, outputs))
        self.shortcut = nn.Identity() if num_tokens == num_outputs else LinearCompression(num_tokens, num_outputs)
        self.norm = nn.LayerNorm(embedding_dim)

    def forward(self, x: Tensor) -> Tensor:
        """Maps (B, n, d) to (B, m, d)."""
        total = self.shortcut(x)
        for branch in self.branches.values():
            total = total + branch(x).unflatten(1, (-1, x.shape[2]))
        return silu(self.norm(total))


class DHEN(Architecture):
    """Ensemble layers over feature tokens, one of them for all dense features.

    B: batch, F: sparse features, e: embedding width, N: dense features, n: tokens of the last layer
    """

    activation = nn.SiLU

    class Config(Section):
        """Hyperparameters."""

        num_layers: Count = 2
        num_tokens: Count = 16  # that each layer puts out
        rank: Count = 32  # of the cross branch

    def __init__(self, config: Config, sizes: Sizes) -> None:
        super().__init__()
        self.dense = nn.Linear(sizes.num_dense, sizes.embedding_dim)
        num_tokens = [sizes.num_sparse + 1] + config.num_layers * [config.num_tokens]
        self.layers = nn.Sequential(
            *(
                EnsembleLayer(before, sizes.embedding_dim, num_outputs=after, branches=("dot", "dcn"), rank=config.rank)
                for before, after in pairwise(num_tokens)
            )
        )
        self.output_dim = config.num_tokens * sizes.embedding_dim

    def forward(self, tokens: Tensor, dense: Tensor, sequence: Tensor, mask: Tensor) -> Tensor:
        """Returns (B, n·e), the last layer's tokens side by side; the history is not read."""
        tokens = torch.cat([tokens, self.dense(dense).unsqueeze(1)], dim=1)  # (B, F + 1, e)
        return self.layers(tokens).flatten(1)
