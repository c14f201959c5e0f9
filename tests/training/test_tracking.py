"""MLflow runs and experiments, in a store of its own for each test."""

import logging

import pytest

from config import PlatformConfig
from training.tracking import tracked_run, tracking_client


def test_a_deleted_experiment_is_restored_with_its_runs(
    tiny_config: PlatformConfig, caplog: pytest.LogCaptureFixture
) -> None:
    def run_once() -> str:
        with tracked_run(tiny_config, experiment="vertical_feed", name="n", key={"day": "2026-01-02"}) as run:
            run.log_metrics({"ne": 0.5})
        return run.run_id

    first = run_once()
    client = tracking_client(tiny_config)
    client.delete_experiment(client.get_experiment_by_name("vertical_feed").experiment_id)
    with caplog.at_level(logging.WARNING, "headwater"):
        assert run_once() == first
    assert "experiment vertical_feed was deleted; it is restored" in caplog.text
    assert client.get_experiment_by_name("vertical_feed").lifecycle_stage == "active"
