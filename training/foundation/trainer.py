"""The foundation model's daily life: score what has not been seen, then learn it."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import torch
import torch.distributed as dist
from torch.nn.functional import binary_cross_entropy_with_logits
from torchrec.distributed.model_parallel import DistributedModelParallel

from config import PlatformConfig
from data.batches.foundation import Examples, FoundationFeatures
from data.batches.prefetch import prefetched
from data.schema import Schema
from models.foundation.dense_network import DenseNetwork
from models.foundation.foundation_model import CodedOutput, FoundationModel
from models.layers.compressor import unsquashed
from training.foundation.parallel import dense_parameters, process_group, shard
from training.foundation.replay import save_batch, what_is_not_finite
from training.progress import RecentNE, track
from training.warm_up import WarmUp
from training.weight_average import WeightAverage


@dataclass
class Progress:
    """How far a run has come; saved with every checkpoint."""

    phase: int = 0  # phases done
    phase_step: int = 0  # optimizer steps done of the next one
    total_steps: int = 0  # optimizer steps done of all phases
    loss: float = 0.0  # sum of LogLoss over what this rank learnt, each before it was learnt
    examples: int = 0  # how many that were


class Scored(NamedTuple):
    """The FM's predictions for b examples."""

    keys: pa.RecordBatch  # of the rows
    probabilities: npt.NDArray[np.float32]  # (b,)
    codes: npt.NDArray[np.float32]  # (b, code_dim)
    hidden: npt.NDArray[np.float32]  # what the codes are made of, (b, H)


class Drift(NamedTuple):
    """Squared distance of codes from the earlier ones over their squared length: 0 the same, 2 unrelated."""

    before: float  # the rotation
    after: float


