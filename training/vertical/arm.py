"""What passes from the FM to a vertical model: the choice that training, studies and explanations share."""

from dataclasses import dataclass
from typing import Literal

from config import Transfer


@dataclass(frozen=True)
class Arm:
    """What passes from the FM to the VM, and what of the user's past impressions the VM is told without it.

    The default is the baseline, which is told nothing of either.
    """

    distillation: Literal["none", "serving", "auxiliary"] = "none"  # which head learns the soft label
    adapter: bool = False  # ExFM's student adapter, beside the distillation
    codes: Literal["none", "soft_labels", "codes"] = "none"  # of the FM, in each history slot
    ids: Literal["none", "item", "all"] = "none"  # in each slot; all: of the item and of each of its features

    @classmethod
    def of(cls, transfer: Transfer) -> "Arm":
        """Returns the arm of the platform's own VMs."""
        return cls(
            distillation=transfer.distillation_head if transfer.soft_label else "none",
            adapter=transfer.student_adapter,
            codes="codes" if transfer.history else "none",
            ids="item" if transfer.history else "none",
        )

    def distilling(self, transfer: Transfer) -> Transfer | None:
        """Returns how the soft label is learnt, with the weights of `transfer`; None where it is not."""
        if self.distillation == "none":
            return None
        return transfer.changed(soft_label=True, distillation_head=self.distillation, student_adapter=self.adapter)

    def history_ids(self, available: tuple[str, ...]) -> tuple[str, ...]:
        """Returns the features whose ids the VM reads in a slot.

        Args:
            available: features whose ids a slot holds, the item first.
        """
        return {"none": (), "item": available[:1], "all": available}[self.ids]
