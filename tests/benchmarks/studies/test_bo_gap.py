"""The study of standard functions: what a GAP is, who is compared with whom, and that all begin alike."""

import pytest

from benchmarks.studies.bo_gap import FUNCTIONS, METHODS, Run, figures, gap, runs, search, trials


def row(method, reached, *, seed=0, fallbacks=0):
    return {
        "function": "branin",
        "method": method,
        "seed": seed,
        "gap": reached,
        "fallbacks": fallbacks,
        "cpu_seconds": 2.0,
        "decisions": 4,
    }


def test_the_gap_is_the_share_of_the_way_to_the_optimum():
    optimum = FUNCTIONS["branin"].optimal_value
    assert gap("branin", [10, 12, 11, 10, 10]) == 0
    assert gap("branin", [10, 12, 11, 10, optimum]) == pytest.approx(1)
    assert gap("branin", [10, 12, 11, 10, (10 + optimum) / 2, 99]) == pytest.approx(0.5)
    assert gap("branin", [optimum, 12, 11, 10, 10]) is None


def test_methods_are_compared_on_the_same_seeds_without_their_fallbacks():
    rows = [row("two_step", 1.0, seed=seed) for seed in range(6)] + [row("log_ei", 0.0, seed=s) for s in range(5)]
    rows += [row("two_step", 0.0, seed=9, fallbacks=1), row("log_ei", 1.0, seed=9), row("log_ei", None, seed=8)]
    found = figures(rows)
    compared = found["two_step_less_log_ei"]
    assert (compared["mean"], compared["pairs"], compared["better"], compared["worse"]) == (1.0, 5, 5, 0)
    assert compared["sign_test_p"] == 0.0625  # 2 / 2^5
    assert found["left_out"] == {"two_step": 1} and "two_step_less_ei" not in found
    assert found["methods"]["two_step"] == {"gap": 1.0, "cpu_seconds_a_decision": 0.5}
    assert found["functions"]["branin"]["log_ei"] == pytest.approx(1 / 6, abs=1e-4)


def test_every_method_begins_with_the_same_trials():
    made = [trials(Run("branin", method, 3), then=1) for method in ("random", "ei", "two_step")]
    assert all(len(of) == 6 for of in made) and made[0][:4] == made[1][:4] == made[2][:4]
    assert [trial.params for trial in made[0][4:]] != [trial.params for trial in made[1][4:]]
    row = search(Run("branin", "ei", 3), then=1)
    assert row["gap"] == gap("branin", [trial.objective for trial in made[1]])
    assert (row["fallbacks"], row["decisions"]) == (0, 2) and row["cpu_seconds"] > 0


def test_a_seed_is_done_before_the_next():
    planned = list(runs(2))
    assert len(planned) == 2 * len(FUNCTIONS) * len(METHODS) and len(set(planned)) == len(planned)
    assert [run.seed for run in planned] == sorted(run.seed for run in planned)
