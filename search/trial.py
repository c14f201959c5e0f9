"""What has been tried, and the question that a sampler answers: what should be tried next?"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import isfinite
from typing import Literal, Protocol

from search.choices import Value
from search.space import Space

Status = Literal["running", "done", "failed", "diverged", "timed_out"]
CHAMPION = "champion"  # of a context: the objective of the platform's own model
FALLBACK = "fallback"  # tag of what was drawn at random because the method had no answer of its own


@dataclass(frozen=True)
class Trial:
    """One training of one combination.

    Attributes:
        number: of the trial in its study, from 0.
        params: canonical params of the study's space.
        status: all but `running` count against the budget as made; none is ever asked again.
        objective: at the full budget, lower is better (NE); None where the trial has not reached it.
        cost: FLOPs of an example; None: not known.
        seconds: it took; None: not ended.
        curve: the objective at equal steps of data so far, one value a window.
        tags: of the ask.
    """

    number: int
    params: dict[str, Value]
    status: Status
    objective: float | None
    cost: float | None
    seconds: float | None
    curve: tuple[float, ...] = ()
    tags: frozenset[str] = frozenset()

    def __post_init__(self) -> None:
        if self.status == "done" and self.objective is not None and not isfinite(self.objective):
            raise ValueError(f"Trial {self.number} is done with objective {self.objective}; say that it diverged")


@dataclass(frozen=True)
class Question:
    """All that a sampler may know.

    Attributes:
        space: to choose from.
        history: trials in the order in which they were asked, running ones among them.
        count: how many to answer with.
        remaining: how many may still be asked before the study ends, these included.
        seed: of the study.
        context: what else holds for this study, such as its vertical.
    """

    space: Space
    history: Sequence[Trial]
    count: int
    remaining: int
    seed: int
    context: Mapping[str, Value] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not 0 < self.count <= self.remaining:
            raise ValueError(f"A question must ask for 1 to `remaining` = {self.remaining} trials, not {self.count}")


@dataclass(frozen=True)
class Ask:
    """An answer: params to try.

    Attributes:
        params: valid and canonical.
        tags: what should be known of it later, such as `FALLBACK`.
    """

    params: dict[str, Value]
    tags: frozenset[str] = frozenset()


class Sampler(Protocol):
    """A pure function: the same question has the same answer, in any process, whatever was asked before.

    So a study that was killed goes on as it would have. Random numbers come from `[seed, len(history)]`; the global
    generators of torch and numpy are left as they were.
    """

    def __call__(self, question: Question) -> list[Ask]:
        """Chooses up to `count` distinct params, none of which is in the history; fewer where no more are left."""
        ...
