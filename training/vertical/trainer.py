"""Fits a vertical model: clicks on the serving head, the FM's soft labels beside them (ExFM, arXiv:2502.17494)."""

from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits

from config import Optimizer, Transfer
from models.distillation import Distillation
from models.vertical.batch import VerticalBatch
from models.vertical.network import VerticalNetwork
from training.checkpoint import load_optimizers, save_optimizers
from training.progress import track
from training.vertical.rows import Rows
from training.warm_up import WarmUp
from training.weight_average import WeightAverage

DISTILLATION_FILE = "distillation.safetensors"


@dataclass
class VerticalTrainer:
    """A VM with its optimizers; auxiliary heads and adapter exist only here and are never exported."""

    settings: Optimizer
    network: VerticalNetwork
    transfer: Transfer | None  # None: the baseline, which takes nothing from the FM

    def __post_init__(self) -> None:
        """Builds the auxiliary heads, the optimizers and the averages."""
        tables = [p for name, p in self.network.named_parameters() if name.startswith("embeddings.")]
        of_network = [p for name, p in self.network.named_parameters() if not name.startswith("embeddings.")]
        dense = list(of_network)
        self.distillation: Distillation | None = None
        self.optimizers: dict[str, torch.optim.Optimizer] = {}
        if self.transfer is not None and self.transfer.soft_label:
            self.distillation = Distillation(self.transfer, self.network.hidden_dim)
            dense += self.distillation.heads()
            if self.distillation.adapter is not None:
                self.optimizers["adapter"] = self._adam(list(self.distillation.adapter.parameters()))
        self.clipped = dense
        self.optimizers["dense"] = self._adam(dense)
        self.optimizers["tables"] = torch.optim.Adagrad(tables, lr=self.settings.embedding_learning_rate, fused=True)
        rates = {
            self.optimizers["dense"]: self.settings.learning_rate,
            self.optimizers["tables"]: self.settings.embedding_learning_rate,
        }
        self.warm_up = WarmUp(self.settings, self.optimizers["dense"], rates)
        self.averages = [
            WeightAverage(self.optimizers[name], weights, decay=self.settings.ema_decay)
            for name, weights in (("dense", of_network), ("tables", tables))
        ]

    def learn(self, rows: Rows, what: str) -> None:
        """Learns rows in their order, one pass.

        Args:
            rows: of the vertical.
            what: is trained, for the progress line.

        Raises:
            FloatingPointError: a loss is not finite.
        """
        first, size = 0, self.settings.batch_size
        self.network.train()
        for batch, labels, soft_labels in track(rows.batches(size), what, size=size):
            if len(labels) > 1:  # batch normalization of one row would learn nothing but that row
                try:
                    self.step(batch, labels, soft_labels)
                except FloatingPointError as error:
                    raise FloatingPointError(
                        f"{what}: {error} at {rows.where(first)}; "
                        "lower vertical_model.optimizer.learning_rate or transfer.loss_weight"
                    ) from None
            first += size

    def step(self, batch: VerticalBatch, labels: Tensor, soft_labels: Tensor) -> float:
        """Learns one batch (ExFM, algorithm 1): first the adapter, then the student and its heads.

        Args:
            batch: B examples, two at least.
            labels: 0 or 1, (B,).
            soft_labels: the FM's probabilities, (B,); NaN where it gave none.

        Returns:
            Click loss of the batch before it was learnt.

        Raises:
            FloatingPointError: the loss is not finite; nothing of the student has changed.
        """
        if self.distillation is not None and self.distillation.adapter is not None:
            self._descend({"adapter"}, self.distillation.adapter.loss(soft_labels, labels))
        output = self.network(batch)
        click = binary_cross_entropy_with_logits(output.logits, labels)
        loss = click if self.distillation is None else click + self.distillation(output, soft_labels)
        if not torch.isfinite(loss):
            raise FloatingPointError(f"loss is {loss.item()}")
        self._descend({"dense", "tables"}, loss)
        return click.item()

    def end(self) -> None:
        """Puts the average of the weights in the network, where there is one; what learnt is kept for a warm start."""
        for average in self.averages:
            average.exchange()

    def save_state(self, folder: Path) -> None:
        """Writes what a warm start needs beside the network, once training has ended.

        These are the optimizers, with the weights that learnt where the network has their average; auxiliary heads and
        adapter.
        """
        save_optimizers(folder, self.optimizers)
        if self.distillation is not None and (state := self.distillation.state_dict()):
            save_file(dict(state), folder / DISTILLATION_FILE)

    def load_state(self, folder: Path) -> None:
        """Restores what `save_state` wrote beside the network's weights of then, and lets what learnt learn on.

        Where other heads were trained, heads and optimizers stay fresh, and the network learns on from its average.
        """
        path = folder / DISTILLATION_FILE
        saved = load_file(path) if path.exists() else {}
        state = self.distillation.state_dict() if self.distillation is not None else {}
        if {name: value.shape for name, value in saved.items()} != {name: v.shape for name, v in state.items()}:
            return
        if self.distillation is not None:
            self.distillation.load_state_dict(saved)
        load_optimizers(folder, self.optimizers)
        for average in self.averages:
            average.exchange()

    def _adam(self, parameters: list[torch.nn.Parameter]) -> torch.optim.Optimizer:
        return torch.optim.Adam(
            parameters, lr=self.settings.learning_rate, weight_decay=self.settings.weight_decay, fused=True
        )

    def _descend(self, names: set[str], loss: Tensor) -> None:
        optimizers = [self.optimizers[name] for name in names]
        if "dense" in names:
            self.warm_up.before_step()
        for optimizer in optimizers:
            optimizer.zero_grad(set_to_none=True)
        loss.backward()
        if "dense" in names:
            torch.nn.utils.clip_grad_norm_(self.clipped, self.settings.gradient_clip_norm)
        for optimizer in optimizers:
            optimizer.step()
