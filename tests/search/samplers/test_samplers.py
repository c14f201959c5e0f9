"""What holds for every sampler; each entry of SAMPLERS is tested by being there."""

import random
from dataclasses import replace

import numpy as np
import pytest
import torch

from search.choices import Categorical, Integer, Real
from search.samplers import SAMPLERS
from search.samplers.evolution import Evolution
from search.samplers.predictor import Predictor
from search.samplers.tpe import REPEATED, TPE
from search.samplers.unasked import Unasked
from search.space import Space
from search.trial import FALLBACK, Question, Trial

SPACE = Space(
    (
        Categorical("kind", ("dcn", "dnn", "din")),
        Categorical("width", (8, 16, 32, 64), ordered=True),
        Integer("layers", 1, 6),
        Real("rate", 1e-4, 0.1, log=True),
    )
)


class Capped(Space):
    """FLOPs are width times layers, at most 100."""

    def cost(self, params):
        return float(params["width"] * params["layers"])

    def refusal(self, params):
        return "above the cap of FLOPs" if self.cost(params) > 100 else None


CAPPED = Capped(SPACE.choices)
CHAMPION_AT = {"champion": 0.1}  # what active_search must know
BAYESIAN = ("log_ei", "binoculars", "multi_step", "pareto", "latent")
SMALL = Space((Categorical("a", tuple("wxyz")), Integer("b", 0, 9)))


def objective(params):
    return {"dcn": 0.0, "dnn": 0.2, "din": 0.4}[params["kind"]] + abs(params["layers"] - 4) / 10 - params["width"] / 200


def trial(number, params, status="done", value=None, **more):
    return Trial(number, params, status, value, more.pop("cost", None), 1.0, **more)


def searched(sampler, space, score, *, trials, batch=1, seed=0, status=lambda params: "done"):
    """The history of a study that the sampler made."""
    history = []
    while len(history) < trials:
        count = min(batch, trials - len(history))
        asks = sampler(Question(space, tuple(history), count, trials - len(history), seed, CHAMPION_AT))
        if not asks:
            break
        for ask in asks:
            history.append(
                trial(
                    len(history),
                    ask.params,
                    status(ask.params),
                    score(ask.params),
                    cost=space.cost(ask.params),
                    tags=ask.tags,
                )
            )
    return history


@pytest.fixture(scope="module")
def history():
    rng = np.random.default_rng(0)
    made = []
    for number in range(36):
        params = SPACE.sample(rng)
        made.append(trial(number, params, value=objective(params)))
    made[3] = replace(made[3], status="failed", objective=None)
    made[4] = replace(made[4], status="diverged", objective=9.0)
    return [*made, *(trial(n, SPACE.sample(rng), "running") for n in range(36, 40))]


@pytest.mark.parametrize("name", SAMPLERS)
def test_the_same_question_has_the_same_answer(name, history):
    count = 2 if name in BAYESIAN else 5
    question = Question(SPACE, history, count, 60, seed=7, context=CHAMPION_AT)
    states = torch.get_rng_state(), np.random.get_state()[1].tolist(), random.getstate()
    first = SAMPLERS[name]()(question)
    assert torch.equal(states[0], torch.get_rng_state()) and states[2] == random.getstate()
    assert states[1] == np.random.get_state()[1].tolist()
    torch.manual_seed(1)
    np.random.seed(1)
    random.seed(1)
    assert SAMPLERS[name]()(question) == first
    assert len(first) == count and all(ask.params == SPACE.canonical(ask.params) for ask in first)
    others = [replace(question, seed=8)]
    if name != "active_search":  # to which one running trial says little
        others.append(replace(question, history=history[:-1]))
    assert all(SAMPLERS[name]()(other) != first for other in others)


@pytest.mark.parametrize("name", SAMPLERS)
def test_nothing_is_asked_twice_until_nothing_is_left(name):
    statuses = ("done", "done", "running", "failed", "timed_out")

    def status(params):
        return statuses[(ord(params["a"]) + params["b"]) % 5]

    made = searched(SAMPLERS[name](), SMALL, lambda p: p["b"] + (p["a"] == "x"), trials=99, batch=7, status=status)
    assert len({SMALL.key(t.params) for t in made}) == len(made) == SMALL.size()


