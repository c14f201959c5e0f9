"""What a model loses in each part of each day after those it learnt: cells of which NE is the average.

The log is the platform's generated one, of other days for each seed, landed by its own jobs; a foundation model learns
its first days and scores the later ones as it is, as `estimate_ne` does with a registered model.
"""

from dataclasses import dataclass
from datetime import timedelta
from functools import lru_cache
from itertools import pairwise
from pathlib import Path

import numpy as np
import numpy.typing as npt
import polars as pl
import pyarrow as pa

import storage
from benchmarks.studies.whole_log import whole_log
from config import ROOT, load_config
from data.batches.foundation import foundation_batches
from data.sources import source_schema
from jobs.estimate_ne import places
from quality.metrics import row_losses
from search.choices import Array
from training.foundation.trainer import Progress, foundation_trainer

PARTS = 8  # of a day


@dataclass(frozen=True)
class Log:
    """How much of a log is generated, learnt and scored.

    Attributes:
        work: folder that keeps it.
        learnt: days.
        scored: days after them.
        events: of a day.
    """

    work: Path
    learnt: int = 7
    scored: int = 21
    events: int = 6000


@dataclass(frozen=True)
class Cells:
    """Cells of an average.

    Attributes:
        x: where they lie, in [0, 1], (n, d).
        values: of them, (n,).
        weights: of them, (n,).
        variances: of the rows whose mean a value is, by as many as the weight says, (n,); None: it is of no rows.
    """

    x: Array
    values: Array
    weights: Array
    variances: Array | None = None


@lru_cache(maxsize=1)
def days_of_ne(log: Log, seed: int) -> dict[str, Cells]:
    """Trains a model and computes its NE in each part of each later day, by vertical.

    A part's NE is its mean log loss by the entropy of all parts' labels, so the average by rows is the NE of all rows.
    A part without rows weighs nothing.
    """
    days = log.learnt + log.scored
    first = load_config(ROOT / "platform.yaml").sources["synthetic"].first_day + timedelta(days=seed * days)
    last = first + timedelta(days=days - 1)
    work = log.work / str(seed)
    config, day = whole_log("synthetic", work, first_day=first, last_day=last, events_per_day=log.events)
    as_kept = {"optimizer": {"ema_decay": 0.0}}  # the runs that are kept have no average
    config = config.changed(runtime={"seed": seed, "torch_threads": 1}, foundation_model=as_kept)
    midnights = storage.midnights(config, storage.calendar_days(config, day))
    cut = midnights[log.learnt]
    with foundation_trainer(config, source_schema(config)) as trainer:
        trainer.learn(foundation_batches(config, day, end=cut), "learn", progress=Progress())
        scored = list(trainer.score(foundation_batches(config, day, start=cut), "score"))
    rows = pl.concat([_frame(batch.keys) for batch in scored])
    losses = row_losses(rows["label"].to_numpy(), np.concatenate([batch.probabilities for batch in scored]))
    starts = [
        start + (end - start) * part / PARTS
        for start, end in pairwise(midnights[log.learnt :])
        for part in range(PARTS)
    ]
    times = rows["event_timestamp"]
    part_of = np.searchsorted(pl.Series(starts, dtype=times.dtype).to_numpy(), times.to_numpy(), "right") - 1
    return {
        name: _cells(log, part_of[of], losses[of], rows["label"].to_numpy()[of])
        for name in config.verticals
        if (of := rows["vertical"].to_numpy() == name).any()
    }


def _cells(log: Log, part_of: npt.NDArray[np.int64], losses: Array, labels: npt.NDArray[np.floating]) -> Cells:
    count = log.scored * PARTS
    rows = np.bincount(part_of, minlength=count).astype(np.float64)
    means, squares = (np.bincount(part_of, of, minlength=count) / np.maximum(rows, 1) for of in (losses, losses**2))
    rate = float(labels.mean())
    entropy = -(rate * np.log(rate) + (1 - rate) * np.log(1 - rate))
    return Cells(places(log.scored, PARTS), means / entropy, rows, (squares - means**2) / entropy**2)


def _frame(batch: pa.RecordBatch) -> pl.DataFrame:
    frame = pl.from_arrow(batch)
    assert isinstance(frame, pl.DataFrame)
    return frame
