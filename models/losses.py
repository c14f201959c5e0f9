"""Losses of the vertical models: click, and ExFM's distillation (arXiv:2502.17494, section 4)."""

import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits

from models.layers.mlp import mlp


def gradient_scale(x: Tensor, scale: float) -> Tensor:
    """Returns x; the gradient is multiplied by `scale` on its way back (ExFM's β)."""
    return x.detach() + scale * (x - x.detach())


def distillation_loss(logits: Tensor, soft_labels: Tensor, *, label_scale: float = 1.0) -> Tensor:
    """Computes cross-entropy against min(α·p, 1), mean over the rows that have a soft label (ExFM eq. 4).

    Args:
        logits: of the student, (B,).
        soft_labels: the FM's probabilities, (B,); NaN where the FM gave none.
        label_scale: α.

    Returns:
        Scalar; 0 where no row has a soft label.
    """
    labelled = ~torch.isnan(soft_labels)
    targets = (label_scale * soft_labels).clamp(max=1.0).where(labelled, torch.zeros_like(soft_labels))
    losses = binary_cross_entropy_with_logits(logits, targets, reduction="none")
    return (losses * labelled).sum() / labelled.sum().clamp(min=1)


class AuxiliaryHead(nn.Module):
    """A head of its own for the teacher's soft label, so that the teacher's bias stays off the serving head.

    It exists in training only. B: batch, H: width of the trunk's output.
    """

    def __init__(self, hidden_dim: int, *, label_scale: float, gradient_scale: float) -> None:
        super().__init__()
        self.head = mlp(hidden_dim, [hidden_dim], 1)
        self.label_scale = label_scale
        self.gradient_scale = gradient_scale

    def forward(self, hidden: Tensor, soft_labels: Tensor) -> Tensor:
        """Computes the distillation loss, ExFM eq. 4: BCE(head(GS_β(h)), min(α·p, 1)).

        Args:
            hidden: output of the student's trunk, (B, H).
            soft_labels: the FM's probabilities, (B,); NaN where the FM gave none.

        Returns:
            Scalar; 0 where no row has a soft label.
        """
        logits = self.head(gradient_scale(hidden, self.gradient_scale)).squeeze(-1)
        return distillation_loss(logits, soft_labels, label_scale=self.label_scale)


class StudentAdapter(nn.Module):
    """Corrects a stale teacher's probability from fresh clicks (ExFM eq. 6), in training only.

    The paper's is an MLP of the probability; this one adds its output to the teacher's logit and starts at zero, so
    that an adapter that has learnt nothing leaves the soft label as it is. B: batch.
    """

    def __init__(self, hidden_dim: int = 8) -> None:
        super().__init__()
        self.hidden = mlp(1, [hidden_dim])
        self.correction = nn.Linear(hidden_dim, 1)
        nn.init.zeros_(self.correction.weight)
        nn.init.zeros_(self.correction.bias)

    def forward(self, soft_labels: Tensor) -> Tensor:
        """Returns corrected logits, (B,), of probabilities, (B,); NaN stays NaN."""
        logits = torch.logit(soft_labels, eps=1e-6)
        return logits + self.correction(self.hidden(logits.unsqueeze(-1))).squeeze(-1)

    def loss(self, soft_labels: Tensor, labels: Tensor) -> Tensor:
        """Computes the click loss of the corrected probability, mean over rows with a soft label; 0 if none has one."""
        labelled = ~torch.isnan(soft_labels)
        if not labelled.any():
            return self.correction.bias.sum() * 0.0
        return binary_cross_entropy_with_logits(self(soft_labels[labelled]), labels[labelled])
