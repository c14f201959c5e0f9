"""The one way to train a vertical model: in the daily job, in studies and in explanations."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from config import Transfer, VerticalSettings
from models.vertical import build_vertical
from models.vertical.network import VerticalNetwork
from training.vertical.arm import Arm
from training.vertical.rows import Rows, VerticalRows
from training.vertical.trainer import VerticalTrainer

SCORED_AT_ONCE = 8192


@dataclass(frozen=True)
class Student:
    """Trains one VM with a chosen part of what an FM passes on."""

    settings: VerticalSettings
    transfer: Transfer  # weights of the distillation; what is passed on, the arm says
    arm: Arm
    num_embeddings: dict[str, int]  # rows of each sparse feature's table
    history_ids: tuple[str, ...]  # sparse features whose ids a history slot holds, the item first

    def fit(
        self,
        rows: Rows,
        *,
        seed: int,
        what: str,
        epochs: int = 1,
        weights: Mapping[str, Tensor] | None = None,
        state: Path | None = None,
    ) -> VerticalTrainer:
        """Trains a VM on rows, in their order, and returns it with what a later training needs.

        Args:
            rows: to learn.
            seed: of the weights.
            what: is trained, for people.
            epochs: passes over the rows.
            weights: where the VM starts; None: fresh.
            state: folder that `VerticalTrainer.save_state` wrote beside those weights; None: fresh.

        Raises:
            FloatingPointError: a loss is not finite.
        """
        torch.manual_seed(seed)
        network = build_vertical(
            self.settings,
            num_embeddings=self.num_embeddings,
            num_dense=rows.num_dense,
            history_length=rows.history_length,
            code_dim=rows.code_dim if self.arm.codes != "none" else 0,
            history_ids=self.arm.history_ids(self.history_ids),
        )
        trainer = VerticalTrainer(self.settings.optimizer, network, self.arm.distilling(self.transfer))
        if weights is not None:
            network.load_state_dict(weights)
        if state is not None:
            trainer.load_state(state)
        for _ in range(epochs):
            trainer.learn(rows, what)
        trainer.end()
        return trainer


@torch.no_grad()
def predict(network: VerticalNetwork, rows: VerticalRows) -> npt.NDArray[np.float32]:
    """Returns click probabilities of rows, (Q,)."""
    network.eval()
    slices = (rows.part(slice(first, first + SCORED_AT_ONCE)) for first in range(0, len(rows), SCORED_AT_ONCE))
    return np.concatenate([torch.sigmoid(network(some.batch()).logits).numpy() for some in slices])
