"""The study of averages: functions are drawn by the seed, and rules are compared on the same ones."""

import numpy as np
import pytest

from benchmarks.studies.quadrature import FUNCTIONS, RULES, Run, estimates, figures, runs


@pytest.mark.parametrize("function", FUNCTIONS)
def test_functions_have_finite_values_and_an_average(function):
    rng = np.random.default_rng(0)
    values = FUNCTIONS[function](rng.random((50, 2)), rng.uniform(2, 6, 2), rng.uniform(0.2, 0.8, 2))
    assert values.shape == (50,) and np.isfinite(values).all() and values.min() >= 0 and values.mean() > 0


@pytest.mark.parametrize("warped", [False, True])
def test_an_average_is_judged_by_budget(warped):
    found = estimates(Run("oscillatory", "binoculars", warped, 0), (5, 8))
    assert list(found) == ["5", "8"] and 0 <= found["8"]["error"] < 0.5
    assert found == estimates(Run("oscillatory", "binoculars", warped, 0), (5, 8))


def test_rules_are_compared_on_the_same_functions():
    errors = {"binoculars": 0.1, "uncertainty": 0.2, "random": 0.1}
    rows = [run.key | {"9": {"error": errors[run.rule], "covered": run.seed == 0}} for run in runs(2)]
    found = figures(rows, (9,))
    assert found["runs"] == 2 * len(FUNCTIONS) * 2 * len(RULES)
    assert found["plain"]["binoculars"]["9"] == {"error": 0.1, "covered": 0.5}
    against = found["warped_binoculars_against_uncertainty"]["9"]
    assert (against["better"], against["worse"]) == (14, 0) and against["sign_test_p"] < 0.001
    assert found["plain_binoculars_against_random"]["9"] == {"better": 0, "worse": 0, "sign_test_p": 1.0}
