"""Which of a day's impressions are learnt today and which are held out until tomorrow."""

from datetime import UTC, date, datetime, timedelta

import numpy as np

import storage
from config import PlatformConfig


def held_out_from(config: PlatformConfig, day: date) -> datetime:
    """The instant from which on a day's impressions are held out: its newest `eval_fraction`, by time.

    Models learn a day's impressions before this instant today, and the others tomorrow; all models are judged on
    the others. Impressions of one instant are never split.

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
