"""Days of one vertical, in tables made by hand and a registry of their own, after what was made before got lost."""

import logging
import shutil
from datetime import date, timedelta
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from mlflow import MlflowClient
from mlflow.artifacts import download_artifacts

import storage
from config import PlatformConfig
from data.batches.vertical import VerticalFeatures
from data.schema import TIMESTAMP
from data.sources import source_schema
from data.split import LEARNT_UNTIL
from jobs import distill_vertical
from serving.registry import CHAMPION
from training.tracking import tracking_client

NAME = storage.registered_model("feed")
ROWS = 60
HISTORY = {
    "fm_history_item_ids": pa.list_(pa.string()),
    "fm_history_labels": pa.list_(pa.int32()),
    "fm_history_ages_h": pa.list_(pa.float32()),
    "fm_history_codes": pa.binary(),
    "fm_item_code": pa.binary(),
}


def write_day(config: PlatformConfig, day: date) -> None:
    """Commits what a day's distillation reads; users have no history. The last third of the day is held out."""
    start, _ = storage.day_window(config, day)
    generator = np.random.default_rng(day.toordinal())
    features = VerticalFeatures.of(source_schema(config), config)
    ids = [f"{day} {n}" for n in range(ROWS)]
    columns = {
        "impression_id": ids,
        "user_id": [f"u{n % 7}" for n in range(ROWS)],
        "event_timestamp": pa.array([start + timedelta(minutes=n) for n in range(ROWS)], TIMESTAMP),
        "vertical": ["feed"] * ROWS,
        "label": pa.array(np.arange(ROWS) % 3 == 0).cast(pa.int32()),
        "soft_label": pa.array(generator.random(ROWS), pa.float32()),
    }
    columns |= {name: [f"{name}{n % 5}" for n in range(ROWS)] for name in features.num_embeddings}
    columns |= {name: pa.array(generator.random(ROWS), pa.float32()) for name in features.dense}
    columns |= {name: pa.nulls(ROWS, kind) for name, kind in HISTORY.items()}
    rows = pa.table(columns)
    storage.write_partition(config, "vertical_examples", day, rows)
    probability = pa.array(generator.random(ROWS), pa.float32())
    evaluated = rows.select(["impression_id", "vertical", "label"]).append_column("probability", probability)
    storage.write_partition(config, "fm_evaluations", day, evaluated)
    cut = (start + timedelta(minutes=ROWS * 2 // 3)).isoformat()
    with storage.commit_partition(config, "fm_snapshots", day, extra={LEARNT_UNTIL: cut, "fm_version": f"fm-{day}"}):
        pass


class Feed:
    """The vertical, day after day."""

    def __init__(self, config: PlatformConfig) -> None:
        self.config = config
        self.days = [config.source.bootstrap_day + timedelta(days=n) for n in range(3)]
        for day in self.days:
            write_day(config, day)

    @property
    def client(self) -> MlflowClient:
        return tracking_client(self.config)

    def distill(self, number: int, *, promote: bool = True) -> Any:
        """Makes the models of a day, by its number; returns the candidate's version."""
        made = distill_vertical.main(self.config, day=self.days[number], vertical="feed")
        if promote:
            self.client.set_registered_model_alias(NAME, CHAMPION, made["version"])
            self.client.set_model_version_tag(NAME, made["version"], "gate", "promoted")
        return self.client.get_model_version(NAME, made["version"])

    def delete_artifacts(self, version: str) -> None:
        shutil.rmtree(download_artifacts(f"models:/{NAME}/{version}"))

    def delete_partition(self, number: int) -> None:
        shutil.rmtree(storage.partition_dir(self.config, "candidates_feed", self.days[number]))


@pytest.fixture
def feed(tiny_config: PlatformConfig, caplog: pytest.LogCaptureFixture) -> Feed:
    caplog.set_level(logging.WARNING, "headwater")
    return Feed(tiny_config)


def test_without_its_champion_a_day_starts_from_the_champion_before(
    feed: Feed, caplog: pytest.LogCaptureFixture
) -> None:
    first, second = feed.distill(0), feed.distill(1)
    assert second.tags["parent"] == str(first.version) and not caplog.messages
    feed.client.delete_model_version(NAME, second.version)  # and with it the alias
    third = feed.distill(2)
    assert (third.tags["parent"], third.tags["champion_before"]) == (str(first.version), str(first.version))
    assert f"has no alias champion: the day starts from version {first.version}" in caplog.text


def test_a_day_starts_cold_where_every_version_was_deleted(feed: Feed) -> None:
    feed.distill(0)
    for version in feed.client.search_model_versions(f"name = '{NAME}'"):
        feed.client.delete_model_version(NAME, version.version)
    again = feed.distill(1)
    assert (again.tags["parent"], again.tags["champion_before"]) == ("", "")


def test_a_rerun_passes_over_a_champion_that_was_deleted(feed: Feed, caplog: pytest.LogCaptureFixture) -> None:
    first, second, third = (feed.distill(number) for number in range(3))
    feed.client.delete_model_version(NAME, second.version)
    again = feed.distill(2, promote=False)
    assert again.tags["parent"] == str(first.version) and again.version != third.version
    assert f"version {second.version}, the champion before version {third.version}, was deleted" in caplog.text


def test_a_champion_without_artifacts_is_read_from_the_day_that_made_it(
    feed: Feed, caplog: pytest.LogCaptureFixture
) -> None:
    first = feed.distill(0)
    feed.delete_artifacts(first.version)
    assert feed.distill(1).tags["parent"] == str(first.version)
    assert f"the artifacts of {NAME} version {first.version} are gone" in caplog.text


def test_a_champion_that_is_nowhere_gives_way_to_its_parent_and_the_log_names_what_to_restore(
    feed: Feed, caplog: pytest.LogCaptureFixture
) -> None:
    first, second = feed.distill(0), feed.distill(1)
    artifacts = feed.client.get_model_version_download_uri(NAME, second.version)
    feed.delete_artifacts(second.version)
    feed.delete_partition(1)
    third = feed.distill(2)
    assert (third.tags["parent"], third.tags["champion_before"]) == (str(first.version), str(second.version))
    assert f"restore {artifacts} from a copy" in caplog.text


def test_where_the_parent_of_a_lost_champion_was_deleted_too_a_day_starts_cold(
    feed: Feed, caplog: pytest.LogCaptureFixture
) -> None:
    first, second = feed.distill(0), feed.distill(1)
    feed.client.delete_model_version(NAME, first.version)
    feed.delete_artifacts(second.version)
    feed.delete_partition(1)
    assert feed.distill(2).tags["parent"] == ""
    assert f"version {first.version}, from which version {second.version} started, was deleted" in caplog.text
    assert "nothing of the candidate's line is left: it starts cold" in caplog.text


def test_after_its_experiment_was_deleted_a_day_starts_from_the_champion(
    feed: Feed, caplog: pytest.LogCaptureFixture
) -> None:
    first = feed.distill(0)
    feed.client.delete_experiment(feed.client.get_experiment_by_name("vertical_feed").experiment_id)
    assert feed.distill(1).tags["parent"] == str(first.version)
    assert "experiment vertical_feed was deleted; it is restored" in caplog.text


def changed(feed: Feed, **model: Any) -> Feed:
    """The same days with another model of this vertical in platform.yaml."""
    sources = {feed.config.data_source: {"verticals": {"feed": {"model": model}}}}
    other = Feed.__new__(Feed)
    other.config, other.days = feed.config.changed(sources=sources), feed.days
    return other


def test_from_one_architecture_to_another_a_candidate_starts_cold_then_goes_on(
    feed: Feed, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "headwater")
    first = feed.distill(0)
    other = changed(feed, architecture="dcnv2", hyperparameters={"hidden": [16]})
    second = other.distill(1, promote=False)
    why = f"version {first.version} has other settings: architecture dnn -> dcnv2, hyperparameters"
    assert second.tags["cold_start"].startswith(why) and second.tags["parent"] == ""
    assert second.tags["champion_before"] == str(first.version)  # which it is judged against
    assert (
        f"the candidate starts cold, as {why}" in caplog.text and "the baseline starts cold, as that of" in caplog.text
    )
    # The champion is still the old one; the day after goes on from the refused candidate, which fits.
    third = other.distill(2, promote=False)
    assert third.tags["parent"] == str(second.version) and "cold_start" not in third.tags
    assert third.tags["champion_before"] == str(first.version)
    again = other.distill(2, promote=False)
    assert (again.version, again.tags["weights"]) == (third.version, third.tags["weights"])
    # Back to the old settings, it goes on from the champion.
    back = feed.distill(2, promote=False)
    assert back.tags["parent"] == str(first.version) and "cold_start" not in back.tags


def test_a_cold_start_learns_what_a_first_day_would(feed: Feed) -> None:
    feed.distill(0)
    other = changed(feed, embedding_dim=4)
    cold = other.distill(1, promote=False)
    for version in feed.client.search_model_versions(f"name = '{NAME}'"):
        feed.client.delete_model_version(NAME, version.version)
    for table in ("candidates_feed", "baselines_feed"):
        shutil.rmtree(storage.partition_dir(feed.config, table, feed.days[0]))
    assert other.distill(1, promote=False).tags["weights"] == cold.tags["weights"]
