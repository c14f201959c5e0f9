"""What chooses the next trials; each is a pure function of a question."""

from collections.abc import Callable

from search.candidates import Many, Reinforce
from search.samplers.evolution import Evolution
from search.samplers.predictor import Predictor
from search.samplers.random import random_search
from search.samplers.tpe import TPE
from search.trial import Sampler

AT_ONCE = {"predictor": 10, "predictor_top_k": 10}  # trials asked for together, as in the paper; of the others, one
SAMPLERS: dict[str, Callable[..., Sampler]] = {
    "random": lambda: random_search,
    "evolution": Evolution,
    "tpe": TPE,
    "predictor": lambda **settings: Predictor(Reinforce(), **settings),
    "predictor_top_k": lambda **settings: Predictor(Many(), **settings),
}
