"""Models that something else has ranked, one after another."""

from collections.abc import Sequence
from dataclasses import dataclass

from search.samplers.unasked import Unasked
from search.space import Params
from search.trial import Ask, Question


@dataclass(frozen=True)
class Proposed:
    """Asks for what has not been asked of a list.

    Attributes:
        models: canonical params, the best first.
    """

    models: Sequence[Params]

    def __call__(self, question: Question) -> list[Ask]:
        """Answers with the next ones; with fewer than are wanted, or none, where the list ends."""
        unasked = Unasked(question)
        unasked.take_first(self.models, question.count)
        return [Ask(params) for params in unasked.answers]
