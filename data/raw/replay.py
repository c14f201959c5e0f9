"""Replays a log in the order of its own times, as platform days that hold equal numbers of impressions.

For logs whose time does not fit platform days: a day and a half, or fifteen years that grow a hundredfold. A platform
day is a stretch of the log's time; inside it time runs evenly, only faster or slower than it did. Order is kept, and
impressions of one instant stay at one instant, so that none of them is in another's past.
"""

from dataclasses import dataclass
from datetime import date, datetime, timedelta

import numpy as np
import polars as pl
from numpy.typing import NDArray

import storage
from config import PlatformConfig

MICROSECOND = timedelta(microseconds=1)


@dataclass(frozen=True)
class Replay:
    """Which stretch of a log's time each of D platform days is."""

    origin: datetime  # start of the log's first day
    starts: NDArray[np.int64]  # microseconds from there to the start of each day, and to the end of the last, (D + 1,)
    bounds: NDArray[np.int64]  # log times at which each platform day starts, and the first after the last, (D + 1,)

    @classmethod
    def of(cls, config: PlatformConfig, times: NDArray[np.int64]) -> "Replay":
        """Cuts a log into the days from `first_day` to `last_day`.

        Args:
            config: names the days.
            times: of every impression, in any unit and order, (N,).

        Raises:
            ValueError: one instant has more impressions than a platform day would.
        """
        source = config.source
        days = (source.last_day - source.first_day).days + 1
        ordered = np.sort(times)
        starts = ordered[np.arange(days) * len(ordered) // days] if len(ordered) else ordered
        bounds = np.unique(np.append(starts, ordered[-1:] + 1))
        if len(bounds) != days + 1:
            raise ValueError(
                f"sources.{config.data_source}: {len(ordered)} impressions at {len(np.unique(ordered))} instants "
                f"cannot be cut into {days} platform days of equal size; move last_day"
            )
        midnights = storage.midnights(config, [source.first_day + timedelta(days=n) for n in range(days)])
        starts = np.array([(midnight - midnights[0]) // MICROSECOND for midnight in midnights])
        return cls(midnights[0], starts, bounds)

    def window(self, config: PlatformConfig, day: date) -> tuple[int, int]:
        """Returns the log times [start, end) of a platform day; the bootstrap day holds `bootstrap_days` stretches."""
        numbers = [(of_day - config.source.first_day).days for of_day in storage.calendar_days(config, day)]
        return int(self.bounds[numbers[0]]), int(self.bounds[numbers[-1] + 1])

    def instants(self, times: pl.Series) -> pl.Series:
        """Computes when the impressions of log times happen in the replay, UTC."""
        micros = np.interp(times.to_numpy(), self.bounds, self.starts).astype(np.int64)
        return (self.origin + pl.Series(micros).cast(pl.Duration("us"))).alias("event_timestamp")
