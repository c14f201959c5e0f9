"""What a sampler may still ask: nothing that is in the history, and nothing twice."""

from collections.abc import Sequence

import numpy as np

from search.choices import Value
from search.space import Params
from search.trial import Question

TRIES = 200


class Unasked:
    """The part of a space that is neither in the history nor among the answers so far.

    Attributes:
        rng: the question's random numbers.
        answers: what was taken.
    """

    def __init__(self, question: Question) -> None:
        self.question, self.space = question, question.space
        self.rng = np.random.default_rng([question.seed, len(question.history)])
        self.answers: list[dict[str, Value]] = []
        self._asked = {self.space.key(trial.params) for trial in question.history}

    def __contains__(self, params: Params) -> bool:
        return self.space.key(params) not in self._asked

    @property
    def missing(self) -> int:
        """How many answers are still wanted."""
        return self.question.count - len(self.answers)

    def take(self, params: Params) -> bool:
        """Makes valid params an answer, unless they were asked before."""
        params = self.space.canonical(params)
        key = self.space.key(params)
        if key in self._asked:
            return False
        self._asked.add(key)
        self.answers.append(params)
        return True

    def take_random(self) -> bool:
        """Makes an answer of params drawn at random; False where a finite space has none left.

        Raises:
            ValueError: the space holds nothing valid, or so little that drawing cannot find what is left.
        """
        if any(self.take(self.space.sample(self.rng)) for _ in range(TRIES)):
            return True
        if self.space.catalogue is None:
            raise ValueError(f"{TRIES} draws of valid params had all been asked before; the space is too small")
        left = [params for params in self.space.catalogue[0] if params in self]
        return bool(left) and self.take(left[self.rng.integers(len(left))])

    def take_first(self, params: Sequence[Params], count: int, *, apart: int = 1) -> None:
        """Makes answers of the first so many that were not asked before.

        Args:
            params: canonical ones, the best first.
            count: of answers, fewer where no more are wanted or left.
            apart: choices by which answers differ from each other, as long as there are such.
        """
        wanted = len(self.answers) + min(count, self.missing)
        for least in (apart, 1) if apart > 1 else (1,):
            for one in params:
                if len(self.answers) >= wanted:
                    return
                if all(_distance(one, other) >= least for other in self.answers):
                    self.take(one)


def _distance(one: Params, other: Params) -> int:
    """Counts the choices that differ."""
    return sum(value != other[name] for name, value in one.items())
