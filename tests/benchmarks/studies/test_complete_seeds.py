"""A stopped study reports the seeds of which every run is there; methods are compared in pairs."""

from benchmarks.studies.bo_gap import Run
from benchmarks.studies.complete_seeds import complete_seeds
from benchmarks.studies.paired import compared, signs


def row(method, seed, **figures):
    return {"function": "branin", "method": method, "seed": seed, **figures}


def test_a_seed_without_one_of_its_runs_is_left_out():
    planned = [Run("branin", method, seed) for seed in range(3) for method in ("ei", "random")]
    made = [row("ei", 0), row("random", 0), row("ei", 1), row("ei", 2), row("random", 2), row("other", 1)]
    rows, seeds = complete_seeds(planned, made)
    assert (rows, seeds) == ([row("ei", 0), row("random", 0), row("ei", 2), row("random", 2)], 2)
    assert complete_seeds(planned, made[::-1]) == (rows, seeds)  # as planned, in whatever order they were made
    assert complete_seeds(planned, []) == ([], 0)


def test_pairs_are_of_one_task_and_seed():
    found = {("a", "x", 0): 3.0, ("a", "y", 0): 1.0, ("b", "x", 0): 2.0, ("b", "y", 0): 3.0, ("b", "x", 1): 99.0}
    pairs = compared(found, ("a", "b"), "x", "y")
    assert pairs == {"mean": 0.5, "low": 0.5, "high": 0.5, "pairs": 2, "better": 1, "worse": 1, "sign_test_p": 1.0}
    assert compared(found, ("a",), "x", "z") is None


def test_equal_ones_are_not_counted():
    assert signs([1.0, 2.0, 0.0, 3.0]) == {"better": 3, "worse": 0, "sign_test_p": 0.25}  # 2 / 2^3
    assert signs([]) == {"better": 0, "worse": 0, "sign_test_p": 1.0}
