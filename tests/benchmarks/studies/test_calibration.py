import numpy as np
import pytest

from benchmarks.studies.calibration import WAYS, Compared

GENERATOR = np.random.default_rng(0)
TRUE = 1 / (1 + np.exp(-GENERATOR.normal(-1, 1, 4000)))
LABELS = (GENERATOR.random(4000) < TRUE).astype(float)
TOO_HIGH = TRUE**0.6  # of the same order
USERS = np.arange(4000) // 10


@pytest.mark.parametrize("way", WAYS)
def test_every_way_to_fit_brings_predictions_that_are_too_high_back(way: str) -> None:
    after = WAYS[way].fit(LABELS[:2000], TOO_HIGH[:2000])(TOO_HIGH[2000:])
    found = Compared(LABELS[2000:], USERS[2000:], TOO_HIGH[2000:], after).figures()
    assert found["before"]["calibration"] > 1.25
    assert found["after"]["calibration"] == pytest.approx(1, abs=0.12)
    for figure in ("ne", "ece"):
        difference = found[f"{figure}_difference"]
        assert difference["high"] < 0  # beyond chance
        assert difference["value"] == pytest.approx(found["after"][figure] - found["before"][figure])


def test_what_is_not_changed_differs_by_nothing() -> None:
    found = Compared(LABELS, USERS, TRUE, TRUE).figures()
    assert found["ece_difference"] == {"value": 0.0, "low": 0.0, "high": 0.0}
    assert found["ne_difference"] == {"value": 0.0, "low": 0.0, "high": 0.0}
    assert (found["rows"], found["clicks"]) == (4000, int(LABELS.sum()))
