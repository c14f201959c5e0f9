"""Screening by SiGeo (arXiv:2311.13169): a supernet warmed on a small share of the log, scores from a few batches.

The version of the paper's text: every layer by its own name, all its parameters, and weights that stay while batches
are scored. Terms are standardised over the models that are compared, as their scales differ.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from data.batches.foundation import Examples
from models.architectures.architecture import Inputs
from search.choices import Array
from search.space import Params
from search.supernet.learner import Learner
from search.supernet.options import Options
from search.supernet.proposal import Log, Proposal, Proposed, trained
from search.supernet.proxies import by_layer, fr_code, fr_exact, gradients, zico
from search.supernet.supernet import Supernet

ZICO, FISHER_RAO = 1.0, 1.0  # λ1, λ2: the authors' own
LOSS = 1.0  # λ3 of a warm supernet
COLD = 0.1  # share of the log below which the loss says nothing, and its weight is 0
BATCHES = 4


class Terms(NamedTuple):
    """What SiGeo's score is made of; of all but the loss more is better."""

    zico: float
    fr_exact: float
    fr_code: float
    loss: float


@dataclass(frozen=True)
class Screen:
    """Ranks models drawn by chance.

    Attributes:
        warm: share of the training examples, the newest, that the supernet learns.
        scored: models that are ranked.
        rate: of the dense weights.
        embedding_rate: of the table.
    """

    warm: float = 0.1
    scored: int = 200
    rate: float = 0.001
    embedding_rate: float = 0.05

    def __call__(self, options: Options, log: Log, *, count: int, seed: int) -> Proposal:
        """Proposes those with the highest SiGeo score; `validation` is not used."""
        rng = np.random.default_rng([seed, 0])
        drawn = {options.space.key(params): params for params in (options.sample(rng) for _ in range(self.scored))}
        models = list(drawn.values())
        supernet, spent = warmed(options, log, self.warm, seed=seed, rate=self.rate, embedding_rate=self.embedding_rate)
        batches = log.train[-BATCHES:]
        scores = sigeo([terms(supernet, params, batches) for params in models], warm=self.warm)
        spent += sum(scoring(options, params, batches) for params in models)
        best = np.argsort(-scores, kind="stable")[:count]
        return Proposal(tuple(Proposed(models[n], -float(scores[n])) for n in best), spent)


def warmed(
    options: Options, log: Log, share: float, *, seed: int, rate: float = 0.001, embedding_rate: float = 0.05
) -> tuple[Supernet, float]:
    """Returns a supernet that learnt the newest share of the training examples, and the FLOPs spent.

    Args:
        options: the models.
        log: the examples.
        share: 0 to 1; 0: nothing is learnt.
        seed: of weights and models.
        rate: of the dense weights.
        embedding_rate: of the table.
    """
    supernet = Supernet(options, log.features, seed=seed)
    batches = log.train
    learnt = batches[len(batches) - round(share * len(batches)) :]
    learner = Learner(supernet, rate=rate, embedding_rate=embedding_rate)
    return supernet, learner.sampled(learnt, np.random.default_rng([seed, 1]))


def terms(supernet: Supernet, params: Params, batches: Sequence[Examples]) -> Terms:
    """Computes a model's terms with its part of the shared weights."""
    network = supernet.inherited(params)
    embedded = [(_detached(supernet.embed(examples, params)), examples.labels) for examples in batches]
    found = [gradients(network, batch) for batch in embedded]
    parameters = {name: parameter.detach() for name, parameter in network.named_parameters()}
    return Terms(
        zico([by_layer(gradient) for gradient, _ in found]),
        fr_exact(network, embedded),
        fr_code([gradient for gradient, _ in found], parameters),
        float(np.mean([loss for _, loss in found])),
    )


def scoring(options: Options, params: Params, batches: Sequence[Examples]) -> float:
    """Returns what `terms` costs: gradients, and a product in forward mode, which is about two passes."""
    rows = sum(examples.size for examples in batches)
    return trained(options.space.cost(params), rows) + 2 * options.space.cost(params) * rows


def sigeo(population: Sequence[Terms], *, warm: float) -> Array:
    """Computes the score of each of n models, (n,); higher is better.

    Args:
        population: their terms.
        warm: share of the log that the supernet has learnt.
    """

    def standard(of: Callable[[Terms], float]) -> Array:
        values = np.array([of(one) for one in population])
        return (values - values.mean()) / (values.std() or 1.0)

    loss = LOSS if warm >= COLD else 0.0
    return (
        ZICO * standard(lambda one: one.zico)
        + FISHER_RAO * standard(lambda one: one.fr_exact)
        - loss * standard(lambda one: one.loss)
    )


def _detached(inputs: Inputs) -> Inputs:
    return Inputs(*(x.detach() for x in inputs))
