"""Values of decisions against closed forms, and against nested sums over what might be observed."""

import numpy as np
import pytest
import torch
from botorch.models import SingleTaskGP
from gpytorch.kernels import MaternKernel
from scipy.stats import norm

from search.bayes.binoculars import Binoculars
from search.bayes.finite import batch, hermite, improvement, knowledge, lookahead
from search.bayes.improvement import Improvement
from search.bayes.multi_step import MultiStep
from search.bayes.surrogate import Surrogate
from search.bayes.tree import points_of_tree, tree

WIDE = (999, 999, 999)


def surrogate(seed=0, n=5, d=1, noise=1e-3):
    generator = torch.Generator().manual_seed(seed)
    x = torch.rand(n, d, generator=generator, dtype=torch.float64)
    y = torch.randn(n, 1, generator=generator, dtype=torch.float64)
    kernel = MaternKernel(nu=2.5, ard_num_dims=d).double()
    kernel.lengthscale = 0.2
    model = SingleTaskGP(x, y, covar_module=kernel, outcome_transform=None)
    model.likelihood.noise = noise
    return Surrogate(model.eval(), [])


def conditioned(mean, cov, noise, at, y):
    """What is believed after one observation, by the textbook formulas."""
    weight = cov[:, at] / (cov[at, at] + noise)
    return mean + weight * (y - mean[at]), cov - np.outer(weight, cov[at])


def expected_improvement(mean, cov, best):
    s = np.sqrt(np.clip(np.diag(cov), 1e-12, None))
    u = (mean - best) / s
    return s * (norm.pdf(u) + u * norm.cdf(u))


def brute_force(mean, cov, noise, best, steps, places, weights):
    """v_k of every point, one after another."""
    value = expected_improvement(mean, cov, best)
    if steps > 1:
        for x in range(len(mean)):
            for z, weight in zip(places, weights, strict=True):
                y = mean[x] + np.sqrt(cov[x, x] + noise) * z
                after = conditioned(mean, cov, noise, x, y)
                value[x] += weight * brute_force(*after, noise, max(best, y), steps - 1, places, weights).max()
    return value


@pytest.fixture(scope="module")
def believed():
    of = surrogate()
    mean, cov = of.joint(torch.linspace(0, 1, 7, dtype=torch.float64).unsqueeze(1))
    return of, mean, cov, torch.tensor(of.best, dtype=torch.float64)


def test_the_nodes_integrate_moments_of_the_normal_exactly():
    z, weights = hermite(5)
    moments = [float((z**k * weights).sum()) for k in (0, 1, 2, 4, 6, 8)]
    assert np.allclose(moments, [1, 0, 1, 3, 15, 105])


def test_expected_improvement_is_the_closed_form():
    # u = -1: φ = .241971, Φ = .158655; 2 (.241971 - .158655) = .166632
    found = improvement(torch.tensor([1.0], dtype=torch.float64), torch.tensor([2.0]), torch.tensor(3.0))
    assert float(found) == pytest.approx(0.166631, abs=1e-5)


@pytest.mark.parametrize("steps", [2, 3, 4])
def test_the_value_of_looking_ahead_is_the_nested_sum(believed, steps):
    of, mean, cov, best = believed
    z, weights = (t.numpy() for t in hermite(3))
    places, values, levels = lookahead(mean, cov, of.noise, best, nodes=(3,) * (steps - 1), width=WIDE)
    found = np.empty(len(mean))
    found[places.numpy()] = values.numpy()
    expected = brute_force(mean.numpy(), cov.numpy(), of.noise, float(best), steps, z, weights)
    assert np.allclose(found, expected, atol=1e-9)
    assert [tuple(level.shape) for level in levels] == [(7, *[3] * n) for n in range(1, steps)]


def test_two_steps_are_what_many_draws_of_the_next_outcome_say(believed):
    of, mean, cov, best = believed
    places, values, _ = lookahead(mean, cov, of.noise, best, nodes=(64,), width=WIDE)
    x = int(places[0])
    drawn = np.random.default_rng(0).standard_normal(20_000)
    y = float(mean[x]) + np.sqrt(float(cov[x, x]) + of.noise) * drawn
    weight = (cov[x] / (cov[x, x] + of.noise)).numpy()
    means = mean.numpy() + np.outer(y - float(mean[x]), weight)
    after = conditioned(mean.numpy(), cov.numpy(), of.noise, x, 0.0)[1]
    s = np.sqrt(np.clip(np.diag(after), 1e-12, None))
    u = (means - np.maximum(y, float(best))[:, None]) / s
    then = (s * (norm.pdf(u) + u * norm.cdf(u))).max(1)
    now = expected_improvement(mean.numpy(), cov.numpy(), float(best))[x]
    assert float(values[0]) == pytest.approx(now + then.mean(), abs=1e-3)


