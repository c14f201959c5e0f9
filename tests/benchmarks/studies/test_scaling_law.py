import pytest

from benchmarks.studies.scaling_law import LADDERS, figures, runs, slope_per_log4, slopes_by_seed


def rows_of(architecture, slope, *, seeds=3, noise=0.0):
    """NE falls by `slope` for each quadrupling, from 0.9 at 1000 FLOPs."""
    return [
        {
            "data_set": "x",
            "architecture": architecture,
            "size": size,
            "seed": seed,
            "flops_per_example": 1000 * 4**size,
            "ne": 0.9 + slope * size + noise * seed * (1 if size < 2 else -1),
            "auc": 0.7,
            "rows": 5,
            "rows_learnt": 9,
            "reachable_ne": None,
            "dense_parameters": 1,
            "seconds": 1.0,
        }
        for size in range(4)
        for seed in range(seeds)
    ]


def test_slope_of_a_known_line():
    assert slope_per_log4([1e3, 4e3, 16e3, 64e3], [0.9, 0.88, 0.86, 0.84]) == pytest.approx(-0.02)
    # Least squares by hand: x = 0, 1, 2, y = 0, 0, 3: slope = (−1·−1 + 1·2) / 2 = 1.5
    assert slope_per_log4([1, 4, 16], [0, 0, 3]) == pytest.approx(1.5)


def test_figures_of_a_wukong_that_falls_and_a_dcnv2_that_does_not():
    found = figures(rows_of("wukong", -0.01, noise=1e-4) + rows_of("dcnv2", 0.0, noise=2e-4))["x"]
    # Noise turns seed s by −1e-4·s·0.8 for Wukong: slopes −0.01, −0.01008, −0.01016
    assert found["ne_slope_per_log4_flops"] == pytest.approx(-0.01008)
    assert found["ci"][0] < -0.01008 < found["ci"][1] < 0
    assert found["wukong_falls"] == "holds"
    assert found["wukong_falls_faster"] == "holds"
    assert found["sizes"][3]["ne_difference"]["mean"] == pytest.approx(-0.03 + 1e-4)


def test_slopes_are_not_separated_when_seeds_disagree():
    found = figures(rows_of("wukong", -0.001, noise=0.01) + rows_of("dcnv2", -0.001, noise=0.0))["x"]
    assert found["wukong_falls_faster"] == "not separated"


def test_a_seed_that_lacks_a_size_has_no_slope():
    rows = rows_of("wukong", -0.01)
    assert slopes_by_seed(rows[:-1], "wukong").keys() == {0, 1}


def test_both_ladders_have_as_many_sizes_and_the_first_seed_comes_first():
    assert {len(ladder) for ladder in LADDERS.values()} == {4}
    planned = list(runs(["synthetic", "complete_journey"], events=10, seeds=2))
    assert [run.seed for run in planned] == [0] * 16 + [1] * 16
    assert {(run.data_set, run.events) for run in planned} == {("synthetic", 10), ("complete_journey", None)}
