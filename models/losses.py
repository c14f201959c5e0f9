"""Losses of the vertical models: click, and ExFM's auxiliary-head distillation (arXiv:2502.17494, section 4)."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits

from models.layers.mlp import mlp


class _GradientScale(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, scale: float) -> Tensor:
        ctx.scale = scale
        return x.view_as(x)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None]:
        return grads[0] * ctx.scale, None


def gradient_scale(x: Tensor, scale: float) -> Tensor:
    """Identity forward; the gradient is multiplied by `scale` on its way back (ExFM's β)."""
    return _GradientScale.apply(x, scale)


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
        """Distillation loss, ExFM eq. 4: BCE(head(GS_β(h)), min(α·p, 1)), mean over rows that have a soft label.

        Args:
            hidden: output of the student's trunk, (B, H).
            soft_labels: the FM's probabilities, (B,); NaN where the FM gave none.

        Returns:
            Scalar; 0 where no row has a soft label.
        """
        known = ~torch.isnan(soft_labels)
        logits = self.head(gradient_scale(hidden, self.gradient_scale)).squeeze(-1)
        targets = (self.label_scale * soft_labels).clamp(max=1.0).where(known, torch.zeros_like(soft_labels))
        losses = binary_cross_entropy_with_logits(logits, targets, reduction="none")
        return (losses * known).sum() / known.sum().clamp(min=1)
