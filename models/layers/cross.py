"""DCN-V2's cross network.

torchrec has one, too; this one adds in place, has full matrices as well as low-rank ones, and serves without torchrec.
"""

from torch import Tensor, nn


class CrossNet(nn.Module):
    """x ← x₀ ⊙ (W x + b) + x, once a layer; W = U V where a rank is given (DCN-V2, arXiv:2008.13535, eqs 1 and 2).

    B: batch, D: width of the input
    """

    def __init__(self, width: int, *, num_layers: int, rank: int | None = None) -> None:
        super().__init__()
        self.layers = nn.ModuleList(_linear(width, rank) for _ in range(num_layers))

    def forward(self, x: Tensor) -> Tensor:
        """Maps (B, D) to (B, D)."""
        crossed = x
        for layer in self.layers:
            crossed = (x * layer(crossed)).add_(crossed)  # in place: one array less; addcmul has a slower backward
        return crossed


def _linear(width: int, rank: int | None) -> nn.Module:
    if rank is None:
        return nn.Linear(width, width)
    return nn.Sequential(nn.Linear(width, rank, bias=False), nn.Linear(rank, width))
