"""A log in memory, learnt day by day in one pass by one model after another; each is judged before it learns a day.

Every model meets the same rows in the same order. Examples are read and encoded once for all of them.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc
import torch
from torch import nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

import storage
from config import FoundationSettings, PlatformConfig
from data.batches.foundation import Examples, foundation_batches
from data.sources import chosen_source, source_schema
from models.foundation.cetnet import CETNet
from models.foundation.embedded_network import EmbeddedNetwork, FoundationBatch
from models.foundation.foundation_model import FoundationModel, reads_sequence
from quality.metrics import evaluate
from training.foundation.trainer import FoundationTrainer, Progress, Scored, foundation_trainer

Probabilities = npt.NDArray[np.float32]


class Learnt(NamedTuple):
    """What a model said of a date while it learnt it, each batch judged just before, by what scores."""

    loss: float  # sum of LogLoss
    rows: int
    clicks: float


@dataclass(frozen=True)
class Judged:
    """A trained model's figures, and its predictions for the n judged rows."""

    figures: dict[str, Any]
    probabilities: Probabilities  # (n,)
    days: npt.NDArray[np.int64]  # which of the judged days a row is of, from 0, (n,)
    learnt: list[Learnt] = field(default_factory=list)  # by date; empty where a model is not judged as it learns


@dataclass
class ProgressiveLog:
    """The examples of some platform days; the last `judged_days` of the dates that they cover are judged."""

    config: PlatformConfig
    days: list[date]  # platform days one after another, oldest first; the first may cover many dates
    judged_days: int
    labels: npt.NDArray[np.float32]  # of the judged rows, (n,)
    users: npt.NDArray[Any]  # (n,)
    truth: npt.NDArray[np.float64] | None  # true click probabilities, where the log is generated, (n,)
    _encoded: dict[bool, list[list[Examples]]] = field(default_factory=dict)  # by day; True: with the sequence

    @classmethod
    def of(cls, config: PlatformConfig, days: list[date], *, judged_days: int) -> "ProgressiveLog":
        """Reads the judged rows.

        Raises:
            ValueError: the days cover too few dates to learn one at least before the judged ones.
        """
        starts = storage.date_starts(config, days)
        if not 0 < judged_days < len(starts):
            raise ValueError(
                f"{', '.join(map(str, days))} cover {len(starts)} dates: too few to judge a model on the last "
                f"{judged_days} of them"
            )
        columns = ["impression_id", "event_timestamp", "user_id", "label"]
        rows = pl.concat([_frame(storage.read_partition(config, "examples", day, columns=columns)) for day in days])
        judged = rows.filter(pl.col("event_timestamp") >= starts[-judged_days])
        truth, generated = None, chosen_source(config).true_probability
        if generated is not None:
            known = pl.concat([generated(config, day) for day in days])
            truth = judged.join(known, on="impression_id", how="left", maintain_order="left")["probability"].to_numpy()
        labels = judged["label"].to_numpy().astype(np.float32)
        return cls(config, days, judged_days, labels, judged["user_id"].to_numpy(), truth)

    def run(self, foundation: FoundationSettings, *, seed: int, what: str) -> Judged:
        """Trains a fresh model over the log.

        Args:
            foundation: architecture, sizes and training.
            seed: of the weights.
            what: for the progress line.
        """
        runtime = {"seed": seed, "torch_threads": 1}
        config = self.config.changed(foundation_model=foundation, runtime=runtime)
        days = self._days(config)
        scored: list[Scored] = []
        rows_scored: list[int] = []
        learnt: list[Learnt] = []
        with foundation_trainer(config, source_schema(config)) as trainer:
            parameters, flops = dense_size(trainer.module, next(batch.batch for day in days for batch in day))
            before = time.perf_counter()
            for number, examples in enumerate(days):
                if number >= len(days) - self.judged_days:
                    scored += trainer.score(examples, f"{what}: score day {number + 1}")
                    rows_scored.append(sum(batch.size for batch in examples))
                learnt.append(_learn(trainer, examples, f"{what}: day {number + 1} of {len(days)}"))
            seconds = time.perf_counter() - before
        probabilities = np.concatenate([batch.probabilities for batch in scored])
        labels = np.concatenate([batch.keys["label"].to_numpy() for batch in scored])
        if not np.array_equal(labels, self.labels):
            raise RuntimeError("the judged rows are in another order than their labels: remove the work folder")
        figures = evaluate(self.labels, probabilities, users=self.users).as_dict()
        sizes = {"dense_parameters": parameters, "flops_per_example": flops, "seconds": round(seconds, 1)}
        rows_learnt = sum(one.rows for one in learnt)
        course = {"rows_learnt": rows_learnt, "curve": [progressive_ne([one]) for one in learnt]}
        days_of = np.repeat(np.arange(len(rows_scored)), rows_scored)
        return Judged(figures | sizes | course, probabilities, days_of, learnt)

    def _days(self, config: PlatformConfig) -> list[list[Examples]]:
        sequence = reads_sequence(config.foundation_model)
        if sequence not in self._encoded:
            self._encoded[sequence] = [
                list(foundation_batches(config, day, start=start, end=end))
                for day in self.days
                for start, end in pairwise([*storage.date_starts(config, [day]), None])
            ]
        return self._encoded[sequence]


