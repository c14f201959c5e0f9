"""Samplers that are given models, or a score."""

import numpy as np

from search.choices import Integer
from search.samplers.proposed import Proposed
from search.samplers.random import random_search
from search.samplers.screened import TIMES, Screened
from search.space import Space
from search.trial import Question, Trial

SPACE = Space((Integer("a", 0, 9), Integer("b", 0, 99)))


def question(*asked, count=2, remaining=5):
    trials = [Trial(n, params, "done", 0.9, None, 1.0) for n, params in enumerate(asked)]
    return Question(SPACE, trials, count=count, remaining=remaining, seed=0)


def test_what_was_proposed_is_asked_in_its_order_until_it_ends():
    models = [{"a": n, "b": n} for n in range(3)]
    proposed = Proposed(models)
    assert [ask.params for ask in proposed(question())] == models[:2]
    assert [ask.params for ask in proposed(question(models[0]))] == models[1:]
    assert proposed(question(*models)) == []


def test_a_screener_keeps_the_best_of_many_answers():
    wide = random_search(question(count=2 * TIMES, remaining=2 * TIMES))
    screened = Screened(random_search, lambda models: np.array([params["b"] for params in models]))
    best = sorted((ask.params["b"] for ask in wide), reverse=True)[:2]
    assert [ask.params["b"] for ask in screened(question())] == best
    assert screened(question()) == screened(question())
