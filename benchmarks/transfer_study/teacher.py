"""The study's foundation models: one of each size and seed, and what each says of the days it had not learnt."""

from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from benchmarks.transfer_study.log import StudyLog
from config import PlatformConfig
from data.foundation_batches import foundation_batches
from data.sources import source_schema
from training.foundation import FoundationTrainer, Progress, foundation_trainer

SIZES: dict[str, dict[str, Any]] = {
    "small": {"num_layers": 1, "num_fmb_tokens": 4, "num_lcb_tokens": 4, "rank": 8, "mlp": [64], "head": [64, 32]},
    "medium": {"num_layers": 2, "num_fmb_tokens": 8, "num_lcb_tokens": 8, "rank": 16, "mlp": [256, 128]},
    "large": {"num_layers": 3, "num_fmb_tokens": 16, "num_lcb_tokens": 16, "rank": 24, "mlp": [384, 256]},
}
EMBEDDING_DIM = {"small": 8, "medium": 32, "large": 64}
AGES = (0, 1, 3)  # days between the end of a snapshot's learning and the day it scores


@dataclass(frozen=True)
class Teacher:
    """What an FM says of all N impressions of a log; NaN and zeros for those before `cut`."""

    frozen: Tensor  # probability of the FM that stopped learning at the cut, (N,)
    aged: dict[int, Tensor]  # probability of the FM that learns every day, scored this many days late, (N,)
    codes: Tensor  # of the frozen FM, (N, d)
    daily_codes: Tensor  # of the snapshot that scored the day, (N, d)

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
    foundation = config.foundation_model.model_copy(
        update={"hyperparameters": SIZES[size], "embedding_dim": EMBEDDING_DIM[size], "code_prefixes": [8, 16]}
    )
    config = config.model_copy(
        update={
            "foundation_model": foundation,
            "runtime": config.runtime.model_copy(update={"seed": seed, "torch_threads": 1}),
        }
    )
    count, last = len(log.users), len(log.days) - 1
    unknown = torch.full((count,), torch.nan)
    result = Teacher(
        frozen=unknown.clone(),
        aged={age: unknown.clone() for age in AGES},
        codes=torch.zeros(count, foundation.code_dim),
        daily_codes=torch.zeros(count, foundation.code_dim),
    )
    with foundation_trainer(config, source_schema(config)) as trainer:
        for today in range(last):
            for age in AGES:
                if cut <= today + age < last and (age == 0 or today >= 1):
                    scored = _score(config, day, log, trainer, today + age)
                    result.aged[age][scored.rows] = scored.probabilities
                    if age == 0:
                        result.daily_codes[scored.rows] = scored.codes
            if today == cut:
                for later in range(cut, last):
                    scored = _score(config, day, log, trainer, later)
                    result.frozen[scored.rows] = scored.probabilities
                    result.codes[scored.rows] = scored.codes
            batches = foundation_batches(config, day, start=log.days[today], end=log.days[today + 1])
            trainer.learn(batches, f"{size} FM, seed {seed}: day {today + 1} of {last}", progress=Progress())
    return result


@dataclass(frozen=True)
class _Scored:
    rows: Tensor  # positions in the log, (Q,)
    probabilities: Tensor  # (Q,)
    codes: Tensor  # (Q, d)


def _score(config: PlatformConfig, day: date, log: StudyLog, trainer: FoundationTrainer, scored_day: int) -> _Scored:
    batches = foundation_batches(config, day, start=log.days[scored_day], end=log.days[scored_day + 1])
    parts = list(trainer.score(batches, f"score day {scored_day + 1}"))
    rows = log.order[log.day_of[log.order] == scored_day]
    labels = np.concatenate([part.keys["label"].to_numpy() for part in parts])
    if not np.array_equal(labels, log.impressions.labels.numpy()[rows]):
        raise RuntimeError(f"day {scored_day} of the log is in another order than its examples: remove the work folder")
    columns = ([part[n] for part in parts] for n in (1, 2))
    return _Scored(torch.from_numpy(rows), *(torch.from_numpy(np.concatenate(column)) for column in columns))
