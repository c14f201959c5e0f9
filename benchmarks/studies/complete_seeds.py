"""Which seeds of a study are complete: a stopped study reports those alone, so every method has the same runs."""

from collections import Counter
from collections.abc import Sequence
from typing import Protocol

from search.trials import Row, name_of

ENOUGH = 5  # complete seeds of a result that is kept


class Seeded(Protocol):
    """A run with a seed."""

    @property
    def seed(self) -> int:
        """Returns the seed."""
        ...

    @property
    def key(self) -> dict[str, object]:
        """Returns what names the run in the file of results."""
        ...


def complete_seeds(planned: Sequence[Seeded], rows: Sequence[Row]) -> tuple[list[Row], int]:
    """Returns the rows of the seeds of which every planned run is there, and how many such seeds there are.

    Rows come as planned, so what is drawn from them does not depend on when each was made.
    """
    seed_of = {name_of(run.key, run.key): run.seed for run in planned}
    of_run = {name: row for row in rows if (name := name_of(row, planned[0].key)) in seed_of}
    wanted, made = Counter(seed_of.values()), Counter(seed_of[name] for name in of_run)
    complete = {seed for seed, runs in wanted.items() if made[seed] == runs}
    return [of_run[name] for name, seed in seed_of.items() if seed in complete], len(complete)
