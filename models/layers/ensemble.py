"""DHEN's layer: interaction modules side by side over the same tokens (arXiv:2203.11014)."""

from torch import Tensor, nn
from torch.nn.functional import silu

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
