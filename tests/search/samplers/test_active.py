"""The sampler that looks for winners: what it takes for one, and that it finds more of them than chance."""

from dataclasses import replace

import pytest

from search.choices import Categorical
from search.samplers.active import ActiveSearch
from search.samplers.random import random_search
from search.space import Space
from search.trial import CHAMPION, FALLBACK, Question, Trial

SPACE = Space(tuple(Categorical(f"c{n}", tuple("abc")) for n in range(7)))
BEST = "abcabca"


def ne(params):
    return 1 - sum(params[f"c{n}"] == letter for n, letter in enumerate(BEST)) / 10


def made(sampler, trials, champion, seed=0):
    history = []
    while len(history) < trials:
        question = Question(SPACE, tuple(history), 1, trials - len(history), seed, {CHAMPION: champion})
        (ask,) = sampler(question)
        assert FALLBACK not in ask.tags
        history.append(Trial(len(history), ask.params, "done", ne(ask.params), None, 1.0))
    return history


def test_more_winners_are_found_than_by_chance():
    winners = [sum(t.objective < 0.55 for t in made(sampler, 60, 0.55)) for sampler in (ActiveSearch(), random_search)]
    assert winners[0] > 2 * winners[1] > 0


def test_only_what_is_below_the_champion_wins():
    """A near neighbor of a winner is asked next, one of a failed, running or equal trial is not."""
    params = {f"c{n}": "a" for n in range(7)}
    of = Question(SPACE, [Trial(0, params, "done", 0.5, None, 1.0)], 1, 1, 0, {CHAMPION: 0.6})

    def differing(question):
        (ask,) = ActiveSearch()(question)
        return sum(ask.params[name] != value for name, value in params.items())

    assert differing(of) == 1
    for status, objective in (("done", 0.6), ("failed", None), ("running", None)):
        assert differing(replace(of, history=[replace(of.history[0], status=status, objective=objective)])) > 1


def test_a_trial_outside_the_pool_tells_of_its_neighbors():
    sampler = ActiveSearch(drawn=300)
    (first,) = sampler(Question(SPACE, [], 1, 1, 0, {CHAMPION: 0.5}))
    tried = [Trial(0, {f"c{n}": letter for n, letter in enumerate(BEST)}, "done", 0.3, None, 1.0)]
    (second,) = sampler(Question(SPACE, tried, 1, 1, 0, {CHAMPION: 0.5}))
    assert ne(second.params) < 0.65 < ne(first.params)


def test_it_must_know_what_to_be_better_than():
    with pytest.raises(ValueError, match="its question has no 'champion'"):
        ActiveSearch()(Question(SPACE, [], 1, 1, 0))
