"""Samplers that ask a Gaussian process: what they make of trials that failed, run, or say nothing."""

import random
from dataclasses import replace
from math import nan

import numpy as np
import pytest
import torch
from botorch.exceptions.errors import ModelFittingError

from search.bayes.binoculars import Binoculars
from search.bayes.improvement import Improvement
from search.bayes.knowledge_gradient import KnowledgeGradient
from search.bayes.multi_step import MultiStep
from search.bayes.pareto import Pareto
from search.bayes.surrogate import Columns, Surrogate
from search.choices import Categorical, Integer, Real
from search.samplers.bayesian import Bayesian
from search.space import Space
from search.trial import FALLBACK, Question, Trial

LINE = Space((Real("x", 0, 1), Real("y", 1e-3, 1, log=True)))
MIXED = Space((Categorical("kind", ("a", "b", "c")), Integer("n", 0, 9), Real("rate", 0, 1)))
DECISIONS = (Improvement(), Binoculars(), MultiStep(), KnowledgeGradient(), Pareto())


class Capped(Space):
    def refusal(self, params):
        return "above the cap" if params["x"] > 0.5 else None


def trial(number, params, value=None, status="done", cost=None):
    return Trial(number, params, status, value, cost, 1.0)


def bowl(params):
    return (params["x"] - 0.3) ** 2 + (np.log10(params["y"]) + 1) ** 2


def tried(space=LINE, score=bowl, n=8, seed=0, cost=lambda params: None):
    rng = np.random.default_rng(seed)
    drawn = [space.sample(rng) for _ in range(n)]
    return [trial(k, params, float(score(params)), cost=cost(params)) for k, params in enumerate(drawn)]


def ask(decision, history, *, space=LINE, count=1, remaining=9, seed=0, first=0):
    return Bayesian(decision, first=first)(Question(space, history, count, remaining, seed))


@pytest.mark.parametrize("decision", DECISIONS, ids=lambda d: type(d).__name__)
def test_over_real_numbers_the_same_question_has_the_same_answer(decision):
    history = tried(cost=lambda params: params["x"] + 1)
    states = torch.get_rng_state(), np.random.get_state()[1].tolist(), random.getstate(), torch.get_num_threads()
    first = ask(decision, history, count=2)
    assert torch.equal(states[0], torch.get_rng_state()) and states[3] == torch.get_num_threads()
    assert states[1:3] == (np.random.get_state()[1].tolist(), random.getstate())
    torch.manual_seed(1)
    np.random.seed(1)
    with torch.no_grad():  # as a caller may have it
        assert ask(decision, history, count=2) == first
    assert all(FALLBACK not in one.tags and LINE.refusal(one.params) is None for one in first)
    assert len({LINE.key(one.params) for one in first}) == 2


def test_the_first_trials_fill_the_space_evenly():
    asks = Bayesian(Improvement(), first=16)(Question(LINE, [], 16, 20, 0))
    eighths = [{int(one.params["x"] * 8) for one in asks}, {int(LINE.encode(one.params)[1] * 8) for one in asks}]
    assert eighths == [set(range(8))] * 2 and all(not one.tags for one in asks)
    rest = Bayesian(Improvement(), first=16)(
        Question(LINE, [trial(n, a.params, 1.0) for n, a in enumerate(asks[:9])], 7, 9, 0)
    )
    assert rest == asks[9:]  # however they are asked for
    assert Bayesian(Improvement(), first=16)(Question(LINE, [], 16, 20, 1)) != asks


@pytest.mark.parametrize(("total", "first"), [(30, 10), (9, 5), (300, 41)])
def test_a_third_of_few_trials_at_most_comes_first(total, first):
    wide = Space(tuple(Integer(f"c{n}", 0, 9) for n in range(40)))
    assert Bayesian(Improvement())._first(Question(wide, [], 1, total, 0)) == first


def test_what_failed_counts_as_the_worst():
    history = tried()
    failed = [replace(history[0], status=status, objective=None) for status in ("failed", "diverged", "timed_out")]
    for one in failed:
        surrogate = Surrogate.fitted(LINE, [one, *history[1:]])
        targets = surrogate.model.train_targets
        assert len(targets) == len(history) and targets[0] == targets.min()
    assert ask(Improvement(), [failed[0], *history[1:]])[0].tags == frozenset()


def test_a_running_trial_is_believed_to_come_out_as_expected():
    history = tried()
    (alone,) = ask(Improvement(), history)
    running = [*history, trial(8, alone.params, status="running")]
    surrogate = Surrogate.fitted(LINE, running)
    at = Columns(LINE).of([alone.params])
    before = Surrogate.fitted(LINE, history)
    assert torch.allclose(surrogate.joint(at)[0], before.joint(at)[0], atol=1e-3)
    assert float(surrogate.log_improvement(at)) < float(before.log_improvement(at)) - 1
    (beside,) = ask(Improvement(), running)
    assert np.abs(LINE.encode(beside.params) - LINE.encode(alone.params)).max() > 0.01


