"""The foundation model's daily life: score what has not been seen, then learn it."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import torch
from torch.nn.functional import binary_cross_entropy_with_logits
from torchrec.distributed.model_parallel import DistributedModelParallel

from config import PlatformConfig
from data.foundation_batches import FoundationBatch, FoundationFeatures
from data.schema import Schema
from models.foundation.foundation_model import FoundationModel
from training.parallel import dense_parameters, process_group, shard
from training.progress import track


@dataclass
class FoundationTrainer:
    """A sharded FM with its dense optimizer; the sparse one is fused into the tables."""

    config: PlatformConfig
    model: DistributedModelParallel
    optimizer: torch.optim.Optimizer
    device: torch.device

    def learn(self, batches: Iterable[FoundationBatch], what: str) -> npt.NDArray[np.float32]:
        """Learns batches in their order, one pass.

        Returns:
            Loss of each step, before it was learnt, (steps,): a progressive estimate of LogLoss.

        Raises:
            FloatingPointError: a loss is not finite; nothing has been saved.
        """
        settings = self.config.foundation_model.optimizer
        losses = []
        self.model.train()
        for step, batch in enumerate(track(batches, what, size=settings.batch_size)):
            batch = batch.to(self.device)
            output = self.model(batch.sparse, batch.dense)
            click = binary_cross_entropy_with_logits(output.logits, batch.labels)
            loss = click + output.reconstruction_loss
            if not torch.isfinite(loss):
                raise FloatingPointError(
                    f"{what}: loss is {loss.item()} at step {step}, impressions from "
                    f"{batch.keys['event_timestamp'][0]}; lower foundation_model.optimizer.learning_rate, "
                    "or look for extreme dense values in the day's examples"
                )
            self.optimizer.zero_grad(set_to_none=True)
            loss.backward()
            torch.nn.utils.clip_grad_norm_(dense_parameters(self.model), settings.gradient_clip_norm)
            self.optimizer.step()
            losses.append(click.item())
        return np.asarray(losses, np.float32)

    @torch.no_grad()
    def score(
        self, batches: Iterable[FoundationBatch], what: str
    ) -> Iterator[tuple[pa.RecordBatch, np.ndarray, np.ndarray]]:
        """Probabilities and codes, without learning.

        Yields:
            keys of the rows; probability, (B,); code, (B, code_dim).
        """
        self.model.eval()
        for batch in track(batches, what, size=self.config.foundation_model.optimizer.batch_size):
            batch = batch.to(self.device)
            output = self.model(batch.sparse, batch.dense)
            yield batch.keys, torch.sigmoid(output.logits).cpu().numpy(), output.code.cpu().numpy()


@contextmanager
def foundation_trainer(config: PlatformConfig, schema: Schema) -> Iterator[FoundationTrainer]:
    """A fresh FM of the configured architecture, sharded over the process group, seeded by `runtime.seed`."""
    features = FoundationFeatures.of(schema, config)
    settings = config.foundation_model.optimizer
    with process_group(config.runtime) as device:
        torch.manual_seed(config.runtime.seed)
        module = FoundationModel(config.foundation_model, sparse=features.sparse, num_dense=len(features.dense))
        model = shard(module, device, embedding_learning_rate=settings.embedding_learning_rate)
        optimizer = torch.optim.Adam(
            dense_parameters(model), lr=settings.learning_rate, weight_decay=settings.weight_decay
        )
        yield FoundationTrainer(config, model, optimizer, device)
