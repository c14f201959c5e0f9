"""DIN as a student: a local activation unit over the items of the history (arXiv:1706.06978)."""

import torch
from torch import Tensor

from models.layers.activation_unit import LocalActivationUnit
from models.vertical.network import Sizes, VerticalBatch, Widths
from models.vertical.trunk import TrunkConfig, TrunkNetwork


class DIN(TrunkNetwork):
    """The history's items, in the model's own embeddings, weighted for the candidate, beside all features.

    Items, labels and ages are the log's, not the FM's: the baseline reads them too; `use_history` adds the codes.
    """

    class Config(TrunkConfig):
        """Hyperparameters."""

        attention: Widths = [32, 16]  # hidden layers of the activation unit

    def __init__(self, config: Config, sizes: Sizes) -> None:
        super().__init__(config, sizes)
        self.unit = LocalActivationUnit(sizes.embedding_dim, num_scalars=2, hidden=config.attention)
        features = sizes.num_sparse * sizes.embedding_dim + sizes.num_dense
        self.build_trunk(features + self.unit.output_dim, config.hidden)

    def interact(self, tokens: Tensor, dense: Tensor, batch: VerticalBatch) -> Tensor:
        """All features and the pooled history, (B, F*e + N + e + 2)."""
        history = batch.history
        scalars = torch.stack([history.labels, history.ages], dim=-1)
        steps = torch.cat([self.embeddings["item_id"](history.ids[..., 0]), scalars], dim=-1)  # (B, L, e + 2)
        return torch.cat([tokens.flatten(1), dense, self.unit(tokens[:, self.item], steps, history.mask)], dim=1)
