"""Which of a day's impressions are learnt on the day and which are held out from training until the next day."""

from datetime import UTC, date, datetime, timedelta

import numpy as np

import storage
from config import PlatformConfig

LEARNT_UNTIL = "learnt_until"  # in manifests of models: what the model has learnt ends here


def cut_day(config: PlatformConfig, day: date) -> datetime:
    """Returns the instant from which on a day's impressions are to be held out: its newest `eval_fraction`, by time.

    `train_foundation` alone asks, and records the answer with the day's snapshot: from then on `learnt_until` has it,
    whatever `eval_fraction` becomes later. Impressions of one instant are never split.

    Raises:
        ValueError: the day has too few distinct instants to hold anything out.
    """
    column = storage.read_partition(config, "examples", day, columns=["event_timestamp"])["event_timestamp"]
    micros = np.sort(column.cast("int64").to_numpy())
    if len(micros) < 2 or micros[0] == micros[-1]:
        raise ValueError(
            f"examples ds={day} has {len(micros)} impressions at {min(len(micros), 1)} instant(s): nothing can be "
            "held out for evaluation; check the events of the day"
        )
    cut = micros[int(len(micros) * (1 - config.foundation_model.eval_fraction))]
    cut = cut if cut > micros[0] else micros[micros > micros[0]][0]
    return datetime.fromtimestamp(0, UTC) + timedelta(microseconds=int(cut))


def learnt_until(config: PlatformConfig, table: str, day: date) -> datetime:
    """Returns the instant before which the model of a partition has learnt everything, and from which on nothing.

    Of `fm_snapshots` it is where the day's held-out impressions begin, for every model of the day.

    Args:
        config: the platform.
        table: fm_snapshots, candidates_V or baselines_V.
        day: of the partition.

    Raises:
        PartitionMissing: the day has no such model.
    """
    return datetime.fromisoformat(storage.read_manifest(config, table, day)["extra"][LEARNT_UNTIL])