def test_answers_to_one_question_are_as_if_those_before_were_running():
    history = tried()
    asks = ask(Improvement(), history, count=4)
    assert asks[:1] == ask(Improvement(), history)
    codes = np.array([LINE.encode(one.params) for one in asks])
    apart = np.abs(codes[:, None] - codes).max(-1)[np.triu_indices(4, 1)]
    assert apart.min() > 0.02


@pytest.mark.parametrize("space", [LINE, MIXED], ids=["real", "mixed"])
@pytest.mark.parametrize("decision", DECISIONS[:3], ids=lambda d: type(d).__name__)
def test_objectives_that_are_all_equal_are_no_hindrance(space, decision):
    asks = ask(decision, tried(space, lambda p: 1.0), space=space)
    assert len(asks) == 1 and not asks[0].tags


@pytest.mark.parametrize("decision", (MultiStep(4), Binoculars()), ids=["multi_step", "binoculars"])
@pytest.mark.parametrize(("space", "score"), [(LINE, bowl), (MIXED, lambda p: p["n"] + p["rate"])])
def test_the_last_trial_is_the_greedy_one(decision, space, score):
    history = tried(space, score)
    one = ask(decision, history, space=space, remaining=1)[0].params
    best = ask(Improvement(), history, space=space, remaining=1)[0].params
    assert np.allclose(space.encode(one), space.encode(best), atol=1e-3)


def test_a_process_without_hyperparameters_is_a_fallback(monkeypatch):
    def refuse(*args, **kwargs):
        raise ModelFittingError("no")

    monkeypatch.setattr("search.bayes.surrogate.fit_gpytorch_mll", refuse)
    asks = ask(Improvement(), tried(), count=2)
    assert [one.tags for one in asks] == [{FALLBACK}] * 2


def test_trials_without_an_objective_are_a_fallback():
    failed = [trial(n, t.params, status="failed") for n, t in enumerate(tried())]
    assert [one.tags for one in ask(MultiStep(), failed, count=2)] == [{FALLBACK}] * 2


def test_looking_ahead_for_too_long_is_a_tagged_fallback_to_the_greedy_decision():
    history = tried()
    (slow,) = ask(MultiStep(limit_s=1e-6), history)
    assert slow.tags == {FALLBACK}
    (greedy,) = ask(Improvement(), history)
    assert bowl(slow.params) == pytest.approx(bowl(greedy.params), abs=0.05)


def test_where_the_best_point_is_refused_another_one_is_asked():
    capped = Capped(LINE.choices)
    history = tried(capped, lambda p: -p["x"])
    (one,) = ask(Improvement(), history, space=capped)
    assert 0.4 < one.params["x"] <= 0.5 and not one.tags


def test_a_space_of_two_points_ends():
    two = Space((Categorical("a", ("x", "y")),))
    made = []
    for _ in range(3):
        made += [
            trial(len(made), a.params, 1.0 * len(made))
            for a in Bayesian(MultiStep(), first=0)(Question(two, made, 3, 9, 0))
        ]
    assert [t.params["a"] for t in made] in (["x", "y"], ["y", "x"])


def test_costs_that_nobody_knows_leave_the_objective_alone():
    history = tried()
    unknown = [replace(t, cost=cost) for t, cost in zip(history, (nan, None) * 4, strict=True)]
    assert ask(Pareto(), unknown) == ask(Improvement(), unknown)


def test_with_costs_cheap_points_are_worth_trying():
    """The objective is best at x = 1, where the cost is highest; x = 0 is as far on the front."""
    history = tried(score=lambda p: -p["x"], cost=lambda p: 10 ** (3 * p["x"]), n=6)
    history.append(trial(6, {"x": 1.0, "y": 0.1}, -1.0, cost=1000.0))
    history.append(trial(7, {"x": 0.9, "y": 0.1}, nan, "failed", cost=nan))  # its cost was never known
    (both,) = ask(Pareto(), history)
    (alone,) = ask(Improvement(), history)
    assert both.params["x"] < 0.5 < alone.params["x"]


def test_unordered_values_are_equal_or_not_and_ordered_ones_near_or_far():
    space = Space((Categorical("kind", ("a", "b", "c", "d")), Integer("n", 0, 9)))
    history = tried(space, lambda p: {"a": 0, "b": 3, "c": 0, "d": 3}[p["kind"]] + p["n"] / 9, n=30)
    surrogate = Surrogate.fitted(space, history)
    points = [{"kind": kind, "n": 5} for kind in "abcd"]
    assert Columns(space).of(points).tolist() == [[float(n), 5 / 9] for n in range(4)]
    mean = surrogate.joint(Columns(space).of(points))[0]
    assert float(mean[[0, 2]].min()) > float(mean[[1, 3]].max()) + 1  # higher is better
