"""Histories of past impressions as of any instant: which impressions fill the slots, and what a slot holds."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from data.features.point_in_time import DAY_US, Ints, Timeline
from models.vertical.batch import History

HOUR_US = 3_600_000_000


@dataclass(frozen=True)
class Slots:
    """The newest impressions of Q users, each as of an instant; L slots, newest first."""

    positions: Tensor  # in the log, (Q, L), int64; -1 where a slot is empty
    ages: Tensor  # log(1 + hours) from the impression to the instant, (Q, L)

    def part(self, rows: slice | Tensor) -> "Slots":
        """Returns some of the users."""
        return Slots(self.positions[rows], self.ages[rows])


@dataclass(frozen=True)
class ImpressionLog:
    """N logged impressions, sorted by user, then time."""

    users: Ints  # number of each impression's user, ascending, (N,)
    micros: Ints  # its time, microseconds since 1970, (N,)
    labels: Tensor  # 0 or 1, (N,)
    ids: Tensor  # hashed ids, the item first, (N, A), int64

    def newest_before(
        self, users: Ints, instants: Ints, *, length: int, days: int, delay_us: int = 0, among: Ints | None = None
    ) -> Slots:
        """Finds each user's newest impressions with instant − days ≤ time < instant − delay.

        Args:
            users: numbers as in `self.users`; one that is not there, or below 0, has no history, (Q,).
            instants: microseconds since 1970, (Q,).
            length: L.
            days: oldest impression used.
            delay_us: an impression is known this long after its time.
            among: positions of the impressions that count, ascending; None: all.
        """
        kept = np.arange(len(self.users)) if among is None else among
        micros = self.micros[kept]
        timeline = Timeline(self.users[kept], micros)
        asked = np.maximum(users, -1)  # whatever nobody's number: a product with a very low one would overflow
        low, high = timeline.window(asked, instants, reach_us=days * DAY_US, delay_us=delay_us)
        positions = high[:, None] - 1 - np.arange(length)
        empty = positions < low[:, None]
        positions[empty] = -1
        hours = (instants[:, None] - np.append(micros, 0)[positions]) / HOUR_US
        ages = np.log1p(np.where(empty, 0.0, hours)).astype(np.float32)
        return Slots(torch.from_numpy(np.append(kept, -1)[positions]), torch.from_numpy(ages))

    def history(self, slots: Slots, codes: Tensor, item_codes: Tensor) -> History:
        """Returns what the slots hold, as a vertical model reads it.

        Args:
            slots: of Q users.
            codes: of the log's impressions, (N, d); d may be 0.
            item_codes: mean code of each user's candidate item, (Q, d).
        """
        mask = slots.positions >= 0
        at = slots.positions.clamp(min=0)
        return History(
            codes=codes[at] * mask.unsqueeze(-1),
            ids=self.ids[at] * mask.unsqueeze(-1),
            labels=self.labels[at] * mask,
            ages=slots.ages,
            mask=mask,
            item_code=item_codes,
        )


@dataclass(frozen=True)
class HistoryBuilder:
    """Builds what VMs are told of the past from one log, under one rule of what is known when.

    N: impressions of the log, Q: impressions asked about
    """

    log: ImpressionLog
    items: Ints  # number of each logged impression's item, (N,)
    length: int  # slots
    days: int  # oldest impression used, days
    delay_us: int = 0  # an impression is known this long after its time
    clicked: bool = False  # only clicked impressions fill slots
    since: int | None = None  # microseconds since 1970; impressions logged earlier do not count. None: all count

    def slots(self, users: Ints, instants: Ints) -> Slots:
        """Fills the slots of users, each as of an instant, both (Q,)."""
        counts = self._counts
        if self.clicked:
            counts = counts & (self.log.labels.numpy() == 1)
        return self.log.newest_before(
            users,
            instants,
            length=self.length,
            days=self.days,
            delay_us=self.delay_us,
            among=np.flatnonzero(counts),
        )

    def item_codes(self, codes: Tensor, asked: Ints, instants: Ints) -> Tensor:
        """Computes the mean code of items, each as of an instant, (Q, d).

        Args:
            codes: of the log's impressions, (N, d).
            asked: numbers of items, (Q,).
            instants: microseconds since 1970, few different ones, (Q,).
        """
        counted = np.flatnonzero(self._counts)
        return item_means(
            self.items[counted],
            self.log.micros[counted],
            codes[torch.from_numpy(counted)],
            asked=asked,
            instants=instants,
            days=self.days,
            delay_us=self.delay_us,
        )

    @property
    def _counts(self) -> npt.NDArray[np.bool_]:
        if self.since is None:
            return np.ones(len(self.items), bool)
        return self.log.micros >= self.since


def item_means(
    items: Ints, micros: Ints, codes: Tensor, *, asked: Ints, instants: Ints, days: int, delay_us: int = 0
) -> Tensor:
    """Computes items' mean codes over instant − days ≤ time < instant − delay; zeros where there is no impression.

    Args:
        items: number of each logged impression's item, (N,).
        micros: its time, microseconds since 1970, (N,).
        codes: its code, (N, d).
        asked: numbers of items, (Q,).
        instants: microseconds since 1970, few different ones, (Q,).
        days: oldest impression used.
        delay_us: an impression is known this long after its time.

    Returns:
        (Q, d).
    """
    result = torch.zeros(len(asked), codes.shape[1])
    count = int(max(items.max(initial=-1), asked.max(initial=-1))) + 1
    for instant in np.unique(instants):
        counted = np.flatnonzero((micros >= instant - days * DAY_US) & (micros < instant - delay_us))
        counted_items = torch.from_numpy(items[counted])
        sums = torch.zeros(count, codes.shape[1]).index_add_(0, counted_items, codes[torch.from_numpy(counted)])
        means = sums / torch.bincount(counted_items, minlength=count).clamp(min=1).unsqueeze(1)
        rows = np.flatnonzero(instants == instant)
        result[torch.from_numpy(rows)] = means[torch.from_numpy(asked[rows])]
    return result
