"""Calibration layers are fitted on earlier held-out rows, and on nothing else."""

from datetime import date, timedelta

import numpy as np
import pyarrow as pa
import pytest

import storage
from config import Calibration, PlatformConfig
from models.calibration import CalibrationLayer
from quality.metrics import evaluate
from training.calibration import calibrated_soft_labels, fit_layer, fitted_before

DAY = date(2026, 1, 5)
BEFORE = [DAY - timedelta(days=n) for n in (3, 2, 1)]
SETTINGS = Calibration(min_clicks=100, prior_clicks=0)


def log(rows: int, seed: int, *, slope: float = 1.0, intercept: float = 0.0) -> tuple[np.ndarray, np.ndarray]:
    """Labels, and predictions of a model that `slope` and `intercept` would make right."""
    generator = np.random.default_rng(seed)
    predicted = generator.normal(-1.5, 1.0, rows)
    labels = generator.random(rows) < 1 / (1 + np.exp(-(slope * predicted + intercept)))
    return labels.astype(np.int32), 1 / (1 + np.exp(-predicted))


def write(config: PlatformConfig, day: date, labels: np.ndarray, predicted: np.ndarray) -> None:
    """The held-out rows of a day, in the tables of the VMs and of the FM; those of another vertical are far off."""
    ours = pa.table({"vertical": ["feed"] * len(labels), "label": labels, "probability": predicted.astype(np.float32)})
    other = ours.set_column(0, "vertical", pa.array(["search"] * len(labels)))
    other = other.set_column(2, "probability", pa.array(np.full(len(labels), 0.99, np.float32)))
    storage.write_partition(config, "fm_evaluations", day, pa.concat_tables([ours, other]))
    columns = {"candidate_raw": ours["probability"], "baseline_raw": ours["probability"]}
    vertical = ours.select(["vertical", "label"])
    for name, column in columns.items():
        vertical = vertical.append_column(name, column)
    storage.write_partition(config, "evaluations_feed", day, vertical)


def platform(config: PlatformConfig, **calibration: object) -> PlatformConfig:
    settings = {"vertical_models": True, "min_clicks": 100, "prior_clicks": 0, **calibration}
    return config.changed(calibration=Calibration.model_validate(settings))


def test_the_line_that_makes_a_model_right_is_found() -> None:
    labels, predicted = log(200_000, 0, slope=0.7, intercept=-0.9)
    layer = fit_layer(labels, predicted, SETTINGS)
    assert (layer.slope, layer.intercept) == (pytest.approx(0.7, abs=0.02), pytest.approx(-0.9, abs=0.03))
    later, raw = log(50_000, 1, slope=0.7, intercept=-0.9)
    before, after = evaluate(later, raw), evaluate(later, layer.apply(raw))
    assert after.ece < 0.2 * before.ece and after.ne < before.ne
    assert after.calibration == pytest.approx(1.0, abs=0.03) and before.calibration > 1.3
    assert after.auc == pytest.approx(before.auc)


@pytest.mark.parametrize(("clicks", "rows", "fitted"), [(100, 300, True), (99, 300, False), (250, 300, False)])
def test_with_too_few_clicks_or_too_few_other_rows_a_layer_changes_nothing(
    clicks: int, rows: int, fitted: bool
) -> None:
    labels, predicted = (np.arange(rows) < clicks).astype(int), np.full(rows, 0.5)
    predicted[::2] = 0.4
    assert fit_layer(labels, predicted, SETTINGS).changes_nothing is not fitted


def test_rows_as_predicted_hold_a_layer_near_what_changes_nothing() -> None:
    labels, predicted = log(1000, 2, intercept=1.0)
    shifts = [
        fit_layer(labels, predicted, SETTINGS.changed(prior_clicks=prior)).intercept for prior in (0, 100, 100_000)
    ]
    assert 1.2 > shifts[0] > shifts[1] > shifts[2] and abs(shifts[2]) < 0.05


@pytest.mark.parametrize("model", ["candidate", "baseline", "fm"])
def test_a_layer_knows_nothing_of_the_rows_it_is_judged_on(tiny_config: PlatformConfig, model: str) -> None:
    config = platform(tiny_config)
    for seed, day in enumerate(BEFORE):
        write(config, day, *log(2000, seed, intercept=-0.3))
    labels, predicted = log(2000, 9)
    write(config, DAY, labels, predicted)
    found = fitted_before(config, "feed", DAY, model)
    assert found.days == BEFORE[-1:] and found.rows == 2000 and not found.layer.changes_nothing
    write(config, DAY, 1 - labels, predicted[::-1])
    write(config, DAY + timedelta(days=1), 1 - labels, predicted)
    assert fitted_before(config, "feed", DAY, model) == found
    write(config, BEFORE[-1], *log(2000, 7, intercept=0.3))
    assert fitted_before(config, "feed", DAY, model).layer != found.layer


def test_older_days_are_added_until_there_are_clicks_enough(tiny_config: PlatformConfig) -> None:
    config = platform(tiny_config, min_clicks=150)
    for day in BEFORE:
        write(config, day, (np.arange(400) < 80).astype(np.int32), np.linspace(0.1, 0.4, 400))
    found = fitted_before(config, "feed", DAY, "candidate")
    assert (found.days, found.rows, found.clicks) == (BEFORE[1:], 800, 160)
    few = fitted_before(platform(tiny_config, min_clicks=500), "feed", DAY, "candidate")
    assert (few.days, few.clicks, few.layer) == (BEFORE, 240, CalibrationLayer())


def test_the_first_day_and_layers_switched_off_change_nothing(tiny_config: PlatformConfig) -> None:
    config = platform(tiny_config)
    write(config, DAY, *log(2000, 0, intercept=-1.0))
    assert fitted_before(config, "feed", DAY, "fm").layer.changes_nothing
    following = DAY + timedelta(days=1)
    for model, switch in (("fm", "soft_labels"), ("candidate", "vertical_models"), ("baseline", "vertical_models")):
        assert not fitted_before(config, "feed", following, model).layer.changes_nothing
        assert fitted_before(platform(tiny_config, **{switch: False}), "feed", following, model).days == []


def test_soft_labels_are_corrected_by_the_layer_of_their_day(tiny_config: PlatformConfig) -> None:
    config = platform(tiny_config)
    for seed, day in enumerate(BEFORE[:2]):
        write(config, day, *log(3000, seed, intercept=-0.5))
    days = BEFORE[:2]
    times = [storage.day_window(config, day)[0] + timedelta(hours=5) for day in days for _ in range(2)]
    soft = pa.array([0.2, None, 0.2, None], pa.float32())
    rows, layers = calibrated_soft_labels(
        config, "feed", pa.table({"event_timestamp": times, "soft_label": soft}), days
    )
    assert layers[days[0]].layer.changes_nothing and not layers[days[1]].layer.changes_nothing
    corrected = layers[days[1]].layer.apply(np.array([0.2], np.float32))[0]
    assert rows["soft_label"].to_pylist() == [pytest.approx(0.2), None, pytest.approx(corrected), None]
    assert corrected < 0.15
