"""Encoded items, kept for a short time: an ads server asks about the same candidates again and again."""

import random
import time
from collections.abc import Callable
from itertools import islice

import torch

from models.vertical.batch import Items

TTL_S = 60.0  # after a new snapshot is materialised, once a day, an item's old features are used no longer than this
CAPACITY = 100_000  # items; about 250 bytes each
Read = Callable[[list[str | None]], Items]


class ItemCache:
    """What a model makes of the online features of items; for one thread, and one model."""

    def __init__(self, read: Read, *, clock: Callable[[], float] = time.monotonic) -> None:
        """Starts empty.

        Args:
            read: reads and encodes different items, in their order.
            clock: returns seconds.
        """
        self.read, self.clock = read, clock
        self.kept: Items | None = None  # CAPACITY rows
        self.expires: dict[str | None, float] = {}  # those read longest ago first
        self.rows: dict[str | None, int] = {}
        self.free = list(reversed(range(CAPACITY)))

    def items(self, ids: list[str | None]) -> Items:
        """Returns the items in their order, n; those that are not kept are read, in one call.

        Args:
            ids: n of them, at most CAPACITY different ones.
        """
        now = self.clock()
        due = [name for name in dict.fromkeys(ids) if self.expires.get(name, now) <= now]
        if due or self.kept is None:
            self._keep(due, self.read(due), now, wanted=set(ids))
        assert self.kept is not None
        return self.kept.take(torch.tensor([self.rows[name] for name in ids], dtype=torch.int64))

    def _keep(self, ids: list[str | None], items: Items, now: float, *, wanted: set[str | None]) -> None:
        if self.kept is None:
            self.kept = Items(*(values.new_zeros(CAPACITY, *values.shape[1:]) for values in items))
        for name in ids:
            self._drop(name)
        too_many = len(self.rows) + len(ids) - CAPACITY
        for name in list(islice((name for name in self.rows if name not in wanted), max(0, too_many))):
            self._drop(name)
        for name in ids:
            self.rows[name] = self.free.pop()
            # Not all at once: items that were read together would have to be read together again, while requests wait.
            self.expires[name] = now + TTL_S * random.uniform(0.5, 1)
        rows = torch.tensor([self.rows[name] for name in ids], dtype=torch.int64)
        for kept, values in zip(self.kept, items, strict=True):
            kept[rows] = values

    def _drop(self, name: str | None) -> None:
        if name in self.rows:
            self.free.append(self.rows.pop(name))
            del self.expires[name]
