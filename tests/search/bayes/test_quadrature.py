"""Averages from few cells: against the exact integral of a process, and their error bars."""

from itertools import combinations

import numpy as np
import pytest
import torch

from search.bayes import quadrature
from search.bayes.quadrature import _mean_and_scale_unknown, average, batch, known, noise_of_means


def grid(n=40):
    return np.linspace(0, 1, n)[:, None]


def smooth(x):
    return 2 + np.sin(5 * x[:, 0]) + x[:, 0]


def test_the_average_is_the_exact_integral_of_the_process(monkeypatch):
    """By the formulas of a Gaussian process with a fixed kernel: w·(K k⁻¹ y), and w·(K - K k⁻¹ K)·w over the rest."""
    x, weights = grid(30), np.random.default_rng(0).random(30)
    kernel = np.exp(-0.5 * ((x - x.T) / 0.2) ** 2) + 1e-6 * np.eye(30)
    cells, w = [2, 11, 20, 29], weights / weights.sum()
    values = smooth(x)[cells]

    def believed(x, cells, values, warped, noise, seed):
        weight = kernel[:, cells] @ np.linalg.inv(kernel[np.ix_(cells, cells)])
        return weight @ values, kernel - weight @ kernel[cells]

    monkeypatch.setattr(quadrature, "_believed", believed)
    found = known(x, weights, cells, values)
    inverse = np.linalg.inv(kernel[np.ix_(cells, cells)])
    assert found.mean == pytest.approx(w @ kernel[:, cells] @ inverse @ values, abs=1e-4)
    assert found.deviation**2 == pytest.approx(
        w @ kernel @ w - w @ kernel[:, cells] @ inverse @ kernel[cells] @ w, abs=1e-6
    )


def test_an_unknown_mean_is_one_of_a_very_wide_prior():
    x, y = grid(12), np.array([0.3, -1.0, 0.5, 0.9])
    kernel, cells = np.exp(-(((x - x.T) / 0.3) ** 2)) + 0.1 * np.eye(12), [1, 4, 5, 10]
    wide = kernel + 1e5
    weight = wide[:, cells] @ np.linalg.inv(wide[np.ix_(cells, cells)])
    mean, scaled = _mean_and_scale_unknown(kernel, cells, y)
    np.testing.assert_allclose(mean, weight @ y, atol=1e-4)
    whitened = (y - mean[0]) @ np.linalg.inv(wide[np.ix_(cells, cells)]) @ (y - mean[0])  # the mean drops out of it
    np.testing.assert_allclose(scaled, whitened / 3 * (wide - weight @ wide[cells]), atol=1e-4)


@pytest.mark.parametrize("count", [3, 8])
def test_intervals_hold_as_many_averages_as_they_say(monkeypatch, count):
    """Of values of any mean and scale: 95 %, exactly, where the correlations are known."""
    rng, x = np.random.default_rng(0), grid(30)
    kernel = np.exp(-(((x - x.T) / 0.3) ** 2)) + 0.05 * np.eye(30)
    monkeypatch.setattr(
        quadrature,
        "_believed",
        lambda x, cells, values, warped, noise, seed: _mean_and_scale_unknown(kernel, list(cells), np.array(values)),
    )
    held = []
    for values in 7 + 0.01 * rng.standard_normal((3000, 30)) @ np.linalg.cholesky(kernel).T:
        cells = rng.choice(30, count, replace=False).tolist()
        low, high = known(x, np.ones(30), cells, values[cells].tolist()).interval
        held.append(low <= values.mean() <= high)
    assert np.mean(held) == pytest.approx(0.95, abs=0.012)  # three standard errors


@pytest.mark.parametrize("rule", ["binoculars", "uncertainty", "random"])
def test_few_cells_say_the_average_of_many(rule):
    x = grid()
    exact = smooth(x).mean()
    states = torch.get_rng_state(), np.random.get_state()[1].tolist()
    found = average(lambda cell: smooth(x)[cell], x, np.ones(len(x)), budget=9, rule=rule, seed=1)
    assert torch.equal(states[0], torch.get_rng_state()) and states[1] == np.random.get_state()[1].tolist()
    assert len(set(found.cells)) == 9 and list(found.values) == [smooth(x)[cell] for cell in found.cells]
    low, high = found.interval
    assert abs(found.mean - exact) < 0.05 * exact and low <= exact <= high
    assert found == average(lambda cell: smooth(x)[cell], x, np.ones(len(x)), budget=9, rule=rule, seed=1)


