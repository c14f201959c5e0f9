from pathlib import Path

import pytest
from sqlalchemy import create_engine, text
from sqlalchemy.engine import make_url

import storage
from config import ConfigError, PlatformConfig, load_config
from tests.store_servers import PASSWORD, SECRET, postgres, redis_server
from training.tracking import experiment_named, tracking_client

URL = f"postgresql://headwater:${{{SECRET}}}@db.example:6543/platform?sslmode=require"


@pytest.fixture(autouse=True)
def secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(SECRET, PASSWORD)


def test_a_database_is_named_with_driver_schema_and_password(tiny_config: PlatformConfig):
    url = make_url(storage.mlflow_tracking_uri(tiny_config.changed(storage={"mlflow": URL})))
    assert (url.drivername, url.host, url.port, url.database) == ("postgresql+psycopg", "db.example", 6543, "platform")
    assert url.password == PASSWORD
    assert url.query == {"sslmode": "require", "options": "-csearch_path=mlflow_synthetic"}
    url = make_url(storage.airflow_database(tiny_config.changed(storage={"airflow": URL})))
    assert url.query["options"] == "-csearch_path=airflow_synthetic"


def test_feast_is_given_the_names_of_passwords_only(tiny_config: PlatformConfig):
    settings = {"feast_registry": URL, "feast_online": f"rediss://me:${{{SECRET}}}@cache.example/3"}
    config = tiny_config.changed(storage=settings)
    assert PASSWORD not in str(storage.feast_registry(config)) + str(storage.feast_online(config))
    connection = storage.feast_online(config)["connection_string"].split(",")
    assert connection[0] == "cache.example:6379"
    assert {"username=me", f"password=${{{SECRET}}}", "db=3", "ssl=true"} < set(connection)
    assert any(part.startswith("socket_timeout=") for part in connection)


@pytest.mark.parametrize(
    ("key", "url", "told"),
    [
        ("mlflow", "mysql://host/db", "expected a URL such as postgresql://host or http://host or https://host"),
        ("mlflow", "postgresql://me@/db", "expected a URL"),
        ("airflow", "http://host", "expected a URL such as postgresql://host"),
        ("feast_registry", "postgresql://host/db", "name user and database"),
        ("feast_registry", "postgresql://me@host", "name user and database"),
        ("feast_online", "redis://:hunter2@host", "a password is not written here"),
        ("feast_online", "redis://:${NOT_SET}@host", "environment variable NOT_SET is not set"),
        ("feast_online", "redis://:${ODD}@host", "ODD holds may have letters, digits"),
        ("feast_online", "redis://host:99999", "ort out of range"),
    ],
)
def test_a_wrong_url_is_refused_by_its_line_before_anything_is_done(
    key: str, url: str, told: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("ODD", "a b")
    shipped = (Path(__file__).parents[2] / "platform.yaml").read_text()
    lines = shipped.replace("\nstorage:\n", f"\nstorage:\n  {key}: {url}\n")
    path = tmp_path / "platform.yaml"
    path.write_text(lines)
    number = lines.splitlines().index(f"  {key}: {url}") + 1
    with pytest.raises(ConfigError) as error:
        load_config(path)
    assert f"platform.yaml:{number}: storage.{key}: " in str(error.value) and told in str(error.value)
    assert "hunter2" not in str(error.value)


@pytest.mark.parametrize("scheme", ["postgresql", "redis", "http"])
def test_a_server_that_is_down_is_one_line_without_the_password(scheme: str, tiny_config: PlatformConfig):
    key = {"postgresql": "feast_registry", "redis": "feast_online", "http": "mlflow"}[scheme]
    url = f"{scheme}://me:${{{SECRET}}}@127.0.0.1:9/{'db' if scheme != 'redis' else 0}"
    with pytest.raises(storage.StoreError) as error:
        storage.check_stores(tiny_config.changed(storage={key: url}), *storage.STORES)
    told = str(error.value)
    assert told.startswith(f"storage.{key}: {scheme}://127.0.0.1:9/") and "cannot be used: " in told
    assert PASSWORD not in told and "\n" not in told


def test_a_wrong_password_is_told_without_it(
    tiny_config: PlatformConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    with postgres(tmp_path / "servers") as database:
        monkeypatch.setenv(SECRET, "another")
        with pytest.raises(storage.StoreError, match=r"storage\.mlflow: .*password authentication failed"):
            storage.check_stores(tiny_config.changed(storage={"mlflow": database}), "mlflow")
    with redis_server(tmp_path) as cache, pytest.raises(storage.StoreError, match=r"storage\.feast_online: .*invalid"):
        storage.check_stores(tiny_config.changed(storage={"feast_online": cache}), "feast_online")


def test_two_sources_share_a_database_without_seeing_each_other(tiny_config: PlatformConfig, tmp_path: Path):
    with postgres(tmp_path / "servers") as database:
        one = tiny_config.changed(storage={"mlflow": database, "airflow": database})
        other = one.changed(data_source="movielens")
        for config in (one, other):
            experiment_named(config, tracking_client(config), f"of_{config.data_source}")
        storage.check_stores(one, "airflow")
        names = {e.name for e in tracking_client(one).search_experiments()}
        assert names == {"Default", "of_synthetic"}
        with create_engine(storage.airflow_database(one)).connect() as connection:
            schemas = set(connection.execute(text("SELECT nspname FROM pg_namespace")).scalars())
        assert {"mlflow_synthetic", "mlflow_movielens", "airflow_synthetic"} < schemas
        assert not {"airflow_movielens", "feast_synthetic"} & schemas


def test_what_outlives_the_folder_is_named(tiny_config: PlatformConfig):
    config = tiny_config.changed(storage={"mlflow": URL, "feast_online": "rediss://cache.example"})
    assert storage.kept_on_servers(config) == [
        "storage.mlflow: schema mlflow_synthetic at postgresql://db.example:6543/platform",
        "storage.feast_online: keys of headwater_synthetic at rediss://cache.example",
    ]
    assert storage.kept_on_servers(tiny_config) == []
