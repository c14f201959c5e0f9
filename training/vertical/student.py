"""A vertical model trained with a chosen part of what an FM passes on: what studies and explanations compare."""

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from config import Transfer, VerticalModel
from data.batches.impression_history import ImpressionLog, Slots
from models.vertical import build_vertical
from models.vertical.batch import VerticalBatch
from models.vertical.network import VerticalNetwork
from training.vertical.trainer import VerticalTrainer

SCORED_AT_ONCE = 8192


@dataclass(frozen=True)
class Arm:
    """What passes from the FM to the VM, and what of the user's past impressions the VM is told without it."""

    distillation: bool = False
    codes: bool = False  # of the FM, in each history slot
    ids: bool = False  # of item and item features, in each history slot


@dataclass(frozen=True)
class VerticalRows:
    """Impressions of a vertical, in order of time, and what an FM says of those logged before them.

    Q: impressions, N: impressions of the log, F: sparse features, M: dense features, d: code width
    """

    sparse: Tensor  # hashed ids, (Q, F)
    dense: Tensor  # (Q, M)
    labels: Tensor  # 0 or 1, (Q,)
    soft_labels: Tensor  # the FM's probabilities, NaN where it gave none, (Q,)
    log: ImpressionLog
    codes: Tensor  # of the log's impressions, (N, d)
    item_codes: Tensor  # mean code of each impression's item, (Q, d)
    slots: Slots  # histories

    def __len__(self) -> int:
        """Q."""
        return len(self.labels)

    def part(self, rows: slice | Tensor) -> "VerticalRows":
        """Some of the impressions."""
        return replace(
            self,
            sparse=self.sparse[rows],
            dense=self.dense[rows],
            labels=self.labels[rows],
            soft_labels=self.soft_labels[rows],
            item_codes=self.item_codes[rows],
            slots=self.slots.part(rows),
        )

    def batch(self) -> VerticalBatch:
        """The impressions as a network reads them."""
        return VerticalBatch(self.dense, self.sparse, self.log.history(self.slots, self.codes, self.item_codes))


@dataclass(frozen=True)
class Student:
    """Trains and applies one VM."""

    settings: VerticalModel
    transfer: Transfer  # how the soft labels are learnt
    arm: Arm
    num_embeddings: dict[str, int]  # rows of each sparse feature's table
    history_ids: tuple[str, ...]  # sparse features whose ids the log holds

    def fit(self, rows: VerticalRows, *, seed: int, epochs: int = 1) -> VerticalNetwork:
        """A fresh VM that has learnt rows in their order.

        Args:
            rows: to learn.
            seed: of the weights.
            epochs: passes over the rows.
        """
        torch.manual_seed(seed)
        network = build_vertical(
            self.settings,
            num_embeddings=self.num_embeddings,
            num_dense=rows.dense.shape[1],
            history_length=rows.slots.positions.shape[1],
            code_dim=rows.codes.shape[1] if self.arm.codes else 0,
            history_ids=self.history_ids if self.arm.ids else (),
        )
        trainer = VerticalTrainer(self.settings.optimizer, network, self.transfer if self.arm.distillation else None)
        network.train()
        size = self.settings.optimizer.batch_size
        for _ in range(epochs):
            for first in range(0, len(rows) - 1, size):  # no batch of one: batch normalization would learn nothing
                part = rows.part(slice(first, first + size))
                trainer.step(part.batch(), part.labels, part.soft_labels)
        return network


@torch.no_grad()
def predict(network: VerticalNetwork, rows: VerticalRows) -> npt.NDArray[np.float32]:
    """Click probabilities of rows, (Q,)."""
    network.eval()
    parts = (rows.part(slice(first, first + SCORED_AT_ONCE)) for first in range(0, len(rows), SCORED_AT_ONCE))
    return np.concatenate([torch.sigmoid(network(part.batch()).logits).numpy() for part in parts])
