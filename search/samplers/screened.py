"""A sampler of whose answers only those are tried that a score, known without training, likes best."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from search.choices import Array
from search.space import Params
from search.trial import Ask, Question, Sampler

TIMES = 10  # answers that are scored for each that is tried


@dataclass(frozen=True)
class Screened:
    """Asks the sampler for `TIMES` as many.

    Attributes:
        sampler: of the answers.
        score: of n models, (n,); higher is better.
    """

    sampler: Sampler
    score: Callable[[Sequence[Params]], Array]

    def __call__(self, question: Question) -> list[Ask]:
        """Answers with those that score best, the best first."""
        count = TIMES * question.count
        asks = self.sampler(replace(question, count=count, remaining=max(count, question.remaining)))
        if not asks:
            return []
        scores = self.score([ask.params for ask in asks])
        return [asks[n] for n in np.argsort(-scores, kind="stable")[: question.count]]
