"""What a search with a supernet is asked and what it answers; a study then trains the best as ordinary trials."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from data.batches.foundation import Examples, FoundationFeatures
from search.choices import Value
from search.supernet.options import Options

TRAINED = 3.0  # forward passes that learning from an example costs: one forward, two back


@dataclass(frozen=True)
class Log:
    """What a search may learn from.

    Attributes:
        days: to learn from, the batches of each, in time order.
        validation: later batches.
        features: that they were encoded with, histories among them.
    """

    days: Sequence[Sequence[Examples]]
    validation: Sequence[Examples]
    features: FoundationFeatures

    @property
    def train(self) -> list[Examples]:
        """Returns the batches to learn from."""
        return [examples for day in self.days for examples in day]


@dataclass(frozen=True)
class Proposed:
    """A model.

    Attributes:
        params: valid and canonical.
        predicted: what it was ranked by, lower is better; only the order has a meaning.
    """

    params: dict[str, Value]
    predicted: float


@dataclass(frozen=True)
class Proposal:
    """An answer.

    Attributes:
        ranked: different models, the best first.
        compute: spent on it, FLOPs of all examples; a trained example counts `TRAINED` forward passes.
    """

    ranked: tuple[Proposed, ...]
    compute: float


class Proposer(Protocol):
    """Pure: the same options, log and seed have the same answer; global random generators are left as they were."""

    def __call__(self, options: Options, log: Log, *, count: int, seed: int) -> Proposal:
        """Proposes up to `count` models, all below the space's cap."""
        ...


def trained(flops: float, examples: int) -> float:
    """Returns what it costs to learn from so many examples, in FLOPs."""
    return TRAINED * flops * examples
