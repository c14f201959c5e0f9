import logging

import numpy as np
import pytest
import torch
from torch.nn.functional import binary_cross_entropy_with_logits

from search.supernet import PROPOSERS
from search.supernet.dist_dnas import DistDNAS, agreement, module_costs, reduce
from search.supernet.dnas import DNAS, gumbel, likeliest
from search.supernet.gates import modules, of_choices, of_modules
from search.supernet.learner import inherited_loss
from search.supernet.mixture import mix
from search.supernet.one_shot import OneShot
from tests.search.supernet.networks import FEATURES, SMALL, Planted, inputs, log, options, supernet

SHORT = {"one_shot": {"scored": 8, "population": 4, "tournament": 2}, "screen": {"warm": 0.5, "scored": 6}}


@pytest.mark.parametrize("name", PROPOSERS)
def test_a_search_is_a_function_of_its_seed_and_honours_the_cap(name):
    of = options(1, cap=30_000, fixed={k: v for k, v in SMALL.items() if k != "history"})
    search = PROPOSERS[name](**SHORT.get(name, {}))
    with torch.random.fork_rng(devices=[]):
        first = search(of, log(), count=3, seed=5)
        torch.manual_seed(2)
        before = torch.get_rng_state()
        assert search(of, log(), count=3, seed=5) == first
        assert torch.equal(torch.get_rng_state(), before)
    assert 0 < len(first.ranked) <= 3 and first.compute > 0
    for proposed in first.ranked:
        assert of.space.refusal(proposed.params) is None
        assert of.space.canonical(proposed.params) == proposed.params
        assert all(proposed.params[choice] in of.allowed(choice) for choice in ("head", "tokens_out"))
    predicted = [proposed.predicted for proposed in first.ranked]
    assert predicted == sorted(predicted)


def test_one_shot_ranks_by_what_models_inherit():
    of = options(1, fixed=SMALL)
    search = OneShot(scored=12, population=8, rate=0.01)
    net, spent = search.learnt(of, log(), seed=0)
    proposal = search(of, log(), count=12, seed=0)
    assert len({of.space.key(proposed.params) for proposed in proposal.ranked}) == 12
    for proposed in proposal.ranked[:3]:
        assert inherited_loss(net, proposed.params, log().validation) == proposed.predicted
    rows = sum(of.space.cost(proposed.params) for proposed in proposal.ranked) * 2 * 64
    assert proposal.compute == pytest.approx(spent + rows)


def test_cost_alone_finds_the_cheapest_model():
    of = options(1)
    found = DNAS(cost_weight=1e4, passes=3, first=0, choice_rate=1.0)(of, log(), count=1, seed=0).ranked[0].params
    rng = np.random.default_rng(0)
    assert of.space.cost(found) <= min(of.space.cost(of.sample(rng)) for _ in range(300))


