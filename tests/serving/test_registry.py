"""Where a day's models start from, in a registry of its own for each test."""

from collections.abc import Iterator
from datetime import date

import pytest
from mlflow import MlflowClient
from mlflow.entities.model_registry import ModelVersion

import storage
from config import PlatformConfig
from serving.registry import CHAMPION, champion_before, line_of_candidate, parent_of_candidate, version_of
from training.tracking import tracking_client

NAME = "vertical_feed"
DAYS = [date(2026, 1, n) for n in (2, 3, 4)]


@pytest.fixture
def client(tiny_config: PlatformConfig) -> MlflowClient:
    """Candidate and baseline of each of three days: versions 1 and 2, 3 and 4, 5 and 6."""
    client = tracking_client(tiny_config)
    client.create_registered_model(NAME)
    champion = ""
    for day in DAYS:
        for transfer in ("fm", "none"):
            tags = {"day": str(day), "weights": f"w{day}", "transfer": transfer, "champion_before": champion}
            made = client.create_model_version(NAME, source=str(storage.mlflow_dir(tiny_config)), tags=tags)
        champion = str(made.version)  # the baseline became champion every day
    client.set_registered_model_alias(NAME, CHAMPION, "6")
    return client


def parent(client: MlflowClient, day: date) -> ModelVersion | None:
    return parent_of_candidate(client, NAME, day, champion=champion_before(client, NAME, day))


def line(client: MlflowClient, day: date) -> Iterator[ModelVersion]:
    return line_of_candidate(client, NAME, day, champion=champion_before(client, NAME, day))


def number(version: object) -> str | None:
    return None if version is None else str(version.version)


def test_a_rerun_finds_the_champion_that_was_before_its_day(client: MlflowClient) -> None:
    following = date(2026, 1, 5)
    assert [number(champion_before(client, NAME, day)) for day in (*DAYS, following)] == [None, "2", "4", "6"]


def test_while_a_baseline_serves_candidates_start_from_the_newest_candidate_before(client: MlflowClient) -> None:
    following = date(2026, 1, 5)
    assert [number(parent(client, day)) for day in (*DAYS, following)] == [None, "1", "3", "5"]


def test_a_champion_that_learnt_from_the_fm_is_where_a_candidate_starts(client: MlflowClient) -> None:
    client.set_registered_model_alias(NAME, CHAMPION, "1")
    assert number(parent(client, DAYS[2])) == "1"  # though version 3 is newer


def test_without_an_alias_the_day_starts_from_the_newest_that_once_was_champion(
    client: MlflowClient, caplog: pytest.LogCaptureFixture
) -> None:
    following = date(2026, 1, 5)
    client.delete_model_version(NAME, "6")
    assert number(champion_before(client, NAME, following)) == "4"
    assert "has no alias champion: the day starts from version 4" in caplog.text
    client.delete_model_version(NAME, "4")
    assert number(champion_before(client, NAME, following)) == "2"
    client.delete_model_version(NAME, "2")
    assert champion_before(client, NAME, following) is None


def test_a_line_of_champions_that_was_cut_is_taken_up_before_the_cut(client: MlflowClient) -> None:
    client.delete_model_version(NAME, "4")
    assert [number(champion_before(client, NAME, day)) for day in DAYS] == [None, "2", "2"]


def test_before_there_was_a_champion_there_is_none(tiny_config: PlatformConfig) -> None:
    client = tracking_client(tiny_config)
    client.create_registered_model(NAME)
    tags = {"day": str(DAYS[0]), "transfer": "fm", "champion_before": "", "gate": "refused"}
    client.create_model_version(NAME, source=str(storage.mlflow_dir(tiny_config)), tags=tags)
    assert champion_before(client, NAME, DAYS[1]) is None


def test_a_candidate_s_line_goes_on_before_a_parent_that_was_deleted(client: MlflowClient) -> None:
    for version, parent in (("3", "1"), ("5", "3")):
        client.set_model_version_tag(NAME, version, "parent", parent)
    following = date(2026, 1, 5)
    assert [number(version) for version in line(client, following)] == ["5", "3", "1"]
    client.delete_model_version(NAME, "3")
    assert [number(version) for version in line(client, following)] == ["5", "1"]


def test_contenders_of_a_day_with_equal_weights_are_two_versions(client: MlflowClient) -> None:
    weights = f"w{DAYS[1]}"
    assert number(version_of(client, NAME, day=DAYS[1], weights=weights)) == "3"
    assert number(version_of(client, NAME, day=DAYS[1], weights=weights, transfer="none")) == "4"
    assert version_of(client, NAME, day=DAYS[1], weights="other") is None
