from dataclasses import replace

import pytest
import torch
from torch.nn.functional import margin_ranking_loss, mse_loss

from search.ensemble import Ensemble, Fit, fitted, ranking_loss, standardized_ranks

NAN = float("nan")


def naive_ranking_loss(predicted, labels, margin):
    pairs = [(i, j) for i in range(len(labels)) for j in range(i) if labels[i] != labels[j]]
    first, second = torch.tensor(pairs).T
    sign = (labels[first] - labels[second]).sign()
    return margin_ranking_loss(predicted[first], predicted[second], sign, margin=margin)


def test_the_ranking_loss_is_that_of_torch_over_all_pairs():
    labels = torch.tensor([0.3, 0.1, 0.3, 0.7, 0.2])
    predicted = torch.randn(4, 5, generator=torch.Generator().manual_seed(0))
    expected = [naive_ranking_loss(of_net, labels, 0.3) for of_net in predicted]
    assert ranking_loss(predicted, labels, 0.3).tolist() == pytest.approx([float(x) for x in expected])
    assert ranking_loss(predicted, torch.zeros(5), 0.3).tolist() == [0.0] * 4


def test_nets_fitted_at_once_are_nets_fitted_alone():
    generator = torch.Generator().manual_seed(1)
    x, labels = torch.rand(20, 6, generator=generator), standardized_ranks(torch.rand(20, generator=generator))
    fit = Fit(nets=3, hidden=8, steps=30)
    together = fitted(x, labels[:, None], torch.zeros(20), fit, seed=5)
    initial = Ensemble.initial(6, 1, fit, torch.Generator().manual_seed(5))
    for n in range(3):
        net = torch.nn.Sequential(
            torch.nn.Linear(6, 8), torch.nn.ReLU(), torch.nn.Linear(8, 8), torch.nn.ReLU(), torch.nn.Linear(8, 2)
        )
        for parameter, weight in zip(net.parameters(), initial.weights, strict=True):
            parameter.data = weight[n].T.clone() if parameter.ndim == 2 else weight[n, 0].clone()
        adam = torch.optim.Adam(net.parameters(), fit.learning_rate, weight_decay=fit.weight_decay)
        for _ in range(fit.steps):
            predicted = net(x)[:, 0]
            loss = naive_ranking_loss(predicted, labels, fit.margin) + fit.squared * mse_loss(predicted, labels)
            adam.zero_grad()
            loss.backward()
            adam.step()
        torch.testing.assert_close(together.outputs(x)[n], net(x).detach(), rtol=1e-3, atol=1e-4)


def test_an_ensemble_learns_the_order_of_both_labels_and_what_fails():
    generator = torch.Generator().manual_seed(2)
    x = torch.rand(200, 4, generator=generator)
    objective, cost, failed = x[:, 0] - x[:, 1], x[:, 2].exp(), (x[:, 3] > 0.7).float()
    objective = objective.masked_fill(failed.bool(), NAN)
    labels = torch.stack([standardized_ranks(objective), standardized_ranks(cost)], 1)
    ensemble = fitted(x[:150], labels[:150], failed[:150], Fit(), seed=0)
    predicted = ensemble.predict(x[150:])
    truth = torch.stack([(x[:, 0] - x[:, 1])[150:], cost[150:]])
    correlation = [torch.corrcoef(torch.stack([predicted.heads[:, n], truth[n]]))[0, 1].item() for n in range(2)]
    assert min(correlation) > 0.9
    assert ((predicted.failure > 0.5) == failed[150:].bool()).float().mean() > 0.9


def test_the_seed_decides_the_nets_and_nothing_else_does():
    x, labels = torch.rand(10, 3), torch.rand(10, 1)
    few = replace(Fit(), steps=3, nets=2)
    before = torch.get_rng_state()
    one = fitted(x, labels, torch.zeros(10), few, seed=3).outputs(x)
    torch.manual_seed(99)
    assert torch.equal(one, fitted(x, labels, torch.zeros(10), few, seed=3).outputs(x))
    assert not torch.equal(one, fitted(x, labels, torch.zeros(10), few, seed=4).outputs(x))
    torch.set_rng_state(before)


def test_ranks_are_standardized_and_ties_share_theirs():
    ranks = standardized_ranks(torch.tensor([5.0, NAN, 900.0, 5.0, -1.0]))
    # ranks 1.5, 3, 1.5, 0: mean 1.5, standard deviation sqrt(4.5 / 4)
    assert ranks.nan_to_num(9).tolist() == pytest.approx([0, 9, 2**0.5, 0, -(2**0.5)])
    assert standardized_ranks(torch.tensor([2.0, 2.0])).tolist() == [0, 0]
