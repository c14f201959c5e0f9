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

DAY = timedelta(days=1)
DAY_US = DAY // timedelta(microseconds=1)


@dataclass(frozen=True)
class Replay:
    """Which stretch of a log's time each of D platform days is."""

    origin: datetime  # start of the first platform day
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
        days = (source.last_day - source.first_day) // DAY + 1
        ordered = np.sort(times)
        starts = ordered[np.arange(days) * len(ordered) // days] if len(ordered) else ordered
        bounds = np.unique(np.append(starts, ordered[-1:] + 1))
        if len(bounds) != days + 1:
            raise ValueError(
                f"sources.{config.data_source}: {len(ordered)} impressions at {len(np.unique(ordered))} instants "
                f"cannot be cut into {days} platform days of equal size; move last_day"
            )
        return cls(storage.day_window(config, source.bootstrap_day)[0], bounds)

    def window(self, config: PlatformConfig, day: date) -> tuple[int, int]:
        """Returns the log times [start, end) of a platform day; the bootstrap day holds `bootstrap_days` stretches."""
        start, end = storage.day_window(config, day)
        return int(self.bounds[(start - self.origin) // DAY]), int(self.bounds[(end - self.origin) // DAY])

    def instants(self, times: pl.Series) -> pl.Series:
        """Computes when the impressions of log times happen in the replay, UTC."""
        days = np.arange(len(self.bounds)) * DAY_US
        micros = np.interp(times.to_numpy(), self.bounds, days).astype(np.int64)
        return (self.origin + pl.Series(micros).cast(pl.Duration("us"))).alias("event_timestamp")
