"""Days whose MLflow, Feast registry and online store are on real servers: Postgres, Redis, a tracking server."""

from collections.abc import Iterator
from contextlib import ExitStack

import pytest

import storage
from config import PlatformConfig
from tests.store_servers import PASSWORD, SECRET, postgres, redis_server, tracking_server
from tests.tiny_days import (
    DAYS,
    VERTICAL,
    assert_online_is_offline,
    promote_by_hand,
    run_day,
    score_in_a_process_of_its_own,
    tiny_platform,
)
from training.tracking import tracking_client

pytestmark = pytest.mark.e2e


@pytest.fixture(scope="module", params=["postgres", "redis and a tracking server"])
def config(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[PlatformConfig]:
    """Yields a platform on servers, two of whose days are done; the first candidate was made champion by hand."""
    folder = tmp_path_factory.mktemp("stores")
    servers = folder / "servers"
    servers.mkdir()
    with pytest.MonkeyPatch.context() as patch, ExitStack() as stack:
        patch.setenv(SECRET, PASSWORD)
        database = stack.enter_context(postgres(servers))
        urls = {"mlflow": database, "feast_registry": database, "feast_online": database}
        if request.param != "postgres":
            urls["feast_online"] = stack.enter_context(redis_server(servers))
            urls["mlflow"] = stack.enter_context(tracking_server(servers))
        config = tiny_platform(folder, **urls)
        for day in DAYS:
            distilled = run_day(config, day)["distill", day]
            if day == DAYS[0]:
                promote_by_hand(config, distilled["version"])
        yield config


def test_what_was_put_online_is_what_the_lake_knows(config: PlatformConfig):
    assert_online_is_offline(config)


def test_a_registered_champion_scores_from_the_servers_alone(config: PlatformConfig):
    rows = storage.read_partition(config, f"evaluations_{VERTICAL}", DAYS[-1], columns=["user_id", "item_id"])
    answer = score_in_a_process_of_its_own(config, rows.slice(0, 20).to_pandas())
    assert len(set(answer["probability"])) > 10 and all(0 < p < 1 for p in answer["probability"])


def test_running_a_day_again_makes_no_second_version(config: PlatformConfig):
    client, name = tracking_client(config), storage.registered_model(VERTICAL)
    before = {v.version for v in client.search_model_versions(f"name='{name}'")}
    run_day(config, DAYS[-1])
    assert {v.version for v in client.search_model_versions(f"name='{name}'")} == before
    assert_online_is_offline(config)


def test_nothing_is_kept_in_files_that_a_server_keeps(config: PlatformConfig):
    root = storage.source_root(config)
    assert not [path for name in ("mlflow.db", "registry.db", "online.db") for path in root.rglob(name)]
    assert storage.online_store_bytes(config) is None
    assert len(storage.kept_on_servers(config)) == 3


def test_the_password_is_found_nowhere(config: PlatformConfig):
    folders = [storage.source_root(config), storage.feature_repo_dir(config)]
    files = [path for folder in folders for path in folder.rglob("*") if path.is_file()]
    assert len(files) > 50
    assert not [path for path in files if PASSWORD.encode() in path.read_bytes()]
