"""Random search: distinct valid params, each choice uniform."""

from search.samplers.unasked import Unasked
from search.trial import Ask, Question


def random_search(question: Question) -> list[Ask]:
    """Draws params that were not asked before."""
    unasked = Unasked(question)
    while unasked.missing and unasked.take_random():
        pass
    return [Ask(params) for params in unasked.answers]