@pytest.mark.parametrize("steps", [2, 3])
def test_botorchs_tree_has_the_same_value(steps):
    """Batched or not, and where the batch is as large as a level of fantasies."""
    of = surrogate(d=2)
    x = torch.rand(9, 2, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    nodes = (3, 2)[: steps - 1]
    best = torch.tensor(of.best, dtype=torch.float64)
    places, values, levels = lookahead(*of.joint(x), of.noise, best, nodes=nodes, width=WIDE)
    chosen = [x[points_of_tree(places, levels, root)] for root in range(3)]
    value = tree(of.model, nodes)
    with torch.no_grad():
        assert torch.allclose(value(torch.stack(chosen)), values[:3], atol=1e-5)
        assert torch.allclose(value(chosen[1]), values[1], atol=1e-5)


def test_climbing_the_tree_ends_no_lower_than_the_best_tree_of_points():
    of = surrogate(d=2)
    sampler = MultiStep(2, (5,))
    root = sampler.of_cube(of, remaining=9, generator=torch.Generator().manual_seed(0))
    cube = torch.rand(150, 2, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    x = torch.cat([root.unsqueeze(0), cube])
    best = torch.tensor(of.best, dtype=torch.float64)
    places, values, _ = lookahead(*of.joint(x), of.noise, best, nodes=(5,), width=WIDE)
    of_root = float(values[(places == 0).nonzero().squeeze()])
    assert of_root >= float(values.max()) - 0.02 * abs(float(values.max()))


def test_with_one_trial_left_every_decision_is_the_greedy_one():
    of = surrogate(d=2)
    generator = torch.Generator().manual_seed(0)

    def decided(decision):
        torch.manual_seed(0)
        return decision.of_cube(of, remaining=1, generator=generator)

    greedy = decided(Improvement())
    assert torch.equal(decided(MultiStep(4)), greedy)
    assert torch.equal(decided(Binoculars("sampled")), greedy)
    x = torch.rand(40, 2, generator=generator, dtype=torch.float64)
    scores = [
        d.of_pool(of, x, remaining=1, generator=generator) for d in (Improvement(), MultiStep(3), Binoculars("best"))
    ]
    assert int(scores[0].argmax()) == int(scores[1].argmax()) == int(scores[2].argmax())


def test_the_knowledge_gradient_is_by_how_much_the_highest_mean_rises(believed):
    of, mean, cov, _ = believed
    z, weights = (t.numpy() for t in hermite(10))
    expected = np.zeros(len(mean))
    for x in range(len(mean)):
        for place, weight in zip(z, weights, strict=True):
            y = float(mean[x]) + np.sqrt(float(cov[x, x]) + of.noise) * place
            expected[x] += weight * conditioned(mean.numpy(), cov.numpy(), of.noise, x, y)[0].max()
    assert np.allclose(knowledge(mean, cov, of.noise, nodes=10).numpy(), expected - float(mean.max()), atol=1e-9)


def test_a_batch_does_not_choose_what_says_the_same():
    """Two equal points and a lower one without a bond to them: of two, one of each."""
    mean = torch.tensor([1.0, 1.0, 0.8, -5.0], dtype=torch.float64)
    cov = torch.diag(torch.tensor([1.0, 1.0, 1.0, 0.01], dtype=torch.float64))
    cov[0, 1] = cov[1, 0] = 1.0
    generator = torch.Generator().manual_seed(0)
    assert set(batch(mean, cov, 0.0, 2, samples=2000, generator=generator)) in ({0, 2}, {1, 2})
    assert len(batch(mean, cov, 0.0, 99, samples=500, generator=generator)) == 2
    assert batch(mean, cov, 99.0, 3, samples=100, generator=generator) == []


def test_sampled_points_of_a_batch_come_as_often_as_they_improve():
    decision = Binoculars("sampled")
    log_improvement = torch.tensor([0.5, 0.3, 0.2], dtype=torch.float64).log() - 800  # all underflow
    generator = torch.Generator().manual_seed(0)
    drawn = [decision._pick(log_improvement, generator) for _ in range(3000)]
    assert np.allclose(np.bincount(drawn, minlength=3) / 3000, [0.5, 0.3, 0.2], atol=0.03)
    assert Binoculars("best")._pick(log_improvement, generator) == 0


def test_without_bonds_the_batch_is_the_best_plan():
    """Three arms, known to be independent: nothing is learnt of others, so the two best arms are the optimum."""
    mean, sd = np.array([0.0, 0.3, 0.2]), np.array([1.0, 0.1, 0.9])
    cov = torch.diag(torch.from_numpy(sd**2))
    places = batch(torch.from_numpy(mean), cov, 0.0, 2, samples=20_000, generator=torch.Generator().manual_seed(0))
    assert set(places) == {0, 2}


@pytest.mark.parametrize("steps", [1, 5])
def test_it_looks_two_to_four_steps_ahead(steps):
    with pytest.raises(ValueError, match=f"2 to 4 steps ahead, not {steps}"):
        MultiStep(steps)