def _learn(trainer: FoundationTrainer, examples: list[Examples], what: str) -> Learnt:
    """Learns the batches of a date."""
    progress, judged = Progress(), list[float]()
    if trainer.average.decay:
        trainer.learn(examples, what, progress=progress, before_step=lambda batch: judged.append(trainer.judge(batch)))
    else:  # what learns is what scores
        trainer.learn(examples, what, progress=progress)
        judged.append(progress.loss)
    clicks = sum(float(pc.sum(batch.keys["label"]).as_py()) for batch in examples)
    return Learnt(sum(judged), sum(batch.size for batch in examples), clicks)


def _frame(table: pa.Table) -> pl.DataFrame:
    frame = pl.from_arrow(table)
    assert isinstance(frame, pl.DataFrame)
    return frame


def progressive_ne(dates: Sequence[Learnt]) -> float | None:
    """Computes the NE of some dates, each batch judged just before it is learnt; None where they have not both labels.

    It tells models apart better than what is judged at the end of a date (docs/results/judged_dates.md): there, the few
    last batches weigh as much as all before them.
    """
    rows, clicks = sum(one.rows for one in dates), sum(one.clicks for one in dates)
    if not 0 < clicks < rows:
        return None
    rate = clicks / rows
    return sum(one.loss for one in dates) / (rows * -(rate * np.log(rate) + (1 - rate) * np.log(1 - rate)))


def dense_size(module: FoundationModel, batch: FoundationBatch) -> tuple[int, int]:
    """Counts a model's dense parameters, and the floating-point operations of an example's forward pass in them.

    Tables, look-ups and the compressor of the codes are not counted; of the rest, matrix products are.

    Args:
        module: the model, its tables placed.
        batch: any examples.
    """
    ensemble = module.network
    device = next(module.compressor.parameters()).device
    batch = FoundationBatch(*(part.to(device) for part in batch))
    parameters, flops = 0, 0
    for member in ensemble.members if isinstance(ensemble, CETNet) else [ensemble]:
        assert isinstance(member, EmbeddedNetwork)
        with torch.no_grad():
            flops += forward_flops(member.network, member.embed(batch))
        parameters += sum(p.numel() for p in member.network.parameters())
    return parameters, flops


@torch.no_grad()
def forward_flops(network: nn.Module, batch: Any) -> int:
    """Counts floating-point operations of a forward pass's matrix products, of one example: 2 a multiplication."""
    with FlopCounterMode(display=False) as counter, sdpa_kernel(SDPBackend.MATH):  # the one whose parts are counted
        network(batch)
    return int(counter.get_total_flops()) // len(batch.dense)
