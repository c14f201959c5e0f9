"""The study's vertical models: one arm of transfer, one architecture, one seed."""

from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from benchmarks.transfer_study.log import StudyLog
from config import Transfer, VerticalModel
from data.impression_history import Slots
from data.point_in_time import Ints
from models.vertical import build_vertical
from models.vertical.network import VerticalBatch, VerticalNetwork
from training.vertical import VerticalTrainer


@dataclass(frozen=True)
class Arm:
    """What passes from the FM to the VM, and what of the user's past impressions the VM is told without it."""

    distillation: Literal["none", "serving", "auxiliary"] = "none"
    adapter: bool = False
    codes: Literal["none", "soft_labels", "codes"] = "none"  # of the FM, in each slot
    ids: bool = False  # ids of item and item features in each slot, as a raw history has them


ARMS: dict[str, Arm] = {
    "none": Arm(),
    "kd": Arm("serving"),
    "ah": Arm("auxiliary"),
    "ah_sa": Arm("auxiliary", adapter=True),
    "raw": Arm(ids=True),
    "raw_ah": Arm("auxiliary", ids=True),
    "soft_history": Arm(codes="soft_labels"),
    "loopfm": Arm(codes="codes"),
    "loopfm_ah": Arm("auxiliary", codes="codes"),
    "loopfm_ah_sa": Arm("auxiliary", adapter=True, codes="codes"),
    "both": Arm(codes="codes", ids=True),
    "both_ah": Arm("auxiliary", codes="codes", ids=True),
}
KINDS: dict[str, dict[str, Any]] = {"fm": {}, "deepfm": {}, "din": {}, "dnn": {}, "wukong": {"num_layers": 1}}


@dataclass(frozen=True)
class Channel:
    """What of an FM reaches the VM. N: the log's impressions, Q: rows of the vertical."""

    soft_labels: Tensor  # of the rows, (Q,)
    codes: Tensor  # of the log's impressions, (N, d)
    item_codes: Tensor  # mean code of each row's item, (Q, d)
    slots: Slots  # histories of the rows

    def part(self, rows: slice | Tensor) -> "Channel":
        """Some of the rows."""
        return replace(
            self, soft_labels=self.soft_labels[rows], item_codes=self.item_codes[rows], slots=self.slots.part(rows)
        )


@dataclass(frozen=True)
class Student:
    """Trains and applies one VM."""

    log: StudyLog
    settings: VerticalModel
    arm: Arm
    transfer: Transfer

    def network(self, code_dim: int) -> VerticalNetwork:
        """A fresh network that reads what the arm gives; seed torch before."""
        return build_vertical(
            self.settings,
            num_embeddings=self.log.features.num_embeddings,
            num_dense=len(self.log.features.dense),
            code_dim=code_dim if self.arm.codes != "none" else 0,
            history_ids=self.log.history_ids if self.arm.ids else (),
        )

    def fit(self, rows: Ints, channel: Channel, *, seed: int) -> VerticalNetwork:
        """One pass over the rows in their order."""
        torch.manual_seed(seed)
        network = self.network(channel.codes.shape[1])
        transfer = None
        if self.arm.distillation != "none":
            update = {"distillation_head": self.arm.distillation, "student_adapter": self.arm.adapter}
            transfer = self.transfer.model_copy(update=update)
        trainer = VerticalTrainer(self.settings.optimizer, network, transfer)
        network.train()
        size = self.settings.optimizer.batch_size
        for first in range(0, len(rows) - 1, size):
            part = slice(first, first + size)
            labels = self.log.impressions.labels[torch.from_numpy(rows[part])]
            trainer.step(self.batch(rows[part], channel.part(part)), labels, channel.soft_labels[part])
        return network

    @torch.no_grad()
    def predict(self, network: VerticalNetwork, rows: Ints, channel: Channel) -> npt.NDArray[np.float32]:
        """Click probabilities of rows, (Q,)."""
        network.eval()
        parts = [
            torch.sigmoid(
                network(self.batch(rows[first : first + 8192], channel.part(slice(first, first + 8192)))).logits
            )
            for first in range(0, len(rows), 8192)
        ]
        return torch.cat(parts).numpy()

    def batch(self, rows: Ints, channel: Channel) -> VerticalBatch:
        """Rows of the vertical as a network reads them."""
        at = torch.from_numpy(rows)
        history = self.log.impressions.history(channel.slots, channel.codes, channel.item_codes)
        return VerticalBatch(self.log.dense[at], self.log.sparse[at], history)
