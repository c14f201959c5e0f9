"""The study's foundation models: one of each size and seed, and what each predicts for the days it had not learnt."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import torch
from torch import Tensor

from benchmarks.studies.transfer_study.log import StudyLog
from config import PlatformConfig
from data.batches.foundation import Examples, foundation_batches
from data.sources import source_schema
from models.layers.compressor import unsquashed
from training.foundation.trainer import FoundationTrainer, Progress, foundation_trainer

SIZES: dict[str, dict[str, Any]] = {
    "small": {"num_layers": 1, "num_fmb_tokens": 4, "num_lcb_tokens": 4, "rank": 8, "mlp": [64], "head": [64, 32]},
    "medium": {"num_layers": 2, "num_fmb_tokens": 8, "num_lcb_tokens": 8, "rank": 16, "mlp": [256, 128]},
    "large": {"num_layers": 3, "num_fmb_tokens": 16, "num_lcb_tokens": 16, "rank": 24, "mlp": [384, 256]},
}
EMBEDDING_DIM = {"small": 8, "medium": 32, "large": 64}
CODES = ("daily", "unaligned", "frozen")  # each day's snapshot, rotated to match the last; not rotated; that of the cut
AGES = (0, 1, 3)  # days between the end of a snapshot's learning and the day it scores


@dataclass(frozen=True)
class Teacher:
    """What an FM predicts for all N impressions of a log; NaN and zeros for those before `cut`."""

    frozen: Tensor  # probability of the FM that stopped learning at the cut, (N,)
    aged: dict[int, Tensor]  # probability of the FM that learns every day, scored this many days late, (N,)
    codes: dict[str, Tensor]  # by choice of the snapshot, see CODES, (N, d)
    drift: list[float]  # of a day's codes from those of the snapshot before, by day, see trainer.Drift
    drift_aligned: list[float]  # what is left of it once they are rotated

    def save(self, path: Path) -> None:
        """Writes one file, whole or not at all."""
        aside = path.with_suffix(".tmp")
        torch.save(self.__dict__, aside)
        aside.rename(path)

    @classmethod
    def load(cls, path: Path) -> "Teacher":
        """Reads what `save` wrote."""
        return cls(**torch.load(path, weights_only=True))


def teacher(config: PlatformConfig, day: date, log: StudyLog, *, size: str, seed: int, cut: int) -> Teacher:
    """Trains an FM on days 0 to cut - 1; then it scores each later day before it learns it.

    Args:
        config: of the log.
        day: whose partitions hold it.
        log: the same log.
        size: one of SIZES.
        seed: of the weights.
        cut: days the frozen FM has learnt.
    """
    foundation = config.foundation_model.changed(
        hyperparameters=SIZES[size], embedding_dim=EMBEDDING_DIM[size], codes={"prefixes": [8, 16]}
    )
    config = config.changed(foundation_model=foundation, runtime={"seed": seed, "torch_threads": 1})
    count, last = len(log.users), len(log.days) - 1
    unknown = torch.full((count,), torch.nan)
    result = Teacher(
        frozen=unknown.clone(),
        aged={age: unknown.clone() for age in AGES},
        codes={name: torch.zeros(count, foundation.codes.dim) for name in CODES},
        drift=[],
        drift_aligned=[],
    )
    with foundation_trainer(config, source_schema(config)) as trainer:
        for today in range(last):
            logged: _Scored | None = None
            for age in AGES:
                if cut <= today + age < last and (age == 0 or today >= 1):
                    scored = _score(config, day, log, trainer, today + age)
                    result.aged[age][scored.rows] = scored.probabilities
                    if age == 0:
                        logged = scored
                        result.codes["daily"][scored.rows] = scored.codes
                        back = trainer.module.compressor.rotation.T
                        result.codes["unaligned"][scored.rows] = torch.tanh(0.5 * unsquashed(scored.codes) @ back)
            if today == cut:
                for later in range(cut, last):
                    scored = _score(config, day, log, trainer, later)
                    result.frozen[scored.rows] = scored.probabilities
                    result.codes["frozen"][scored.rows] = scored.codes
            what = f"{size} FM, seed {seed}: day {today + 1} of {last}"
            trainer.learn(_batches(config, day, log, today), what, progress=Progress())
            if logged is not None:
                codes = logged.codes.numpy()
                drift = trainer.align(_batches(config, day, log, today), "align codes", ids=logged.ids, codes=codes)
                result.drift.append(drift.before)
                result.drift_aligned.append(drift.after)
    return result


@dataclass(frozen=True)
class _Scored:
    ids: pa.ChunkedArray  # of the impressions, (Q,)
    rows: Tensor  # their positions in the log, (Q,)
    probabilities: Tensor  # (Q,)
    codes: Tensor  # (Q, d)


def _score(config: PlatformConfig, day: date, log: StudyLog, trainer: FoundationTrainer, scored_day: int) -> _Scored:
    batches = list(trainer.score(_batches(config, day, log, scored_day), f"score day {scored_day + 1}"))
    rows = log.order[log.day_of[log.order] == scored_day]
    labels = np.concatenate([batch.keys["label"].to_numpy() for batch in batches])
    if not np.array_equal(labels, log.impressions.labels.numpy()[rows]):
        raise RuntimeError(f"day {scored_day} of the log is in another order than its examples: remove the work folder")
    probabilities, codes = (torch.from_numpy(np.concatenate([batch[n] for batch in batches])) for n in (1, 2))
    ids = pa.chunked_array([batch.keys["impression_id"] for batch in batches])
    return _Scored(ids, torch.from_numpy(rows), probabilities, codes)


def _batches(config: PlatformConfig, day: date, log: StudyLog, number: int) -> Iterator[Examples]:
    return foundation_batches(config, day, start=log.days[number], end=log.days[number + 1])
