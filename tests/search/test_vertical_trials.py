"""Trials of a vertical's models: costs as torch counts them, dates that stay apart, the platform's own settings."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import storage
from config import PlatformConfig
from data.schema import epoch_us
from search.targets import current_cost
from search.vertical_trials import VerticalTrials, vertical_flops, vertical_space
from tests.study_log import DAY, study_config
from tests.training.vertical.test_logged_rows import logged


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> PlatformConfig:
    return logged(study_config(tmp_path_factory.mktemp("log")).changed(transfer={"history_length": 4}))


def test_random_models_cost_what_torch_counts(config: PlatformConfig) -> None:
    space = vertical_space(config, blocks=2, cap=None)
    trials = VerticalTrials(config, space, "feed", [DAY], judged_days=2)
    rng = np.random.default_rng(0)
    for _ in range(30):
        params = space.sample(rng)
        settings = config.vertical_model.changed(**trials.settings(params))
        assert vertical_flops(config, settings) == space.cost(params), params


@pytest.mark.parametrize(
    "around", [{"history_dim": 64}, {"history_encoder": "sum"}, {"history_encoder": "multi_interest"}]
)
def test_models_cost_what_they_do_in_what_stands_around_them(config: PlatformConfig, around: dict[str, Any]) -> None:
    other = config.changed(vertical_model={"hyperparameters": config.vertical_model.hyperparameters | around})
    space = vertical_space(other, blocks=1, cap=None)
    trials = VerticalTrials(other, space, "feed", [DAY], judged_days=2)
    for seed in range(5):
        params = space.sample(np.random.default_rng(seed))
        settings = other.vertical_model.changed(**trials.settings(params))
        assert vertical_flops(other, settings) == space.cost(params)


def test_a_model_learns_the_dates_before_and_is_judged_on_the_rest(config: PlatformConfig) -> None:
    space = vertical_space(config, blocks=1, cap=None)
    trials = VerticalTrials(config, space, "feed", [DAY], judged_days=2)
    cut = epoch_us(storage.midnights(config, storage.calendar_days(config, DAY))[-3])
    rows = storage.read_partition(config, "vertical_examples", DAY)
    times = rows["event_timestamp"].cast("int64").to_numpy()[np.array(rows["vertical"].to_pylist()) == "feed"]
    assert len(trials.log.learn) == (times < cut).sum() and len(trials.log.labels) == (times >= cut).sum()
    assert set(trials.log.days) == {0, 1}

    params = space.sample(np.random.default_rng(1))
    judged, again = (trials.train(params, seed=0, what="test") for _ in range(2))
    np.testing.assert_array_equal(judged.probabilities, again.probabilities)
    assert judged.figures["flops_per_example"] == space.cost(params)
    assert judged.figures["ne"] > 0 and len(judged.probabilities) == len(trials.log.labels)


def test_the_platforms_own_model_is_trained_as_it_is(config: PlatformConfig) -> None:
    space = vertical_space(config, blocks=1, cap=None)
    trials = VerticalTrials(config, space, "feed", [DAY], judged_days=2)
    own = trials.train(None, seed=0, what="test")
    assert own.figures["flops_per_example"] == current_cost(config, "feed", DAY)
    # What lies around the architecture stays as the platform has it.
    assert trials.settings(space.sample(np.random.default_rng(0)))["hyperparameters"]["attention_heads"] == 2


def test_a_vertical_without_rows_is_refused(config: PlatformConfig, tmp_path: Path) -> None:
    settings: dict[str, Any] = {"verticals": {"none": {"column": "surface", "values": ["none"]}}}
    empty = config.changed(sources={"synthetic": settings})
    space = vertical_space(empty, blocks=1, cap=None)
    with pytest.raises(ValueError, match="vertical none has no impressions to learn in 2026-01-06 to 2026-01-06"):
        _ = VerticalTrials(empty, space, "none", [DAY], judged_days=2).log
    with pytest.raises(ValueError, match="6 dates are too few to judge a model on the last 6 of them"):
        _ = VerticalTrials(config, space, "feed", [DAY], judged_days=6).log


def test_a_cap_below_the_smallest_model_is_refused(config: PlatformConfig) -> None:
    with pytest.raises(ValueError, match="the cost cap of 100 FLOPs is below the smallest model's"):
        vertical_space(config, blocks=1, cap=100)
