"""Histories of past impressions as of any instant: which impressions fill the slots, and what a slot says of one."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from data.point_in_time import DAY_US, Ints, Timeline
from models.vertical.network import History

HOUR_US = 3_600_000_000


@dataclass(frozen=True)
class Slots:
    """The newest impressions of Q users, each as of an instant; L slots, newest first."""

    positions: Tensor  # in the log, (Q, L), int64; -1 where a slot is empty
    ages: Tensor  # log(1 + hours) from the impression to the instant, (Q, L)

    def part(self, rows: slice | Tensor) -> "Slots":
        """Some of the users."""
        return Slots(self.positions[rows], self.ages[rows])


@dataclass(frozen=True)
class ImpressionLog:
    """N logged impressions, sorted by user, then time."""

    users: Ints  # number of each impression's user, ascending, (N,)
    micros: Ints  # its time, microseconds since 1970, (N,)
    labels: Tensor  # 0 or 1, (N,)
    ids: Tensor  # hashed ids, the item first, (N, A), int64

    def newest_before(self, users: Ints, instants: Ints, *, length: int, days: int, delay_us: int = 0) -> Slots:
        """Each user's newest impressions with instant − days ≤ time < instant − delay.

        Args:
            users: numbers as in `self.users`; one that is not there has no history, (Q,).
            instants: microseconds since 1970, (Q,).
            length: L.
            days: oldest impression used.
            delay_us: an impression is known this long after its time.
        """
        low, high = Timeline(self.users, self.micros).window(users, instants, reach_us=days * DAY_US, delay_us=delay_us)
        positions = high[:, None] - 1 - np.arange(length)
        empty = positions < low[:, None]
        positions[empty] = -1
        hours = (instants[:, None] - self.micros[positions]) / HOUR_US if len(self.micros) else np.zeros(empty.shape)
        ages = np.where(empty, 0.0, np.log1p(np.where(empty, 0.0, hours))).astype(np.float32)
        return Slots(torch.from_numpy(positions), torch.from_numpy(ages))

    def history(self, slots: Slots, codes: Tensor, item_codes: Tensor) -> History:
        """What the slots hold, as a vertical model reads it.

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