def test_a_cold_mixture_is_the_likeliest_model():
    of = options(2)
    net = supernet(of)
    generator = torch.Generator().manual_seed(0)
    # Far apart, as noise decides about what is close whatever the temperature.
    alphas = {n: 40.0 * torch.randperm(len(v), generator=generator) for n, v in of.searched.items()}
    params = likeliest(of, alphas, count=1, seed=0)[0].params
    x = inputs(history=True)
    mixed = mix(net.weights, x, of_choices(of, gumbel(alphas, 0.01, generator)))
    alone = net(x if params["history"] else inputs(history=False), params)
    torch.testing.assert_close(mixed.logits, alone, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("independent", [False, True])
def test_gradients_of_architecture_weights_are_finite_differences(independent):
    of = options(1, fixed=SMALL)
    net = supernet(of).double()
    x = inputs(history=False)
    x = x._replace(tokens=x.tokens.double(), dense=x.dense.double())
    labels = (torch.arange(8) % 2).double()
    names = modules(of) if independent else list(of.searched)
    torch.set_default_dtype(torch.double)
    try:
        alphas = {n: torch.zeros(() if independent else len(of.searched[n]), requires_grad=True) for n in names}

        def loss():
            if independent:
                gates = of_modules(of, {n: torch.sigmoid((alpha + 0.3) / 0.7) for n, alpha in alphas.items()})
            else:
                gates = of_choices(of, gumbel(alphas, 0.7, torch.Generator().manual_seed(0)))
            mixed = mix(net.weights, x, gates)
            return binary_cross_entropy_with_logits(mixed.logits, labels) + 1e-6 * mixed.flops

        slopes = torch.autograd.grad(loss(), list(alphas.values()))
        for alpha, slope in zip(alphas.values(), slopes, strict=True):
            for place in range(alpha.numel()):
                with torch.no_grad():
                    values = []
                    for step in (1e-5, -2e-5):
                        alpha.view(-1)[place] += step
                        values.append(loss())
                    alpha.view(-1)[place] += 1e-5
                measured = (values[0] - values[1]) / 2e-5
                assert float(slope.view(-1)[place]) == pytest.approx(float(measured), rel=1e-4, abs=1e-8)
    finally:
        torch.set_default_dtype(torch.float)


def test_operations_of_a_planted_truth_are_kept():
    of = options(1, fixed=SMALL | {"tokens_out": False, "raw_out": True})
    # A log of 14 000 rows tells less than a day of the paper's, so costs weigh more and rates are higher.
    search = DistDNAS(cost_weight=0.5, first=0.5, choice_rate=0.15, rate=0.01, embedding_rate=0.1)
    right = 0
    for seed in range(5):
        found, _ = search.search_day(of, Planted(seed).batches(110, size=128), FEATURES, seed=seed)
        dropped = max(found["attention_1"], found["cross_1"]) < 0.5
        right += max(found["fm_1"], found["dot_1"]) >= 0.5 and dropped
    assert right >= 4


def test_costs_of_operations_are_shares_of_what_they_cost():
    costs = module_costs(options(1, fixed=SMALL))
    assert sum(costs.values()) == pytest.approx(1)
    assert costs["gate_1"] > costs["linear_1"] > costs["fm_1"]


def test_days_are_reduced_to_what_they_agree_on(caplog):
    of = options(1, fixed=SMALL)
    day = dict.fromkeys(modules(of), 0.1)
    days = [day | {"fm_1": 0.9, "lcb_1": 0.8, "gate_1": 0.9}, day | {"fm_1": 0.4, "lcb_1": 0.9, "dot_1": 0.95}]
    params = reduce(of, days)
    assert (params["tokens_1"], params["pairs_1"], params["vector_1"]) == ("lcb", "fm", "gate")
    with caplog.at_level(logging.WARNING):
        alone = reduce(of, [None, days[1]])
    assert (alone["pairs_1"], alone["vector_1"]) == ("dot", "none")
    assert "1 of 2 days failed" in caplog.text
    with pytest.raises(ValueError, match="Every day"):
        reduce(of, [None, None])
    assert (
        reduce(of, [day | {"cross_1": 0.2}])["vector_1"] == "cross"
    )  # the likeliest, as nothing reaches the threshold
    both = reduce(of, [day | {"lcb_1": 0.6, "fmb_1": 0.7, "attention_1": 0.65}])
    assert both["tokens_1"] == "lcb+fmb"
    assert agreement(days[0], days[1]) == pytest.approx(1 - 3 / len(day))


def test_the_least_likely_operations_go_where_the_cap_refuses():
    free = options(1, fixed=SMALL)
    day = dict.fromkeys(modules(free), 0.1) | {"gate_1": 0.6, "dot_1": 0.9}
    whole = reduce(free, [day])
    assert (whole["pairs_1"], whole["vector_1"]) == ("dot", "gate")
    capped = options(1, fixed=SMALL, cap=free.space.cost(whole) - 1)
    params = reduce(capped, [day])
    assert (params["pairs_1"], params["vector_1"]) == ("dot", "none")
