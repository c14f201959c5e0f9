"""Metrics against hand computation and scikit-learn."""

import math

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from quality.metrics import evaluate, expected_calibration_error, grouped_auc, undefined_because


def test_base_rate_has_normalized_entropy_one():
    labels = np.array([1, 0, 0, 0, 1, 0, 0, 0])
    metrics = evaluate(labels, np.full(8, 0.25))
    assert metrics.ne == pytest.approx(1.0, abs=1e-9)
    assert metrics.calibration == pytest.approx(1.0)
    assert metrics.auc == 0.5


def test_figures_of_four_rows():
    # LogLoss = -(ln .8 + ln .6 + ln .9 + ln .5) / 4 = 0.38339; entropy of 1/2 is ln 2; ECE over 4 bins of one row.
    metrics = evaluate(np.array([1, 0, 0, 1]), np.array([0.8, 0.4, 0.1, 0.5]))
    loss = -(math.log(0.8) + math.log(0.6) + math.log(0.9) + math.log(0.5)) / 4
    assert metrics.log_loss == pytest.approx(loss)
    assert metrics.ne == pytest.approx(loss / math.log(2))
    assert metrics.auc == 1.0
    assert metrics.calibration == pytest.approx(1.8 / 2)
    assert metrics.ece == pytest.approx((0.2 + 0.4 + 0.1 + 0.5) / 4)


def test_grouped_auc_is_the_weighted_mean_of_each_users_auc():
    generator = np.random.default_rng(0)
    labels = generator.integers(0, 2, 400).astype(float)
    scores, users = generator.random(400).round(1), generator.integers(0, 40, 400)
    parts = [
        (roc_auc_score(labels[users == u], scores[users == u]), (users == u).sum())
        for u in np.unique(users)
        if 0 < labels[users == u].mean() < 1
    ]
    assert evaluate(labels, scores).auc == pytest.approx(roc_auc_score(labels, scores))  # with ties
    aucs, rows = zip(*parts, strict=True)
    assert grouped_auc(labels, scores, users) == pytest.approx(np.average(aucs, weights=rows))


def test_one_class_has_no_auc_and_no_entropy():
    metrics = evaluate(np.zeros(3), np.full(3, 0.1), users=np.array(["a", "b", "b"]))
    assert math.isnan(metrics.auc) and math.isnan(metrics.ne) and math.isnan(metrics.gauc)
    assert math.isnan(metrics.calibration) and metrics.rows == 3


def test_predictions_that_are_no_numbers_are_refused():
    with pytest.raises(ValueError, match="1 of 2 probabilities are not finite"):
        evaluate(np.array([0, 1]), np.array([0.5, np.nan]))
    with pytest.raises(ValueError, match="same rows"):
        evaluate(np.array([0, 1]), np.array([0.5]))


def test_calibrated_bins_have_no_error():
    labels = np.tile([1, 0, 0, 0], 25)
    assert expected_calibration_error(labels, np.full(100, 0.25), bins=5) == pytest.approx(0.0)


def test_rows_of_one_label_say_why_nothing_is_defined() -> None:
    found = [undefined_because(np.array(labels)) for labels in ([0, 0], [1], [], [0, 1])]
    assert found == ["no clicks among 2 rows", "nothing but clicks among 1 rows", "no rows", ""]