@dataclass
class FoundationTrainer:
    """A sharded FM with its dense optimizer; the sparse one is fused into the tables."""

    config: PlatformConfig
    features: FoundationFeatures
    module: FoundationModel
    model: DistributedModelParallel  # the same weights, placed
    optimizer: torch.optim.Optimizer
    device: torch.device

    def __post_init__(self) -> None:
        """Plans the rates, and averages the network's weights."""
        settings = self.config.foundation_model.optimizer
        rates = {
            self.optimizer: settings.learning_rate,
            self.model.fused_optimizer: settings.embedding_learning_rate,
        }
        self.warm_up = WarmUp(settings, self.optimizer, rates)
        network, _ = self._clipped_groups()
        self.average = WeightAverage(self.optimizer, network, decay=settings.ema_decay)

    @property
    def whole_steps(self) -> int:
        """Returns the number of steps after any multiple of which a checkpoint holds all of the run's state.

        Tables that assign rows count the ids they see between two assignments in memory only.
        """
        managed = self.config.foundation_model.managed_collision
        return managed.eviction_interval if managed else 1

    @property
    def part(self) -> dict[str, int]:
        """Returns which slice of each batch is this rank's, as `foundation_batches` wants it."""
        return {"rank": dist.get_rank(), "world_size": dist.get_world_size()}

    def learn(
        self,
        batches: Iterable[Examples],
        what: str,
        *,
        progress: Progress,
        total: int | None = None,
        before_step: Callable[[Examples], None] = lambda examples: None,
        after_step: Callable[[float | None], None] = lambda ne: None,
    ) -> None:
        """Learns batches in their order, one pass, from the step that `progress` names on, and moves it along.

        Args:
            batches: this rank's slices.
            what: for the progress line.
            progress: of the run; its phase is done when this returns.
            total: examples of the phase, on all ranks.
            before_step: called with the batch that is learnt next, on this rank's device.
            after_step: called with the NE of the newest batches, None while it is not defined; it is the learning
                weights', also where their average scores.

        Raises:
            FloatingPointError: a loss is not finite; its batch has been saved, the model has not.
        """
        settings = self.config.foundation_model.optimizer
        recent = RecentNE()
        ranks = dist.get_world_size()
        self.model.train()
        ahead = prefetched(islice(iter(batches), progress.phase_step, None))
        for examples in track(
            ahead,
            what,
            size=settings.batch_size,
            total=total,
            done=progress.phase_step * settings.batch_size,
            status=lambda: _shown(recent),
        ):
            if self.warm_up.before_step():
                self.model.fused_optimizer.step()  # hands the rate on: tables take it in forward, and step in backward
            examples = examples.to(self.device)
            before_step(examples)
            coded = self._forward(examples)
            loss_of_each = self.module.loss(coded.output, examples.labels) + coded.reconstruction_loss
            # DistributedDataParallel and torchrec average gradients over ranks, whose slices may differ in size.
            loss = loss_of_each.sum() * (ranks / examples.size)
            if not torch.isfinite(loss):
                self._stop_at(examples, what, progress.phase_step)
            self.optimizer.zero_grad(set_to_none=True)
            loss.backward()
            for parameters in self._clipped_groups():
                torch.nn.utils.clip_grad_norm_(parameters, settings.gradient_clip_norm)
            self.optimizer.step()
            click = _log_loss(coded, examples)
            recent.add(click, float(examples.labels.sum()), len(examples.labels))
            progress.phase_step += 1
            progress.total_steps += 1
            progress.loss += click
            progress.examples += len(examples.labels)
            after_step(recent.value())
        progress.phase, progress.phase_step = progress.phase + 1, 0

    @torch.no_grad()
    def score(self, batches: Iterable[Examples], what: str, *, total: int | None = None) -> Iterator[Scored]:
        """Yields the FM's predictions on this rank's slices, by its average where it has one, without learning."""
        self.model.eval()
        self.module.compressor.start()
        size = self.config.foundation_model.optimizer.batch_size
        with self.average.applied():
            for examples in track(prefetched(batches), what, size=size, total=total):
                examples = examples.to(self.device)
                coded = self._forward(examples)
                probabilities = torch.sigmoid(coded.output.logits.float())
                code, hidden = (t.float().cpu().numpy() for t in (coded.code, coded.output.hidden))
                yield Scored(examples.keys, probabilities.cpu().numpy(), code, hidden)

    @torch.no_grad()
    def judge(self, examples: Examples) -> float:
        """Computes the sum of LogLoss of what `score` would say of a batch on this rank's device, also amid a day."""
        training = self.model.training
        self.model.eval()
        with self.average.applied():
            loss = _log_loss(self._forward(examples), examples)
        self.model.train(training)
        return loss

    @torch.no_grad()
    def align(self, batches: Iterable[Examples], what: str, *, ids: pa.Array, codes: npt.NDArray[np.float32]) -> Drift:
        """Rotates the codes to match those that an earlier snapshot gave the same impressions.

        Args:
            batches: this rank's slices.
            what: for the progress line.
            ids: of impressions, (n,); others in the batches do not count.
            codes: which the earlier snapshot gave them, (n, code_dim).
        """
        width = codes.shape[1]
        sums = torch.zeros(width + 2, width, dtype=torch.float64, device=self.device)  # moments, then both energies
        for scored in self.score(batches, what):
            index = pc.index_in(scored.keys["impression_id"], ids)
            rows, earlier = np.flatnonzero(index.is_valid()), index.drop_null().to_numpy()
            now, then = (
                unsquashed(torch.from_numpy(matched).double()).to(self.device)
                for matched in (scored.codes[rows], codes[earlier])
            )
            sums += torch.cat([now.T @ then, now.square().sum(dim=0, keepdim=True), then.square().sum(dim=0)[None]])
        if dist.get_world_size() > 1:
            dist.all_reduce(sums)
        moments, (now_energy, then_energy) = sums[:width], sums[width:].sum(dim=1)
        self.module.compressor.align(moments.to(self.module.compressor.rotation.device))
        energy = now_energy + then_energy
        overlaps = float(moments.trace()), float(torch.linalg.svdvals(moments).sum())
        return Drift(*(float((energy - 2 * overlap) / then_energy) for overlap in overlaps))

    def _clipped_groups(self) -> tuple[list[torch.nn.Parameter], list[torch.nn.Parameter]]:
        """Returns the dense parameters of network and of compressor: clipped together, one would slow the other."""
        compressor = {id(p) for p in self.module.compressor.parameters()}
        dense = dense_parameters(self.model)
        return [p for p in dense if id(p) not in compressor], [p for p in dense if id(p) in compressor]

    def _forward(self, examples: Examples) -> CodedOutput:
        half = self.config.foundation_model.training.precision == "bf16"
        with torch.autocast(self.device.type, dtype=torch.bfloat16, enabled=half):
            return self.model(examples.batch)

    def _stop_at(self, examples: Examples, what: str, step: int) -> None:
        feature = what_is_not_finite(examples.batch, self.module, self.features)
        folder = save_batch(self.config, examples, name=f"{what}, step {step}")
        raise FloatingPointError(
            f"{what}: the loss is not finite at step {step}, impressions from {examples.keys['event_timestamp'][0]}: "
            f"{feature}. The batch is in {folder}, the model as it was is in the last checkpoint. Correct the feature "
            "at its source, or lower foundation_model.optimizer.learning_rate"
        )


@contextmanager
def foundation_trainer(config: PlatformConfig, schema: Schema) -> Iterator[FoundationTrainer]:
    """Builds a fresh FM of the configured architecture, sharded over the process group, seeded by `runtime.seed`."""
    features = FoundationFeatures.of(schema, config.foundation_model, config.features)
    settings = config.foundation_model.optimizer
    with process_group(config.runtime) as device:
        torch.manual_seed(config.runtime.seed)
        module = FoundationModel(
            config.foundation_model,
            sparse=features.sparse,
            num_dense=len(features.dense),
            sequence_length=features.sequence_length,
        )
        model = shard(module, device, embedding_learning_rate=settings.embedding_learning_rate)
        if config.foundation_model.training.compile:
            for network in module.modules():
                if isinstance(network, DenseNetwork):
                    network.compile(dynamic=True)  # in place: names in checkpoints stay
        optimizer = torch.optim.Adam(
            dense_parameters(model), lr=settings.learning_rate, weight_decay=settings.weight_decay, fused=True
        )
        yield FoundationTrainer(config, features, module, model, optimizer, device)


@torch.no_grad()
def _log_loss(coded: CodedOutput, examples: Examples) -> float:
    """Computes the sum of LogLoss over a batch."""
    logits = coded.output.logits.float()
    return float(binary_cross_entropy_with_logits(logits, examples.labels, reduction="sum"))


def _shown(recent: RecentNE) -> str:
    ne = recent.value()
    return "" if ne is None else f"NE {ne:.4f}"
