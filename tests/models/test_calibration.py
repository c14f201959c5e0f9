import numpy as np
import pytest

from models.calibration import CalibrationLayer


def test_a_layer_is_a_line_on_the_logit() -> None:
    # logit(0.2) = -1.386294, times 0.5 plus 0.3: -0.393147, whose sigmoid is 0.402960
    assert CalibrationLayer(0.5, 0.3).apply(np.array([0.2]))[0] == pytest.approx(0.402960, abs=1e-6)


def test_a_layer_that_changes_nothing_gives_the_same_bits() -> None:
    probabilities = np.random.default_rng(0).random(100).astype(np.float32)
    assert CalibrationLayer().apply(probabilities) is probabilities


def test_certain_and_missing_probabilities_pass() -> None:
    found = CalibrationLayer(1.0, 0.1).apply(np.array([0.0, 1.0, np.nan], np.float32))
    assert found.dtype == np.float32
    assert 0 <= found[0] < 1e-6 and 1 - 1e-6 < found[1] <= 1 and np.isnan(found[2])
