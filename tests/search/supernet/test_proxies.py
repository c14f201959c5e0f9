import math

import numpy as np
import pytest
import torch
from torch.nn.functional import binary_cross_entropy_with_logits

from search.supernet.proxies import by_layer, fr_code, fr_exact, gradients, synflow, zico
from search.supernet.screen import Terms, sigeo, terms, warmed
from tests.search.supernet.networks import SMALL, inputs, log, options, supernet

OPTIONS = options(1, fixed=SMALL)
DEEP = OPTIONS.complete({"tokens_1": "attention", "pairs_1": "dot", "vector_1": "linear"})


def test_zico_is_its_closed_form():
    # Layer a: means 2 and 3, deviations 1 and 1, one that does not vary; layer b: mean 2, deviation 2.
    batches = [
        {"a": torch.tensor([1.0, -2.0, 5.0]), "b": torch.tensor([0.0])},
        {"a": torch.tensor([-3.0, 4.0, 5.0]), "b": torch.tensor([4.0])},
    ]
    assert zico(batches) == pytest.approx(math.log(2 + 3) + math.log(1))
    assert zico([{"a": torch.zeros(2)}] * 2) == 0  # a layer without gradients is left out


def test_two_layers_alike_count_twice():
    network = torch.nn.Sequential(torch.nn.Linear(3, 3), torch.nn.Linear(3, 3))
    layers = by_layer({name: torch.ones_like(p) for name, p in network.named_parameters()})
    assert list(layers) == ["0", "1"] and all(len(layer) == 12 for layer in layers.values())
    batches = [{"0": torch.tensor([1.0])}, {"0": torch.tensor([3.0])}]
    twice = [one | {"1": one["0"]} for one in batches]
    assert zico(twice) == pytest.approx(2 * zico(batches)) and zico(batches) > 0


@pytest.mark.parametrize("params", [DEEP, OPTIONS.complete({"tokens_1": "fmb", "pairs_1": "fm", "vector_1": "cross"})])
def test_the_fisher_rao_norm_is_its_loop_over_examples(params):
    network = supernet(OPTIONS).inherited(params)
    x, labels = inputs(6, history=False), torch.tensor([0.0, 1.0, 1.0, 0.0, 1.0, 0.0])
    squares = []
    for row in range(6):
        one = type(x)(*(part[row : row + 1] for part in x))
        loss = binary_cross_entropy_with_logits(network(one).logits, labels[row : row + 1])
        weights = list(network.parameters())
        slopes = torch.autograd.grad(loss, weights)
        squares.append(float(sum((s * w).sum() for s, w in zip(slopes, weights, strict=True))) ** 2)
    batches = [(type(x)(*(part[rows] for part in x)), labels[rows]) for rows in (slice(0, 3), slice(3, 6))]
    assert fr_exact(network, batches) == pytest.approx(math.log(np.mean(squares)), rel=1e-4)
    found = [gradients(network, batch)[0] for batch in batches]
    told = sum(float((g[name] * p).sum()) for g in found for name, p in network.named_parameters())
    assert fr_code(found, dict(network.named_parameters())) == pytest.approx(math.log(abs(told)), abs=1e-4)


def test_synflow_grows_with_the_network_and_leaves_it_as_it_was():
    net, x = supernet(OPTIONS), inputs(history=False)
    small = net.alone(OPTIONS.complete({"tokens_1": "none", "pairs_1": "none", "vector_1": "linear"}))
    large = net.alone(OPTIONS.complete({"tokens_1": "lcb+fmb", "pairs_1": "dot", "vector_1": "linear"}))
    before = [p.clone() for p in large.parameters()]
    assert synflow(large, x) > synflow(small, x)
    assert all(torch.equal(a, b) for a, b in zip(before, large.parameters(), strict=True))


def test_a_cold_score_leaves_the_loss_out_and_a_warm_one_counts_it():
    rng = np.random.default_rng(0)
    population = [Terms(*rng.normal(size=4)) for _ in range(20)]
    parts = {t: np.array([getattr(one, t) for one in population]) for t in Terms._fields}
    z = {name: (x - x.mean()) / x.std() for name, x in parts.items()}
    np.testing.assert_allclose(sigeo(population, warm=0.01), z["zico"] + z["fr_exact"])
    np.testing.assert_allclose(sigeo(population, warm=0.1), z["zico"] + z["fr_exact"] - z["loss"])


def test_scoring_changes_nothing_and_warming_takes_the_newest_share():
    of_log = log()
    cold, nothing = warmed(OPTIONS, of_log, 0.0, seed=0)
    assert nothing == 0
    before = {name: weight.clone() for name, weight in cold.state_dict().items()}
    first = terms(cold, DEEP, of_log.train[-2:])
    assert terms(cold, DEEP, of_log.train[-2:]) == first
    assert all(torch.equal(before[name], weight) for name, weight in cold.state_dict().items())
    _, half = warmed(OPTIONS, of_log, 0.5, seed=0)
    whole, everything = warmed(OPTIONS, of_log, 1.0, seed=0)
    assert 0 < half < everything
    assert terms(whole, DEEP, of_log.train[-2:]) != first
    newest = type(of_log)([of_log.train[3:]], of_log.validation, of_log.features)
    assert all(
        torch.equal(a, b)
        for a, b in zip(
            warmed(OPTIONS, of_log, 0.5, seed=0)[0].parameters(),
            warmed(OPTIONS, newest, 1.0, seed=0)[0].parameters(),
            strict=True,
        )
    )
