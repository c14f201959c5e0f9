"""The study of averages: functions are drawn by the seed, and rules are compared on the same ones."""

import sys

import numpy as np
import pytest

from benchmarks.studies import quadrature
from benchmarks.studies.days_of_ne import PARTS, Log, days_of_ne
from benchmarks.studies.quadrature import DAYS, FUNCTIONS, RULES, Run, cells, estimates, figures, runs

LOG = Log(None)  # no run of a function reads it


@pytest.mark.parametrize("function", FUNCTIONS)
def test_functions_have_finite_values_and_an_average(function):
    rng = np.random.default_rng(0)
    values = FUNCTIONS[function](rng.random((50, 2)), rng.uniform(2, 6, 2), rng.uniform(0.2, 0.8, 2))
    assert values.shape == (50,) and np.isfinite(values).all() and values.min() >= 0 and values.mean() > 0


@pytest.mark.parametrize("warped", [False, True])
def test_an_average_is_judged_by_budget(warped):
    run = Run("oscillatory", "binoculars", warped, 0)
    found = estimates(run, cells(run, LOG), (5, 8))
    assert list(found) == ["5", "8"] and 0 <= found["8"]["error"] < 0.5
    assert found == estimates(run, cells(run, LOG), (5, 8))


def test_rules_are_compared_on_the_same_functions():
    errors = {"binoculars": 0.1, "uncertainty": 0.2, "random": 0.1}
    rows = [run.key | {"9": {"error": errors[run.rule], "covered": run.seed == 0}} for run in runs(2)]
    found = figures(rows, (9,))
    assert found["runs"] == 2 * (len(FUNCTIONS) + len(DAYS)) * 2 * len(RULES)
    assert found["plain"]["binoculars"]["9"] == {"error": 0.1, "covered": 0.5}
    against = found["warped_binoculars_against_uncertainty"]["9"]
    assert (against["better"], against["worse"]) == (20, 0) and against["sign_test_p"] < 0.001
    assert found["plain_binoculars_against_random"]["9"] == {"better": 0, "worse": 0, "sign_test_p": 1.0}


def test_cells_are_weighed():
    found = estimates(
        Run("", "random", False, 0),
        quadrature.Cells(np.eye(3, 2), np.array([1.0, 5.0, 9.0]), np.array([3.0, 1.0, 0.0])),
        (9,),
    )
    assert found["9"] == {"error": 0.0, "covered": True}  # both cells that weigh something were evaluated


def test_a_quick_look_has_days_of_ne_and_keeps_nothing(tmp_path, monkeypatch):
    reported, kept = [], []
    monkeypatch.setattr(quadrature, "FUNCTIONS", {"oscillatory": FUNCTIONS["oscillatory"]})
    monkeypatch.setattr(quadrature, "DAYS", {"days_of_feed": "feed"})  # of the others, the same is computed
    monkeypatch.setattr(quadrature, "RULES", RULES[:1])
    monkeypatch.setattr(sys, "argv", ["quadrature", "--quick", "--work", str(tmp_path)])
    monkeypatch.setattr(
        quadrature, "report", lambda *args, keep, **others: (reported.append(args[1]), kept.append(keep))
    )
    quadrature.main()
    (found,) = reported
    assert kept == [False]
    assert (found["seeds"], found["runs"]) == (1, 2)  # with a plain process and with one of the root
    assert (found["days_of_ne"]["seeds"], found["days_of_ne"]["runs"]) == (1, 2)
    assert found["days_of_ne"]["plain"]["binoculars"]["10"]["error"] < 0.2
    of = days_of_ne(Log(tmp_path / "days_of_ne_quick", **quadrature.QUICK_LOG), 0)
    assert list(of) == list(DAYS.values())
    assert sum(one.weights.sum() for one in of.values()) == 2 * 900 and len(of["feed"].x) == 2 * PARTS
    assert all(0.5 < np.average(one.values, weights=one.weights) < 2 for one in of.values())
