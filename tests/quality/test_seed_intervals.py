import pytest

from quality.seed_intervals import interval


def test_interval_is_students_t_over_seeds():
    # mean 2, standard deviation 1, t(2 degrees of freedom, 97.5 %) = 4.30265: half = 4.30265 / sqrt(3) = 2.48414
    assert interval([1.0, 2.0, 3.0]) == {"mean": 2.0, "seeds": 3, "low": -0.48414, "high": 4.48414}


def test_one_seed_has_no_bounds_and_none_no_interval():
    assert interval([0.5]) == {"mean": 0.5, "seeds": 1}
    assert interval([]) is None


def test_interval_covers_the_mean_in_95_percent_of_samples():
    import numpy as np

    samples = np.random.default_rng(0).normal(1.0, 3.0, (1000, 5))
    covered = sum(found["low"] <= 1.0 <= found["high"] for found in map(interval, samples))
    assert covered == pytest.approx(950, abs=25)