@pytest.mark.parametrize("name", SAMPLERS)
def test_what_the_space_refuses_is_not_asked(name):
    trials, batch = (24, 8) if name in BAYESIAN else (45, 15)
    made = searched(SAMPLERS[name](), CAPPED, objective, trials=trials, batch=batch)
    assert len(made) == trials and all(CAPPED.cost(t.params) <= 100 for t in made)


@pytest.mark.parametrize("name", [name for name in SAMPLERS if name not in ("random", "active_search", "latent")])
def test_a_sampler_finds_more_than_random(name):
    toy = Space(tuple(Categorical(f"c{n}", tuple("abcd")) for n in range(8)))
    trials, batch = (60, 10) if name.startswith("predictor") else (32, 8) if name in BAYESIAN else (100, 1)

    def score(params):
        return -sum(params[f"c{n}"] == letter for n, letter in enumerate("abcdabcd"))

    def best(sampler, batch):
        seeds = range(1 if name in BAYESIAN else 2)
        return np.mean(
            [
                min(t.objective for t in searched(sampler, toy, score, trials=trials, batch=batch, seed=seed))
                for seed in seeds
            ]
        )

    assert best(SAMPLERS[name](), batch) <= best(SAMPLERS["random"](), trials) - 1.5


def test_the_first_trials_of_both_predictors_are_those_of_random():
    question = Question(SPACE, [], 30, 100, seed=3)
    assert (
        SAMPLERS["predictor"]()(question) == SAMPLERS["predictor_top_k"]()(question) == SAMPLERS["random"]()(question)
    )


def test_only_living_parents_have_children():
    """Old trials die whatever their merit; trials that failed or run never were parents."""
    toy = Space(tuple(Integer(f"c{n}", 0, 1000) for n in range(6)))
    at = [dict.fromkeys((f"c{n}" for n in range(6)), 100 * k) for k in range(10)]
    history = [trial(0, at[0], value=-9.0), trial(1, at[1], value=1.0), trial(2, at[2], value=0.5)]
    history += [trial(3, at[3], "diverged", -5.0), trial(4, at[4], "running")]
    asks = Evolution(population=2, tournament=2)(Question(toy, history, 20, 50, seed=0))
    assert all(sum(value == 200 for value in ask.params.values()) == 5 for ask in asks)


def test_a_parent_without_a_new_child_is_a_fallback():
    two = Space((Categorical("a", (0, 1)), Categorical("b", (0, 1))))
    history = [trial(n, {"a": 0, "b": n}, "failed") for n in range(2)]
    asks = Evolution(population=1)(Question(two, history, 2, 2, seed=0))
    assert [ask.tags for ask in asks] == [{FALLBACK}] * 2


def test_tpe_draws_at_random_where_it_repeats_itself_and_says_so(monkeypatch):
    everything = [trial(n, params, value=float(params["b"])) for n, params in enumerate(SMALL.everything())]
    question = Question(SMALL, everything[:-1], 1, 1, seed=0)
    (patient,) = TPE()(question)
    monkeypatch.setattr("search.samplers.tpe.ASKED_AGAIN", 1)
    (hasty,) = TPE()(question)
    assert patient.params == hasty.params == everything[-1].params
    assert REPEATED in patient.tags and hasty.tags == {REPEATED, FALLBACK}


def test_tpe_has_an_answer_of_its_own_without_a_tag():
    asks = TPE()(Question(SPACE, [], 5, 5, seed=0))
    assert [ask.tags for ask in asks] == [frozenset()] * 5


@pytest.mark.parametrize("name", ["predictor", "predictor_top_k"])
def test_a_predictor_of_too_few_trials_is_a_fallback(name, history):
    failed = [replace(t, status="failed", objective=None) for t in history]
    asks = SAMPLERS[name]()(Question(SPACE, failed, 4, 10, seed=0))
    assert [ask.tags for ask in asks] == [{FALLBACK}] * 4


