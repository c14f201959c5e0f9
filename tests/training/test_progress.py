"""The NE that progress shows."""

from math import log

import pytest

from training.progress import RecentNE


def test_recent_ne_is_loss_over_entropy_of_the_newest_batches():
    recent = RecentNE(batches=2)
    assert recent.value() is None
    recent.add(100.0, 5, 10)  # falls out
    recent.add(2.0, 1, 4)
    recent.add(1.0, 1, 4)
    rate = 2 / 8
    assert recent.value() == pytest.approx((3.0 / 8) / -(rate * log(rate) + (1 - rate) * log(1 - rate)))


def test_without_clicks_there_is_none():
    recent = RecentNE()
    recent.add(0.3, 0, 10)
    assert recent.value() is None
