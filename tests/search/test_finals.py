"""Finalists: judged on the search's dates as its trials were, and on the later days as if there were no others."""

from pathlib import Path

import numpy as np
import pyarrow.compute as pc
import pytest

import storage
from config import PlatformConfig
from search.study import FOUNDATION, Budget, Study, StudySettings
from search.targets import finals_of, space_of, trials_of
from tests.study_log import DAY, DAYS, study_config
from tests.training.vertical.test_logged_rows import logged


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> PlatformConfig:
    """Two platform days: one of five dates, and one more."""
    whole = logged(study_config(tmp_path_factory.mktemp("log")).changed(transfer={"history_length": 4}))
    tables = {
        name: storage.read_partition(whole, name, DAY) for name in ("examples", "fm_outputs", "vertical_examples")
    }
    config = whole.changed(sources={"synthetic": {"bootstrap_days": DAYS - 1}})
    for day in storage.platform_days(config)[:2]:
        start, end = storage.day_window(config, day)
        for name, table in tables.items():
            times = table["event_timestamp"]
            of_day = pc.and_(pc.greater_equal(times, start), pc.less(times, end))
            storage.write_partition(config, name, day, table.filter(of_day))
    return config


@pytest.mark.parametrize("target", [FOUNDATION, "feed"])
def test_both_judgements_are_those_of_their_own_days(config: PlatformConfig, target: str, tmp_path: Path) -> None:
    first, second = storage.platform_days(config)[:2]
    settings = StudySettings(
        source="synthetic",
        target=target,
        sampler="random",
        blocks=1,
        days=[first],
        judged_days=2,
        later_days=[second],
    )
    space = space_of(config, settings)
    study = Study(tmp_path, settings, Budget(), space)
    made = finals_of(config, study)
    for params in (space.sample(np.random.default_rng(1)), None):
        trials = trials_of(config, study)
        once = trials.objective(trials.train(params, seed=3, what="trial"))
        judged = made.train(params, seed=3, what="final")
        assert judged.search_ne == pytest.approx(once)
        alone = made.later.train(params, seed=3, what="later")
        np.testing.assert_array_equal(judged.probabilities, alone.probabilities)
        assert judged.flops == alone.figures["flops_per_example"]
    start, end = storage.day_window(config, second)
    table = "examples" if target == FOUNDATION else "vertical_examples"
    rows = storage.read_partition(config, table, second)
    wanted = pc.and_(pc.greater_equal(rows["event_timestamp"], start), pc.less(rows["event_timestamp"], end))
    if target != FOUNDATION:
        wanted = pc.and_(wanted, pc.equal(rows["vertical"], target))
    assert len(judged.probabilities) == len(made.later.log.labels) == pc.sum(wanted).as_py()