def test_means_of_few_rows_count_for_less():
    """Values that are chance alone: told so, the process knows the average better, and how well."""
    rng, x = np.random.default_rng(0), grid(60)
    rows = rng.choice([5, 200], 60)
    held, errors = [], {"told": [], "not told": []}
    for seed in range(15):
        losses = [rng.normal(0.7, 0.5, count) for count in rows]
        values = np.array([of.mean() for of in losses])
        exact = np.concatenate(losses).mean()
        cells = rng.choice(60, 25, replace=False).tolist()

        def noise(cells, losses=losses):
            return noise_of_means([losses[cell].var() for cell in cells], cells, rows)

        found = known(x, rows, cells, values[cells].tolist(), noise=noise, seed=seed)
        held.append(found.interval[0] <= exact <= found.interval[1])
        errors["told"].append(abs(found.mean - exact))
        errors["not told"].append(abs(known(x, rows, cells, values[cells].tolist(), seed=seed).mean - exact))
    assert np.mean(held) >= 0.8 and np.mean(errors["told"]) < 0.7 * np.mean(errors["not told"])


def test_the_noise_of_means_is_pooled():
    rows = np.array([10.0, 0.0, 30.0, 40.0])
    np.testing.assert_allclose(noise_of_means([4.0, 8.0], [0, 2], rows), 7.0 / np.array([10, 1, 30, 40]))


@pytest.mark.parametrize("rule", ["binoculars", "uncertainty", "random"])
def test_a_cell_of_noise_and_of_great_weight_is_evaluated_once(rule):
    values, weights = np.random.default_rng(0).standard_normal(12), np.array([99, 50, *[1.0] * 10])
    found = average(lambda cell: values[cell], grid(12), weights, budget=8, rule=rule)
    assert len(set(found.cells)) == 8 and {0, 1} <= set(found.cells)


def test_all_cells_are_the_average_itself():
    x, weights = grid(6), np.array([1, 2, 0, 3, 1, 1.0])
    found = average(lambda cell: smooth(x)[cell], x, weights, budget=99)
    assert sorted(found.cells) == [0, 1, 3, 4, 5]  # one has no weight
    assert found.mean == pytest.approx(np.average(smooth(x), weights=weights)) and found.deviation == 0


def test_one_cell_has_no_error_bar_and_equal_values_leave_nothing():
    x = grid(8)
    one = average(lambda cell: 3.0, x, np.ones(8), budget=1)
    assert one.mean == 3.0 and np.isnan(one.deviation)
    same = average(lambda cell: 3.0, x, np.ones(8), budget=6)
    assert same.mean == pytest.approx(3.0) and same.deviation < 1e-6


def test_a_batch_is_of_nearly_the_largest_determinant():
    rng = np.random.default_rng(0)
    x = rng.random((9, 2))
    cov = np.exp(-(((x[:, None] - x) / 0.4) ** 2).sum(-1))

    def determinant(cells):
        return np.linalg.det(cov[np.ix_(cells, cells)])

    best = max(determinant(list(cells)) for cells in combinations(range(9), 3))
    assert determinant(batch(cov, 3)) >= 0.95 * best
    assert len(batch(np.ones((5, 5)), 4)) == 1  # all the same


def test_a_warped_process_is_less_sure_where_values_are_high():
    x = grid(30)
    values = np.exp(-50 * (x[:, 0] - 0.3) ** 2) + 0.01
    found = average(lambda cell: values[cell], x, np.ones(30), budget=12, warped=True)
    near = sum(abs(x[cell, 0] - 0.3) < 0.3 for cell in found.cells)
    assert near >= 7 and found.mean == pytest.approx(values.mean(), rel=0.1)


@pytest.mark.parametrize(
    ("budget", "weights", "value", "message"),
    [
        (0, np.ones(5), 1.0, "budget is 0"),
        (2, np.zeros(5), 1.0, "5 weights of 5 cells"),
        (2, np.ones(4), 1.0, "4 weights of 5 cells"),
        (2, np.ones(5), np.nan, "has the value nan"),
    ],
)
def test_what_has_no_average_is_said(budget, weights, value, message):
    with pytest.raises(ValueError, match=message):
        average(lambda cell: value, grid(5), weights, budget=budget)


def test_values_that_do_not_vary_by_chance_are_an_average_as_well():
    x = grid(12)
    found = average(lambda cell: smooth(x)[cell], x, np.ones(12), budget=8, noise=lambda cells: np.zeros(12))
    assert found.mean == pytest.approx(smooth(x).mean(), rel=0.02) and np.isfinite(found.deviation)


def test_a_process_of_the_root_takes_no_noise():
    with pytest.raises(ValueError, match="give either warped or noise"):
        average(lambda cell: 1.0, grid(5), np.ones(5), budget=2, warped=True, noise=lambda cells: np.ones(5))
