"""LoopFM's compressor: an autoencoder that turns a hidden layer of the FM into a short code (arXiv:2605.29280)."""

import torch
import torch.distributed as dist
from torch import Tensor, nn

MOMENTUM = 0.02  # weight of a new batch in running moments, once there are 50
MOST = 0.999  # of a code's value; beyond it tanh is flat
SMALLEST = 1e-4  # deviations are at least this, so that noise is not blown up


def unsquashed(code: Tensor) -> Tensor:
    """Inverts tanh(½ ·), which made the code; values that were rounded to 1 are large, not infinite."""
    return 2.0 * torch.atanh(code.clamp(-MOST, MOST))


class RunningMean(nn.Module):
    """The running mean of a statistic over batches and ranks; a constant to the gradient.

    Args:
        before: what it is before any batch; counts as one.
    """

    value: Tensor
    batches: Tensor

    def __init__(self, before: Tensor) -> None:
        super().__init__()
        self.register_buffer("value", before)
        self.register_buffer("batches", torch.ones((), dtype=torch.int64))

    def add(self, total: Tensor, rows: int) -> None:
        """Counts a batch: the statistic's sum over this rank's rows, and how many rows that is."""
        sums = torch.cat([total.detach().flatten(), total.new_full((1,), float(rows))])
        if dist.is_initialized() and dist.get_world_size() > 1:
            dist.all_reduce(sums)
        self.batches += 1
        weight = torch.clamp(1.0 / self.batches, min=MOMENTUM)  # at first the plain mean
        self.value.lerp_((sums[:-1] / sums[-1].clamp(min=1)).view_as(self.value), weight)


class Compressor(nn.Module):
    """z = tanh(½ standardised encoder(e)); Σ over widths d' of ‖e − decoder_{d'}(z[:d'])‖², behind a stop-gradient.

    LoopFM's autoencoder (section 4), but for the standardisation and for where it starts: when it is first asked for
    codes, at the best linear one, the principal components of what e has been (Baldi and Hornik 1989). After few steps
    from random weights most of a code is −1 or 1 for every input, and the rest is redundant, so that a small
    VM learns badly from it.

    The FM learns on, so its hidden layer encodes the same impression differently each day. `align` rotates the codes of
    a later snapshot to match those of an earlier one; a rotation loses nothing of a code.

    With prefixes the first values of a code are a code of their own (Matryoshka), so a shorter one needs no retraining.

    B: batch, H: width of the hidden layer, d: width of the code
    """

    seen: RunningMean
    encoded: RunningMean
    started: Tensor
    rotation: Tensor

    def __init__(self, hidden_dim: int, code_dim: int, prefixes: tuple[int, ...] = ()) -> None:
        """Sets up the encoder and a decoder for each width.

        Raises:
            ValueError: a prefix is not shorter than the code, or the code is wider than the layer.
        """
        super().__init__()
        if any(not 0 < width < code_dim for width in prefixes):
            raise ValueError(f"code_prefixes {list(prefixes)} must lie between 1 and code_dim - 1 = {code_dim - 1}")
        if code_dim > hidden_dim:
            raise ValueError(
                f"code_dim {code_dim} is wider than the hidden layer it is made of, {hidden_dim}: lower it, or widen "
                "the first layer of the architecture's head"
            )
        # Scale of e is free to grow in training; normalised, it is not.
        self.norm = nn.LayerNorm(hidden_dim, elementwise_affine=False)
        self.encoder = nn.Linear(hidden_dim, code_dim)
        self.decoders = nn.ModuleDict(
            {str(width): nn.Linear(width, hidden_dim) for width in sorted({*prefixes, code_dim})}
        )
        # Means of e and of e eᵀ; of the encoder's output and of its square.
        self.seen = RunningMean(torch.cat([torch.zeros(1, hidden_dim), torch.eye(hidden_dim)]))
        self.encoded = RunningMean(torch.stack([torch.zeros(code_dim), torch.ones(code_dim)]))
        self.register_buffer("started", torch.zeros((), dtype=torch.int64))
        self.register_buffer("rotation", torch.eye(code_dim))

    def forward(self, hidden: Tensor) -> tuple[Tensor, Tensor]:
        """Returns codes and the loss that trains them.

        Args:
            hidden: activations of the FM, (B, H). No gradient flows back into them.

        Returns:
            code in (−1, 1), (B, d); squared reconstruction error of each example, mean over H, sum over the widths,
            (B,).
        """
        with torch.autocast(hidden.device.type, enabled=False):  # moments in bfloat16 would drift
            return self._encode(hidden.detach().float())

    def _encode(self, hidden: Tensor) -> tuple[Tensor, Tensor]:
        target = self.norm(hidden)
        x = self.encoder(target)
        if self.training:
            self.encoded.add(torch.stack([x.sum(dim=0), x.square().sum(dim=0)]), len(x))
            if not self.started:
                self.seen.add(torch.cat([target.sum(dim=0, keepdim=True), target.T @ target]), len(x))
        mean, square = self.encoded.value
        deviation = (square - mean.square()).clamp(min=0).sqrt().clamp(min=SMALLEST)
        x = (x - mean) / deviation
        own = torch.tanh(0.5 * x)  # before the rotation: what the decoders read
        loss = sum(self.errors(own, target).values(), torch.zeros_like(own[:, 0]))
        return torch.tanh(0.5 * x @ self.rotation), loss

    @torch.no_grad()
    def start(self) -> None:
        """Puts encoder and decoders at the principal components of what was seen in training; the first time only."""
        if self.started or self.seen.batches == 1:
            return
        mean, second = self.seen.value[0].double(), self.seen.value[1:].double()
        variances, directions = torch.linalg.eigh(second - torch.outer(mean, mean))
        d = self.encoder.out_features
        variances, directions = variances.flip(0)[:d].clamp(min=SMALLEST**2), directions.flip(1)[:, :d]
        self.encoder.weight.copy_(directions.T)
        self.encoder.bias.copy_(-(mean @ directions))
        self.encoded.value.copy_(torch.stack([torch.zeros_like(variances), variances]))
        for width, decoder in self.decoders.items():
            assert isinstance(decoder, nn.Linear)
            # tanh(x / 2) is x / 2 near 0
            decoder.weight.copy_((2.0 * directions * variances.sqrt())[:, : int(width)])
            decoder.bias.copy_(mean)
        self.started.fill_(1)

    @torch.no_grad()
    def align(self, moments: Tensor) -> None:
        """Rotates the codes to match earlier ones as closely as possible (orthogonal Procrustes problem).

        Args:
            moments: Σ unsquashed(code) unsquashed(earlier code)ᵀ over the same impressions, (d, d).
        """
        left, _, right = torch.linalg.svd(moments.double())
        self.rotation.copy_(self.rotation.double() @ left @ right)

    def errors(self, code: Tensor, target: Tensor) -> dict[int, Tensor]:
        """Computes each width's squared error of reconstructing the normalised hidden layer, mean over H; (B,) each.

        Args:
            code: before the rotation, (B, d).
            target: normalised hidden layer, (B, H).
        """
        return {
            int(width): (decoder(code[:, : int(width)]) - target).square().mean(dim=1)
            for width, decoder in self.decoders.items()
        }
