"""Fits a vertical model: clicks on the serving head, the FM's soft labels on an auxiliary head."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import torch
from safetensors.torch import load_file, save_file
from torch.nn.functional import binary_cross_entropy_with_logits

from config import PlatformConfig, Transfer
from data.vertical_batches import VerticalFeatures
from models.losses import AuxiliaryHead
from models.vertical.network import VerticalNetwork
from training.checkpoint import load_optimizers, save_optimizers
from training.progress import track

AUXILIARY_FILE = "auxiliary.safetensors"


@dataclass
class VerticalTrainer:
    """A VM with its optimizers; the auxiliary head exists only here and is never exported."""

    config: PlatformConfig
    features: VerticalFeatures
    network: VerticalNetwork
    transfer: Transfer | None  # None: the baseline, which takes nothing from the FM

    def __post_init__(self) -> None:
        """Builds the auxiliary head and the optimizers."""
        settings = self.config.vertical_model.optimizer
        tables = [p for name, p in self.network.named_parameters() if name.startswith("embeddings.")]
        dense = [p for name, p in self.network.named_parameters() if not name.startswith("embeddings.")]
        self.auxiliary: AuxiliaryHead | None = None
        if self.transfer is not None and self.transfer.soft_label:
            self.auxiliary = AuxiliaryHead(
                self.network.hidden_dim,
                label_scale=self.transfer.label_scale,
                gradient_scale=self.transfer.gradient_scale,
            )
            dense += list(self.auxiliary.parameters())
        self.clipped = dense
        self.optimizers: dict[str, torch.optim.Optimizer] = {
            "dense": torch.optim.Adam(dense, lr=settings.learning_rate, weight_decay=settings.weight_decay, fused=True),
            "tables": torch.optim.Adagrad(tables, lr=settings.embedding_learning_rate, fused=True),
        }

    def learn(self, rows: pa.Table, what: str) -> npt.NDArray[np.float32]:
        """Learns rows in their order, one pass.

        Args:
            rows: `features.columns`, label, soft_label.
            what: for the progress line.

        Returns:
            Click loss of each step before it was learnt, (steps,).

        Raises:
            FloatingPointError: a loss is not finite.
        """
        settings = self.config.vertical_model.optimizer
        losses = []
        self.network.train()
        for part, batch in track(self.features.batches(rows, settings.batch_size), what, size=settings.batch_size):
            if part.num_rows < 2:
                continue  # batch normalization of one row would learn nothing but that row
            labels = torch.from_numpy(part["label"].to_numpy().astype(np.float32))
            output = self.network(batch)
            click = binary_cross_entropy_with_logits(output.logits, labels)
            loss = click
            if self.auxiliary is not None and self.transfer is not None:
                soft = torch.from_numpy(part["soft_label"].to_numpy().astype(np.float32))  # null becomes NaN
                loss = loss + self.transfer.loss_weight * self.auxiliary(output.hidden, soft)
            if not torch.isfinite(loss):
                raise FloatingPointError(
                    f"{what}: loss is {loss.item()} at impressions from {part['event_timestamp'][0]}; "
                    "lower vertical_model.optimizer.learning_rate or transfer.loss_weight"
                )
            for optimizer in self.optimizers.values():
                optimizer.zero_grad(set_to_none=True)
            loss.backward()
            torch.nn.utils.clip_grad_norm_(self.clipped, settings.gradient_clip_norm)
            for optimizer in self.optimizers.values():
                optimizer.step()
            losses.append(click.item())
        return np.asarray(losses, np.float32)

    def save_state(self, folder: Path) -> None:
        """Writes what a warm start needs beside the network: optimizers and auxiliary head."""
        save_optimizers(folder, self.optimizers)
        if self.auxiliary is not None:
            save_file(dict(self.auxiliary.state_dict()), folder / AUXILIARY_FILE)

    def load_state(self, folder: Path) -> None:
        """Restores what `save_state` wrote; an auxiliary head that was not trained before stays fresh."""
        if self.auxiliary is not None and not (folder / AUXILIARY_FILE).exists():
            return  # the parameters, and so the optimizer's state, are others
        if self.auxiliary is not None:
            self.auxiliary.load_state_dict(load_file(folder / AUXILIARY_FILE))
        load_optimizers(folder, self.optimizers)