@pytest.mark.parametrize("name", ["predictor", "predictor_top_k"])
def test_where_trials_failed_the_predictor_asks_less(name):
    rng = np.random.default_rng(1)
    drawn = [SPACE.sample(rng) for _ in range(60)]

    def made(failing):
        history = [
            trial(n, p, "failed") if failing and p["width"] == 64 else trial(n, p, value=objective(p))
            for n, p in enumerate(drawn)
        ]
        sampler = SAMPLERS[name](exploration=0.0)
        return sum(ask.params["width"] == 64 for ask in sampler(Question(SPACE, history, 10, 40, seed=0)))

    assert made(failing=False) > 5 and made(failing=True) == 0


@pytest.mark.parametrize("name", ["predictor", "predictor_top_k"])
def test_the_weight_of_the_cost_leads_to_the_cheapest(name):
    rng = np.random.default_rng(2)
    drawn = [CAPPED.sample(rng) for _ in range(60)]
    history = [trial(n, p, value=objective(p), cost=CAPPED.cost(p)) for n, p in enumerate(drawn)]

    def costs(weight):
        sampler = SAMPLERS[name](cost_weight=weight, exploration=0.0)
        return np.mean([CAPPED.cost(a.params) for a in sampler(Question(CAPPED, history, 8, 40, seed=0))])

    assert costs(1.0) <= 16 < costs(0.3) < costs(0.0)
    without = [replace(t, cost=None) for t in history]
    with pytest.raises(ValueError, match="no trial has a cost"):
        SAMPLERS[name](cost_weight=0.5)(Question(CAPPED, without, 8, 40, seed=0))


def test_trials_stopped_early_are_learnt_from_by_their_curves(history):
    """Without curves there are too few objectives; the curve's fall, not its last value, says which is better."""

    def early(t):
        end = objective(t.params)
        return replace(t, objective=None, curve=(end + 1.0, end + 0.9))  # ends .8 lower after eight more windows

    whole = replace(history[0], curve=tuple(objective(history[0].params) + 1 - n / 10 for n in range(11)))
    sampler = Predictor(SAMPLERS["predictor_top_k"]().candidates, exploration=0.0)
    early_history = [whole, *(early(t) if t.status == "done" else t for t in history[1:])]
    asks = sampler(Question(SPACE, early_history, 5, 40, seed=0))
    assert not any(FALLBACK in ask.tags for ask in asks)
    assert np.mean([objective(ask.params) for ask in asks]) < min(objective(t.params) for t in history) + 0.1


def test_one_answer_in_ten_is_random(history):
    sampler = SAMPLERS["predictor_top_k"]()
    greedy = SAMPLERS["predictor_top_k"](exploration=0.0)
    question = Question(SPACE, history, 10, 40, seed=0)
    asks, best = sampler(question), greedy(question)
    assert [a in best for a in asks].count(False) == 1 and asks[-1].tags == frozenset()


def test_answers_lie_apart_as_long_as_there_are_such():
    unasked = Unasked(Question(SMALL, [], 6, 6, seed=0))
    at = [("w", 0), ("w", 1), ("x", 1), ("w", 2), ("x", 0), ("y", 1)]
    unasked.take_first([{"a": a, "b": b} for a, b in at], 4, apart=2)
    # (x, 1) differs from (w, 0) in both; nothing else from both of them, so the first ones are next
    assert [tuple(one.values()) for one in unasked.answers] == [("w", 0), ("x", 1), ("w", 1), ("w", 2)]


@pytest.mark.parametrize("count", [0, 6])
def test_a_question_asks_for_what_remains_at_most(count):
    with pytest.raises(ValueError, match="1 to `remaining` = 5 trials, not"):
        Question(SPACE, [], count, 5, seed=0)


def test_a_trial_without_a_finite_objective_is_not_done():
    with pytest.raises(ValueError, match="Trial 3 is done with objective nan; say that it diverged"):
        trial(3, {}, value=float("nan"))
    assert trial(3, {}, "diverged", float("nan")).status == "diverged"


@pytest.mark.parametrize("total", [30, 100])
def test_a_predictor_is_asked_in_short_searches_too(total):
    sampler = SAMPLERS["predictor_top_k"]()
    history = searched(SAMPLERS["random"](), CAPPED, objective, trials=30)
    for made, drawn in ((9, True), (10, total == 100), (29, total == 100), (30, total > 100)):
        question = Question(CAPPED, tuple(history[:made]), 1, total - made + 1, 0)
        assert (sampler(question) == SAMPLERS["random"]()(question)) is drawn, made
