import pytest

from search.curves import extrapolated, labels
from search.trial import Trial


def test_a_curve_goes_on_along_the_line_of_its_last_points():
    # The last three points are on a line that falls by .02 a window; .84 at the fourth, so .84 - 6 * .02 at the tenth.
    assert extrapolated([2.0, 0.88, 0.86, 0.84], 10, last=3) == pytest.approx(0.72)
    assert extrapolated([0.9, 0.8], 3) == pytest.approx(0.7)
    # Least squares through .9, .8, .9: flat, .8667.
    assert extrapolated([0.9, 0.8, 0.9], 5) == pytest.approx(2.6 / 3)


def test_a_whole_curve_ends_where_its_line_ends():
    assert extrapolated([0.9, 0.8, 0.7], 3) == pytest.approx(0.7)


@pytest.mark.parametrize("curve", [[0.9], [0.9, 0.8, 0.7, 0.6]])
def test_a_curve_too_short_or_too_long_is_refused(curve):
    with pytest.raises(ValueError, match="needs 2 to 3"):
        extrapolated(curve, 3)


def test_a_trial_without_objective_is_ranked_by_its_curve():
    def trial(status, objective, curve=()):
        return Trial(0, {}, status, objective, None, None, tuple(curve))

    history = [
        trial("done", 0.5, [0.9, 0.8, 0.7, 0.6]),
        trial("done", None, [0.9, 0.8]),
        trial("done", None, [0.9]),
        trial("running", None, [0.9, 0.8]),
        trial("diverged", 0.1, [0.9, 0.8]),
    ]
    assert labels(history) == [0.5, pytest.approx(0.6), None, None, None]
