"""LoopFM's compressor: an autoencoder that turns a hidden layer of the FM into a short code (arXiv:2605.29280)."""

import torch
from torch import Tensor, nn


class Compressor(nn.Module):
    """z = tanh(encoder(e)); Σ over widths d' of ‖e − decoder_{d'}(z[:d'])‖², behind a stop-gradient (section 4).

    With prefixes the first values of a code are a code of their own (Matryoshka), so a shorter one needs no retraining.

    B: batch, H: width of the hidden layer, d: width of the code
    """

    def __init__(self, hidden_dim: int, code_dim: int, prefixes: tuple[int, ...] = ()) -> None:
        """Sets up the encoder and a decoder for each width.

        Raises:
            ValueError: a prefix is not shorter than the code.
        """
        super().__init__()
        if any(not 0 < width < code_dim for width in prefixes):
            raise ValueError(f"code_prefixes {list(prefixes)} must lie between 1 and code_dim - 1 = {code_dim - 1}")
        # Scale of e is free to grow in training: normalising it keeps tanh off its flat ends.
        self.norm = nn.LayerNorm(hidden_dim, elementwise_affine=False)
        self.encoder = nn.Linear(hidden_dim, code_dim)
        self.decoders = nn.ModuleDict(
            {str(width): nn.Linear(width, hidden_dim) for width in sorted({*prefixes, code_dim})}
        )

    def forward(self, hidden: Tensor) -> tuple[Tensor, Tensor]:
        """Codes and the loss that trains them.

        Args:
            hidden: activations of the FM, (B, H). No gradient flows back into them.

        Returns:
            code in (−1, 1), (B, d); squared reconstruction error of each example, mean over H, sum over the widths,
            (B,).
        """
        target = self.norm(hidden.detach())
        code = torch.tanh(self.encoder(target))
        return code, sum(self.errors(code, target).values(), torch.zeros_like(code[:, 0]))

    def errors(self, code: Tensor, target: Tensor) -> dict[int, Tensor]:
        """Squared error of each width's reconstruction of the normalised hidden layer, mean over H, (B,) by width."""
        return {
            int(width): (decoder(code[:, : int(width)]) - target).square().mean(dim=1)
            for width, decoder in self.decoders.items()
        }
