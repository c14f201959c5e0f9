from dataclasses import replace

import pytest

from benchmarks.studies.weight_average import OF_FOUNDATION, STRETCHES, VERTICAL_DECAYS, Run, compared, figures, runs
from config import ROOT, load_config
from search.study import FOUNDATION

OF_VERTICAL = Run("kuairand", "tab_4", 0.98, 0.99, 0)


def test_decays_that_ship_are_among_those_that_are_tried():
    shipped = load_config(ROOT / "platform.yaml")
    assert shipped.foundation_model.optimizer.ema_decay == OF_FOUNDATION
    assert (shipped.vertical_model.optimizer.ema_decay, OF_FOUNDATION) in VERTICAL_DECAYS
    planned = list(runs(STRETCHES, seeds=2))
    assert len(planned) == len(set(planned))
    for source, stretch in STRETCHES.items():
        models = {run.model for run in planned if run.source == source}
        verticals = shipped.changed(data_source=source).verticals if stretch.verticals else []
        assert models == {FOUNDATION, *verticals}
    assert all(compared(run) in planned for run in planned)


def test_a_run_is_compared_with_the_one_that_differs_in_one_thing():
    assert compared(OF_VERTICAL) == replace(OF_VERTICAL, decay=0.0)
    assert compared(replace(OF_VERTICAL, of_foundation=0.0)) == OF_VERTICAL
    without = Run("kuairand", FOUNDATION, 0.0, None, 1)
    assert compared(without) == without == compared(replace(without, decay=0.9))


def test_differences_are_of_the_same_seed():
    ne = {
        (0.0, 0.99): (0.9, 0.8),
        (0.98, 0.99): (0.8, 0.72),
        (0.98, 0.0): (0.81, 0.73),
    }
    rows = [
        replace(OF_VERTICAL, decay=decay, of_foundation=of, seed=seed).key | {"ne": value}
        for (decay, of), values in ne.items()
        for seed, value in enumerate(values)
    ]
    found = figures(rows)["kuairand"]["tab_4"]
    assert found["0.0 after 0.99"] == {"ne": found["0.0 after 0.99"]["ne"]}
    assert found["0.98 after 0.99"]["ne"]["mean"] == pytest.approx(0.76)
    assert found["0.98 after 0.99"]["less"]["mean"] == pytest.approx(-0.09)
    assert found["0.98 after 0.99"]["less"]["low"] < -0.1 < found["0.98 after 0.99"]["less"]["high"]
    assert found["0.98 after 0.0"]["less"]["mean"] == pytest.approx(0.01)
    assert found["0.98 after 0.0"]["less"]["low"] == pytest.approx(0.01)
