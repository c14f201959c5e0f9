"""One-shot search: a supernet learns by models drawn by chance, then models are ranked by what they inherit.

As NASRec and Rankitect (arXiv:2311.08430) rank, by regularised evolution (arXiv:1802.01548). Models are not tuned
before they are ranked.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from search.choices import Value
from search.supernet.learner import Learner, inherited_loss
from search.supernet.options import Options
from search.supernet.proposal import Log, Proposal, Proposed
from search.supernet.supernet import Supernet


@dataclass(frozen=True)
class OneShot:
    """The search.

    Attributes:
        passes: over the training examples.
        scored: models that are ranked.
        population: newest ones that may become parents; as many are drawn by chance at first.
        tournament: of them, drawn for each child.
        rate: of the dense weights.
        embedding_rate: of the table.
    """

    passes: int = 1
    scored: int = 200
    population: int = 50
    tournament: int = 15
    rate: float = 0.001
    embedding_rate: float = 0.05

    def __call__(self, options: Options, log: Log, *, count: int, seed: int) -> Proposal:
        """Proposes the models with the lowest inherited validation loss."""
        supernet, spent = self.learnt(options, log, seed=seed)
        found = evolved(
            options,
            lambda params: inherited_loss(supernet, params, log.validation),
            np.random.default_rng([seed, 1]),
            scored=self.scored,
            population=self.population,
            tournament=self.tournament,
        )
        rows = sum(examples.size for examples in log.validation)
        spent += sum(options.space.cost(proposed.params) * rows for proposed in found)
        return Proposal(tuple(sorted(found, key=lambda proposed: proposed.predicted)[:count]), spent)

    def learnt(self, options: Options, log: Log, *, seed: int) -> tuple[Supernet, float]:
        """Returns the supernet after its passes, and the FLOPs they took; see `__call__` for the arguments."""
        rng = np.random.default_rng([seed, 0])
        supernet = Supernet(options, log.features, seed=seed)
        learner = Learner(supernet, rate=self.rate, embedding_rate=self.embedding_rate)
        return supernet, sum(learner.sampled(log.train, rng) for _ in range(self.passes))


def evolved(
    options: Options,
    predict: Callable[[dict[str, Value]], float],
    rng: np.random.Generator,
    *,
    scored: int,
    population: int,
    tournament: int,
) -> list[Proposed]:
    """Returns different models in the order in which they were predicted, by regularised evolution.

    Args:
        options: the models.
        predict: gives what is to be low.
        rng: draws.
        scored: how many, at most.
        population: newest ones that may become parents; as many are drawn by chance at first.
        tournament: of them, drawn for each child.
    """
    found: dict[str, Proposed] = {}
    for _ in range(20 * scored):  # draws that give a known model do not count
        if len(found) == scored:
            break
        if len(found) < population:
            params = options.sample(rng)
        else:
            newest = list(found.values())[-population:]
            drawn = rng.choice(len(newest), min(tournament, len(newest)), replace=False)
            parent = min((newest[n] for n in drawn), key=lambda proposed: proposed.predicted)
            params = options.mutate(parent.params, rng)
        key = options.space.key(params)
        if key not in found:
            found[key] = Proposed(params, predict(params))
    return list(found.values())
