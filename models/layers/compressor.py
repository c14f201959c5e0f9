"""LoopFM's compressor: an autoencoder that turns a hidden layer of the FM into a short code (arXiv:2605.29280)."""

import torch
from torch import Tensor, nn


class Compressor(nn.Module):
    """z = tanh(encoder(e)), ê = decoder(z), trained on ‖e − ê‖² behind a stop-gradient (section 4).

    B: batch, H: width of the hidden layer, d: width of the code
    """

    def __init__(self, hidden_dim: int, code_dim: int) -> None:
        super().__init__()
        # Scale of e is free to grow in training: normalising it keeps tanh off its flat ends.
        self.norm = nn.LayerNorm(hidden_dim, elementwise_affine=False)
        self.encoder = nn.Linear(hidden_dim, code_dim)
        self.decoder = nn.Linear(code_dim, hidden_dim)

    def forward(self, hidden: Tensor) -> tuple[Tensor, Tensor]:
        """Codes and the loss that trains them.

        Args:
            hidden: activations of the FM, (B, H). No gradient flows back into them.

        Returns:
            code in (−1, 1), (B, d); squared reconstruction error of each example, mean over H, (B,).
        """
        target = self.norm(hidden.detach())
        code = torch.tanh(self.encoder(target))
        return code, (self.decoder(code) - target).square().mean(dim=1)
