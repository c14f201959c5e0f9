"""What a vertical model learns of the foundation model's soft labels (ExFM, arXiv:2502.17494, section 4)."""

from torch import Tensor, nn

from config import Transfer
from models.losses import AuxiliaryHead, StudentAdapter, distillation_loss
from models.vertical.batch import VerticalOutput


class Distillation(nn.Module):
    """The part of training that the exported model does not hold: auxiliary heads and the student adapter.

    B: batch, H: width of the trunk's output
    """

    def __init__(self, transfer: Transfer, hidden_dim: int) -> None:
        super().__init__()
        self.transfer = transfer
        self.auxiliary: AuxiliaryHead | None = None
        self.adapter: StudentAdapter | None = None
        if transfer.distillation_head == "auxiliary":
            self.auxiliary = AuxiliaryHead(
                hidden_dim, label_scale=transfer.label_scale, gradient_scale=transfer.gradient_scale
            )
        if transfer.student_adapter:
            self.adapter = StudentAdapter()
            self.adapted = AuxiliaryHead(hidden_dim, label_scale=1.0, gradient_scale=transfer.gradient_scale)

    def forward(self, output: VerticalOutput, soft_labels: Tensor) -> Tensor:
        """Computes the distillation loss times w (eq. 5), plus that of the corrected soft labels (eq. 7); scalar.

        Args:
            output: of the student for B examples.
            soft_labels: the FM's probabilities, (B,); NaN where the FM gave none.
        """
        if self.auxiliary is not None:
            loss = self.auxiliary(output.hidden, soft_labels)
        else:
            loss = distillation_loss(output.logits, soft_labels, label_scale=self.transfer.label_scale)
        loss = self.transfer.loss_weight * loss
        if self.adapter is not None:
            loss = loss + self.adapted(output.hidden, self.adapter(soft_labels).detach().sigmoid())
        return loss

    def heads(self) -> list[nn.Parameter]:
        """Returns the parameters that learn with the student; the adapter learns by itself."""
        return [p for name, p in self.named_parameters() if not name.startswith("adapter.")]
