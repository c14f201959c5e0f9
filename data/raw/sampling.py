"""Which rows a sample takes of a file: stretches spread evenly over it, however long it is."""

from dataclasses import dataclass, field
from typing import NamedTuple

import polars as pl

STRETCH = 200  # rows; those beside each other show repeats, those far apart show the span
FEWEST, MOST = 16, 256  # stretches of a file that is not read whole
READ_PER_ROW = 100  # lines read of a text file for each row that may be kept of it, at most


class Read(NamedTuple):
    """Rows of a file, its columns, and how many rows it has."""

    rows: pl.DataFrame
    names: list[str]
    total: int
    whole: bool = True  # False: it goes on behind `total`


def stretches_of(sample: int) -> int:
    """Returns how many stretches a sample of so many rows of a file has at most."""
    return min(MOST, max(FEWEST, sample // STRETCH))


@dataclass
class Stretches:
    """Keeps up to so many frames, at even distances: where there are more, every other one goes."""

    most: int
    kept: list[pl.DataFrame] = field(default_factory=list)
    _distance: int = 1
    _offered: int = 0

    def wants_next(self) -> bool:
        """Says whether the next frame is to be kept, and counts it."""
        self._offered += 1
        return (self._offered - 1) % self._distance == 0

    def keep(self, frame: pl.DataFrame) -> None:
        """Keeps a frame."""
        self.kept.append(frame)
        if len(self.kept) > self.most:
            self.kept = self.kept[::2]
            self._distance *= 2


def slices(total: int, rows: int) -> list[tuple[int, int]]:
    """Returns offset and length of evenly spread stretches with up to `rows` of `total` rows; all, where they fit."""
    if total <= rows:
        return [(0, total)]
    length = max(rows // stretches_of(rows), 1)
    count = max(rows // length, 1)
    return [((total - length) * n // max(count - 1, 1), length) for n in range(count)]
