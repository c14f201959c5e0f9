"""DIN's pooling of a history: each step weighted by how it goes with the target item."""

import torch
from torch import Tensor, nn
from torch.nn.functional import linear

from models.layers.mlp import mlp


class LocalActivationUnit(nn.Module):
    """Σ_t a(e_t, q) s_t, the weights not normalised, so it grows with interest (DIN, arXiv:1706.06978, section 4.3).

    A step s_t is the item's embedding e_t followed by E scalars (label, age), which the weight may use too. PReLU, the
    paper's first choice: Dice would let the batch, padding included, decide about an example.

    A history may have several targets, side by side: what a step says alone is then computed once for all of them.

    U: histories, B = U·C: targets, C for each history (1 in training), T: steps, d: width of an item, E: scalars of a
    step
    """

    def __init__(self, item_dim: int, *, num_scalars: int, hidden: list[int]) -> None:
        super().__init__()
        self.item_dim = item_dim
        self.output_dim = item_dim + num_scalars
        self.weight = mlp(4 * item_dim + num_scalars, hidden, 1, activation=nn.PReLU)

    def forward(self, target: Tensor, steps: Tensor, mask: Tensor) -> Tensor:
        """Pools the history for each target.

        Args:
            target: the candidate items, those of a history side by side, (B, d).
            steps: item and scalars, (U, T, d + E); what masked steps hold does not matter.
            mask: True where a step is filled, (U, T).

        Returns:
            (B, d + E); zeros for an empty history.
        """
        steps = steps.masked_fill(~mask.unsqueeze(-1), 0.0)
        q = target.unflatten(0, (len(steps), -1))  # (U, C, d)
        weight = self._first_layer(q, steps)
        for layer in list(self.weight)[1:]:
            weight = layer(weight)
        return (weight.squeeze(-1) @ steps).flatten(0, 1)  # (U, C, T) @ (U, T, d + E)

    def _first_layer(self, q: Tensor, steps: Tensor) -> Tensor:
        """Returns the first layer of [e ‖ q ‖ e − q ‖ e ⊙ q ‖ scalars], (U, C, T, width): its columns, part by part."""
        d, layer = self.item_dim, self.weight[0]
        assert isinstance(layer, nn.Linear)
        of_item, of_target, of_difference, of_product, of_scalars = layer.weight.split(
            [d, d, d, d, steps.shape[-1] - d], dim=1
        )
        of_step = torch.cat([of_item + of_difference, of_scalars], dim=1)
        alone = linear(steps, of_step, layer.bias).unsqueeze(1)  # (U, 1, T, width)
        asked = linear(q, of_target - of_difference).unsqueeze(2)  # (U, C, 1, width)
        return alone + asked + linear(q.unsqueeze(2) * steps[..., :d].unsqueeze(1), of_product)
