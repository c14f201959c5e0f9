"""Where MLflow, Feast and Airflow keep their state: files below the root, or the servers that platform.yaml names.

Several sources may share a server. In Postgres each has schemas of its own, `mlflow_SOURCE` and so on; in Redis its
keys begin with Feast's project, which is named after the source.
"""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit, urlunsplit

from config import SECRET, PlatformConfig
from storage.places import airflow_home, feast_dir, mlflow_dir

FEAST_STORES = ("feast_registry", "feast_online")  # keys below `storage`
DAY_STORES = ("mlflow", *FEAST_STORES)  # without them no day can end
STORES = (*DAY_STORES, "airflow")
TIMEOUT_S = 5  # to answer
POSTGRES_PORT, REDIS_PORT = 5432, 6379


class StoreError(RuntimeError):
    """A server that platform.yaml names does not answer or refuses; the message says which, and why."""


def mlflow_tracking_uri(config: PlatformConfig) -> str:
    """Returns the URI of MLflow's backend: a database, or a tracking server. It may hold a password: never log it."""
    url = config.storage.mlflow
    if url is None:
        return f"sqlite:///{mlflow_dir(config) / 'mlflow.db'}"
    return _sqlalchemy(_revealed(url), _schema(config, "mlflow")) if _is_postgres(url) else _revealed(url)


def airflow_database(config: PlatformConfig) -> str:
    """Returns the URI of Airflow's database. It may hold a password: never log it."""
    if config.storage.airflow is None:
        return f"sqlite:///{airflow_home(config) / 'airflow.db'}"
    return _sqlalchemy(_revealed(config.storage.airflow), _schema(config, "airflow"))


def feast_registry(config: PlatformConfig) -> str | dict[str, Any]:
    """Returns Feast's setting `registry`; passwords are still named, as Feast itself puts them in."""
    url = config.storage.feast_registry
    if url is None:
        return str(feast_dir(config) / "registry.db")
    return {"registry_type": "sql", "path": _sqlalchemy(url, _schema(config, "feast_registry"))}


def feast_online(config: PlatformConfig) -> dict[str, Any]:
    """Returns Feast's setting `online_store`; passwords are still named, as Feast itself puts them in."""
    url = config.storage.feast_online
    if url is None:
        return {"type": "sqlite", "path": str(_online_file(config))}
    parts = urlsplit(url)
    if not _is_postgres(url):
        options = {
            "username": parts.username,
            "password": parts.password,
            "db": parts.path.strip("/"),
            "ssl": "true" if parts.scheme == "rediss" else None,
            # Without limits a server that is there but silent would hold up a day, or a request for scores, for good.
            "socket_connect_timeout": str(TIMEOUT_S),
            "socket_timeout": str(TIMEOUT_S),
        }
        given = [f"{name}={value}" for name, value in options.items() if value]
        address = f"{parts.hostname}:{parts.port or REDIS_PORT}"
        return {"type": "redis", "connection_string": ",".join([address, *given])}
    return {
        "type": "postgres",
        "host": parts.hostname,
        "port": parts.port or POSTGRES_PORT,
        "database": parts.path.strip("/"),
        "db_schema": _schema(config, "feast_online"),
        "user": parts.username,
        "password": parts.password or "",
        "sslmode": "prefer",
    }


def online_store_bytes(config: PlatformConfig) -> int | None:
    """Returns the size of the online store's file; None where it is a server, or there is none yet."""
    path = _online_file(config)
    return path.stat().st_size if config.storage.feast_online is None and path.is_file() else None


def has_tracking_server(config: PlatformConfig) -> bool:
    """Says whether MLflow is a tracking server of its own, which then keeps artifacts, too."""
    return (config.storage.mlflow or "").startswith("http")


def check_stores(config: PlatformConfig, *keys: str) -> None:
    """Makes sure that servers answer, and that the source has a schema there, before any work that needs them.

    Args:
        config: the platform.
        keys: which of STORES; where platform.yaml names no server there is nothing to ask.

    Raises:
        StoreError: one does not.
    """
    for key in keys:
        _check(config, key)


def kept_on_servers(config: PlatformConfig) -> list[str]:
    """Returns what of the source is on servers and so outlives the folder below the root, in words."""
    kept = []
    for key in STORES:
        url, schema = getattr(config.storage, key), _schema(config, key)
        if url is None:
            continue
        keys = f"keys of headwater_{config.data_source}"
        part = {"postgresql": f"schema {schema}", "redis": keys, "rediss": keys}
        kept.append(f"storage.{key}: {part.get(urlsplit(url).scheme, 'everything')} at {_without_secrets(url)}")
    return kept


def _online_file(config: PlatformConfig) -> Path:
    return feast_dir(config) / "online.db"


def _schema(config: PlatformConfig, key: str) -> str:
    """Returns the schema of a source's tables; Feast's are together, so that one right to a schema serves both."""
    return f"{key.partition('_')[0]}_{config.data_source}"


def _check(config: PlatformConfig, key: str) -> None:
    url = getattr(config.storage, key)
    if url is None:
        return
    scheme = urlsplit(url).scheme
    ask: Callable[[str, str], None] = {"postgresql": _ask_postgres, "redis": _ask_redis, "rediss": _ask_redis}.get(
        scheme, _ask_http
    )
    try:
        ask(_revealed(url), _schema(config, key))
    except Exception as error:
        said = next(iter(str(error).strip().splitlines()), type(error).__name__)
        raise StoreError(f"storage.{key}: {_without_secrets(url)} cannot be used: {said}") from None


# Imported where they are used: most jobs of most installations need none of them.


def _ask_postgres(url: str, schema: str) -> None:
    import psycopg
    from psycopg.sql import SQL, Identifier

    with psycopg.connect(url, connect_timeout=TIMEOUT_S) as connection:
        known = connection.execute("SELECT 1 FROM pg_namespace WHERE nspname = %s", [schema]).fetchone()
        if known is None:  # asked first: to make one that is there needs the right to make one
            connection.execute(SQL("CREATE SCHEMA IF NOT EXISTS {}").format(Identifier(schema)))


def _ask_redis(url: str, schema: str) -> None:
    import redis

    with redis.Redis.from_url(url, socket_connect_timeout=TIMEOUT_S, socket_timeout=TIMEOUT_S) as server:
        server.ping()


def _ask_http(url: str, schema: str) -> None:
    import requests

    requests.get(f"{url.rstrip('/')}/health", timeout=TIMEOUT_S).raise_for_status()


def _is_postgres(url: str) -> bool:
    return urlsplit(url).scheme == "postgresql"


def _sqlalchemy(url: str, schema: str) -> str:
    """Returns a Postgres URL as SQLAlchemy takes it, with the schema where its tables are."""
    parts = urlsplit(url)
    options = f"options={quote(f'-csearch_path={schema}', safe='')}"
    return urlunsplit(parts._replace(scheme="postgresql+psycopg", query="&".join(filter(None, [parts.query, options]))))


def _revealed(url: str) -> str:
    return SECRET.sub(lambda name: os.environ[name[1]], url)


def _without_secrets(url: str) -> str:
    parts = urlsplit(url)
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2], query=""))
