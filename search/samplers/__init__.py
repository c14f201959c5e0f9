"""What chooses the next trials; each is a pure function of a question."""

from collections.abc import Callable
from functools import partial
from typing import Any

from search.candidates import Many, Reinforce
from search.samplers.evolution import Evolution
from search.samplers.predictor import Predictor
from search.samplers.random import random_search
from search.samplers.tpe import TPE
from search.trial import Sampler


def _active() -> Sampler:
    """Imports FAISS where it is asked for."""
    from search.samplers.active import ActiveSearch

    return ActiveSearch()


def _bayesian(decision: str, *, first: int | None = None, **settings: Any) -> Sampler:
    """Imports BoTorch, which takes seconds, where it is asked for."""
    from search.bayes.decisions import DECISIONS
    from search.samplers.bayesian import Bayesian

    return Bayesian(DECISIONS[decision](**settings), first=first)


def _latent(**settings: Any) -> Sampler:
    """Imports BoTorch, too."""
    from search.samplers.latent import Latent

    return Latent(**settings)


ACTIVE = "active_search"
AT_ONCE = {"predictor": 10, "predictor_top_k": 10}  # trials asked for together, as in the paper; of the others, one
KEEPING = {"latent": "latent.safetensors"}  # the file of a search's folder in which a sampler keeps what it has learnt
SAMPLERS: dict[str, Callable[..., Sampler]] = {
    "random": lambda: random_search,
    "evolution": Evolution,
    "tpe": TPE,
    "predictor": lambda **settings: Predictor(Reinforce(), **settings),
    "predictor_top_k": lambda **settings: Predictor(Many(), **settings),
    "log_ei": partial(_bayesian, "log_ei"),
    "binoculars": partial(_bayesian, "binoculars"),
    "multi_step": partial(_bayesian, "multi_step"),
    "pareto": partial(_bayesian, "pareto"),
    "latent": _latent,
    ACTIVE: _active,
}
