"""Regularized evolution (Real et al. 2019, arXiv:1802.01548): the young reproduce, the old die whatever their merit."""

from dataclasses import dataclass

from search.choices import Value
from search.samplers.random import random_search
from search.samplers.unasked import Unasked
from search.trial import FALLBACK, Ask, Question, Trial

CHILDREN = 50  # of a parent, before it is said to have no new ones
MUTATIONS = 3  # at most, where every child with fewer was asked before


@dataclass(frozen=True)
class Evolution:
    """Mutates the best of a tournament among the newest trials; of 100 trials the first `population` are random.

    Attributes:
        population: newest finished trials that may become parents.
        tournament: of them, drawn for each child.
    """

    population: int = 20
    tournament: int = 10

    def __call__(self, question: Question) -> list[Ask]:
        """Draws params of a random generation, then children; a fallback where no parent has a new child."""
        if len(question.history) < self.population:
            return random_search(question)
        unasked, asks = Unasked(question), []
        done = [t for t in question.history if t.status == "done" and t.objective is not None]
        while unasked.missing:
            born = bool(done) and self._child(done[-self.population :], unasked)
            if not born and not unasked.take_random():
                break
            asks.append(Ask(unasked.answers[-1], frozenset() if born else frozenset({FALLBACK})))
        return asks

    def _child(self, population: list[Trial], unasked: Unasked) -> bool:
        """Makes an answer of a mutated parent."""
        rng = unasked.rng
        drawn = rng.choice(len(population), min(self.tournament, len(population)), replace=False)
        parent = min((population[n] for n in drawn), key=_objective)
        for mutations in range(1, MUTATIONS + 1):
            for _ in range(CHILDREN):
                child: dict[str, Value] = parent.params
                try:
                    for _ in range(mutations):
                        child = unasked.space.mutate(child, rng)
                except ValueError:  # no neighbor is valid
                    return False
                if unasked.take(child):
                    return True
        return False


def _objective(trial: Trial) -> float:
    assert trial.objective is not None
    return trial.objective
