"""A log in memory, learnt day by day in one pass by one model after another; each is judged before it learns a day.

Every model meets the same rows in the same order. Examples are read and encoded once for all of them.
"""

import time
from dataclasses import dataclass, field
from datetime import date
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl
import torch
from torch import nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

import storage
from config import FoundationSettings, PlatformConfig
from data.batches.foundation import Examples, foundation_batches
from data.sources import chosen_source, source_schema
from models.architectures.architecture import Inputs
from models.foundation.cetnet import CETNet
from models.foundation.embedded_network import EmbeddedNetwork, FoundationBatch
from models.foundation.foundation_model import FoundationModel, reads_sequence
from quality.metrics import evaluate
from training.foundation.trainer import Progress, Scored, foundation_trainer

Probabilities = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Judged:
    """A trained model's figures, and its predictions for the n judged rows."""

    figures: dict[str, Any]
    probabilities: Probabilities  # (n,)
    days: npt.NDArray[np.int64]  # which of the judged days a row is of, from 0, (n,)


@dataclass
class ProgressiveLog:
    """The examples of a log that `whole_log` made; the last `judged_days` of its days are judged."""

    config: PlatformConfig
    day: date  # whose partition holds the whole log
    judged_days: int
    labels: npt.NDArray[np.float32]  # of the judged rows, (n,)
    users: npt.NDArray[Any]  # (n,)
    truth: npt.NDArray[np.float64] | None  # true click probabilities, where the log is generated, (n,)
    _encoded: dict[bool, list[list[Examples]]] = field(default_factory=dict)  # by day; True: with the sequence

    @classmethod
    def of(cls, config: PlatformConfig, day: date, *, judged_days: int) -> "ProgressiveLog":
        """Reads the judged rows."""
        judged_from = storage.midnights(config, storage.calendar_days(config, day))[-1 - judged_days]
        columns = ["impression_id", "event_timestamp", "user_id", "label"]
        rows = pl.from_arrow(storage.read_partition(config, "examples", day, columns=columns))
        assert isinstance(rows, pl.DataFrame)
        judged = rows.filter(pl.col("event_timestamp") >= judged_from)
        truth, generated = None, chosen_source(config).true_probability
        if generated is not None:
            known = generated(config, day)
            truth = judged.join(known, on="impression_id", how="left", maintain_order="left")["probability"].to_numpy()
        return cls(
            config, day, judged_days, judged["label"].to_numpy().astype(np.float32), judged["user_id"].to_numpy(), truth
        )

    def run(self, foundation: FoundationSettings, *, seed: int, what: str) -> Judged:
        """Trains a fresh model over the log.

        Args:
            foundation: architecture, sizes and training.
            seed: of the weights.
            what: for the progress line.
        """
        runtime = {"seed": seed, "torch_threads": 1, "device": "cpu"}
        config = self.config.changed(foundation_model=foundation, runtime=runtime)
        days = self._days(config)
        scored: list[Scored] = []
        rows_scored: list[int] = []
        curve: list[float | None] = []
        with foundation_trainer(config, source_schema(config)) as trainer:
            parameters, flops = dense_size(trainer.module, days[0][0].batch)
            before = time.perf_counter()
            for number, examples in enumerate(days):
                if number >= len(days) - self.judged_days:
                    scored += trainer.score(examples, f"{what}: score day {number + 1}")
                    rows_scored.append(sum(batch.size for batch in examples))
                progress = Progress()
                trainer.learn(examples, f"{what}: day {number + 1} of {len(days)}", progress=progress)
                curve.append(_progressive_ne(progress, examples))
            seconds = time.perf_counter() - before
        probabilities = np.concatenate([batch.probabilities for batch in scored])
        labels = np.concatenate([batch.keys["label"].to_numpy() for batch in scored])
        if not np.array_equal(labels, self.labels):
            raise RuntimeError("the judged rows are in another order than their labels: remove the work folder")
        figures = evaluate(self.labels, probabilities, users=self.users).as_dict()
        sizes = {"dense_parameters": parameters, "flops_per_example": flops, "seconds": round(seconds, 1)}
        learnt = {"rows_learnt": sum(e.size for day in days for e in day), "curve": curve}
        return Judged(figures | sizes | learnt, probabilities, np.repeat(np.arange(len(rows_scored)), rows_scored))

    def _days(self, config: PlatformConfig) -> list[list[Examples]]:
        sequence = reads_sequence(config.foundation_model)
        if sequence not in self._encoded:
            midnights = storage.midnights(self.config, storage.calendar_days(self.config, self.day))
            self._encoded[sequence] = [
                list(foundation_batches(config, self.day, start=start, end=end)) for start, end in pairwise(midnights)
            ]
        return self._encoded[sequence]


def _progressive_ne(progress: Progress, examples: list[Examples]) -> float | None:
    """Returns a day's NE, each batch judged just before it is learnt; None where the day has one label only."""
    labels = np.concatenate([batch.keys["label"].to_numpy() for batch in examples])
    rate = float(labels.mean())
    if rate in (0.0, 1.0):
        return None
    return progress.loss / (len(labels) * -(rate * np.log(rate) + (1 - rate) * np.log(1 - rate)))


def dense_size(module: FoundationModel, batch: FoundationBatch) -> tuple[int, int]:
    """Counts a model's dense parameters, and the floating-point operations of an example's forward pass in them.

    Tables, look-ups and the compressor of the codes are not counted; of the rest, matrix products are.

    Args:
        module: the model, its tables placed.
        batch: any examples.
    """
    ensemble = module.network
    parameters, flops = 0, 0
    for member in ensemble.members if isinstance(ensemble, CETNet) else [ensemble]:
        assert isinstance(member, EmbeddedNetwork)
        with torch.no_grad():
            flops += forward_flops(member.network, member.embed(batch))
        parameters += sum(p.numel() for p in member.network.parameters())
    return parameters, flops


@torch.no_grad()
def forward_flops(network: nn.Module, batch: Inputs) -> int:
    """Counts floating-point operations of a forward pass's matrix products, of one example: 2 a multiplication."""
    with FlopCounterMode(display=False) as counter, sdpa_kernel(SDPBackend.MATH):  # the one whose parts are counted
        network(batch)
    return int(counter.get_total_flops()) // len(batch.dense)
