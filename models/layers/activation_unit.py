"""DIN's pooling of a history: each step weighted by how it goes with the target item."""

import torch
from torch import Tensor, nn

from models.layers.mlp import mlp


class LocalActivationUnit(nn.Module):
    """Σ_t a(e_t, q) s_t, the weights not normalised, so it grows with interest (DIN, arXiv:1706.06978, section 4.3).

    A step s_t is the item's embedding e_t followed by E scalars (label, age), which the weight may use too. PReLU, the
    paper's first choice: Dice would let the batch, padding included, decide about an example.

    B: batch, T: steps, d: width of an item, E: scalars of a step
    """

    def __init__(self, item_dim: int, *, num_scalars: int, hidden: list[int]) -> None:
        super().__init__()
        self.item_dim = item_dim
        self.output_dim = item_dim + num_scalars
        self.weight = mlp(4 * item_dim + num_scalars, hidden, 1, activation=nn.PReLU)

    def forward(self, target: Tensor, steps: Tensor, mask: Tensor) -> Tensor:
        """Pools the history for each target.

        Args:
            target: the candidate item, (B, d).
            steps: item and scalars, (B, T, d + E); what masked steps hold does not matter.
            mask: True where a step is filled, (B, T).

        Returns:
            (B, d + E); zeros for an empty history.
        """
        steps = steps.masked_fill(~mask.unsqueeze(-1), 0.0)
        item, scalars = steps.split([self.item_dim, steps.shape[-1] - self.item_dim], dim=-1)
        q = target.unsqueeze(1).expand_as(item)
        weight = self.weight(torch.cat([item, q, item - q, item * q, scalars], dim=-1))  # (B, T, 1)
        return (weight * steps).sum(dim=1)
