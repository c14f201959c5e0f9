"""Scores of models that are not trained, by which a screener chooses among a sampler's answers."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from search.choices import Array
from search.shared_weights import WARM_SHARE, SharedWeights
from search.space import Params
from search.supernet.proxies import by_layer, gradients, synflow, zico
from search.supernet.screen import sigeo, terms
from search.supernet.supernet import Supernet


def score(shared: SharedWeights, screener: str, models: Sequence[Params]) -> Array:
    """Computes the scores of n models, (n,); higher is better.

    Every model is scored with the recipe and the embedding width of the shared weights. Where they judge, what they
    know stands in place of what they do not.

    Args:
        shared: of the search; what a screener needs has been learnt.
        screener: one of `SCREENERS`.
        models: of the search's space.
    """
    options = shared.options
    if screener == "sigeo":
        warm = shared.supernet()
        return sigeo([terms(warm, options.nearest(params), shared.scored) for params in models], warm=WARM_SHARE)
    chosen = [options.alike(params) for params in models]
    if screener == "flops":
        return np.array([options.space.cost(params) for params in chosen])
    supernet = Supernet(options, shared.features, seed=shared.study.settings.seed)
    return np.array([_of_shape(shared, supernet, screener, params) for params in chosen])


def _of_shape(shared: SharedWeights, supernet: Supernet, screener: str, params: dict[str, Any]) -> float:
    network = supernet.alone(params)
    if screener == "parameters":
        return float(sum(parameter.numel() for parameter in network.parameters()))
    embedded = [(supernet.embed(batch, params), batch.labels) for batch in shared.scored]
    if screener == "synflow":
        return synflow(network, embedded[0][0])
    detached = [(type(inputs)(*(x.detach() for x in inputs)), labels) for inputs, labels in embedded]
    return zico([by_layer(gradients(network, batch)[0]) for batch in detached])
