"""Real servers of stores for tests; where one is not installed, the test that asks for it says so and skips."""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest
import redis
import requests

from local.ports import free_ports
from local.services import MLFLOW_SETTINGS

PASSWORD = "canary-5f1c9e"  # whoever finds it in a file, a log or a result has found a leak
SECRET = "HEADWATER_TEST_PASSWORD"  # the environment variable that holds it
START_S, MLFLOW_START_S = 30, 90


@contextmanager
def postgres(folder: Path) -> Iterator[str]:
    """Yields the URL of a Postgres server with its data below `folder`; its password is named by SECRET."""
    binaries = _postgres_binaries()
    data, (port,) = folder / "postgres", free_ports(1)
    data.mkdir(parents=True)
    pwfile = folder / "postgres.password"
    pwfile.write_text(PASSWORD)
    user = None
    if os.getuid() == 0:  # Postgres refuses to run as root
        user = "postgres"
        for path in (data, pwfile):
            shutil.chown(path, user)
        for above in [folder, *folder.parents]:
            if above.stat().st_uid == 0 and not above.stat().st_mode & 0o001:
                above.chmod(above.stat().st_mode | 0o011)
    init = [binaries / "initdb", "-D", data, "-U", "headwater", "-A", "scram-sha-256", f"--pwfile={pwfile}", "-N"]
    subprocess.run(init, check=True, capture_output=True, user=user, cwd="/")
    pwfile.unlink()
    command = [binaries / "postgres", "-D", data, "-p", str(port), "-c", "listen_addresses=127.0.0.1"]
    command += ["-c", f"unix_socket_directories={data}", "-c", "fsync=off"]
    url = f"postgresql://headwater:{PASSWORD}@127.0.0.1:{port}/postgres"

    def ready() -> None:
        psycopg.connect(url, connect_timeout=2).close()

    # Not SIGTERM: that would wait for clients that stay connected.
    with _server(command, ready, psycopg.OperationalError, folder / "postgres.log", signal.SIGINT, user):
        yield url.replace(PASSWORD, f"${{{SECRET}}}")


@contextmanager
def redis_server(folder: Path) -> Iterator[str]:
    """Yields the URL of a Redis server with its data below `folder`; its password is named by SECRET."""
    binary = shutil.which("redis-server")
    if binary is None:
        pytest.skip("redis-server is not installed (Debian: apt install redis-server)")
    (port,) = free_ports(1)
    command = [binary, "--bind", "127.0.0.1", "--port", str(port), "--dir", folder, "--requirepass", PASSWORD]
    url = f"redis://:{PASSWORD}@127.0.0.1:{port}"

    def ready() -> None:
        redis.Redis.from_url(url).ping()

    with _server(command, ready, redis.ConnectionError, folder / "redis.log", signal.SIGTERM):
        yield url.replace(PASSWORD, f"${{{SECRET}}}")


@contextmanager
def tracking_server(folder: Path) -> Iterator[str]:
    """Yields the URL of an MLflow tracking server that passes artifacts on, as one machine serves several."""
    (port,) = free_ports(1)
    url = f"http://127.0.0.1:{port}"
    command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", port, "--workers", "1"]
    command += ["--backend-store-uri", f"sqlite:///{folder}/mlflow.db", "--artifacts-destination", folder / "proxied"]

    def ready() -> None:
        requests.get(f"{url}/health", timeout=2).raise_for_status()

    with _server(
        command,
        ready,
        requests.RequestException,
        folder / "mlflow.log",
        signal.SIGTERM,
        env=MLFLOW_SETTINGS,
        start_s=MLFLOW_START_S,
    ):
        yield url


@contextmanager
def _server(
    command: list[object],
    ready: Callable[[], None],
    not_yet: type[Exception],
    log: Path,
    stop: signal.Signals,
    user: str | None = None,
    env: Mapping[str, str] | None = None,
    start_s: float = START_S,
) -> Iterator[None]:
    with log.open("w") as output:
        whole = [str(part) for part in command]
        given = os.environ | dict(env or {})
        process = subprocess.Popen(
            whole, stdout=output, stderr=output, user=user, cwd="/", env=given, start_new_session=True
        )
        try:
            deadline = time.monotonic() + start_s
            while True:
                try:
                    ready()
                    break
                except not_yet:
                    if process.poll() is not None or time.monotonic() > deadline:
                        raise RuntimeError(f"{command[0]} did not start:\n{log.read_text()}") from None
                    time.sleep(0.1)
            yield
        finally:
            process.send_signal(stop)
            process.wait(timeout=30)


def _postgres_binaries() -> Path:
    found = shutil.which("initdb")
    folders = [Path(found).parent] if found else sorted(Path("/usr/lib/postgresql").glob("*/bin"))
    if not folders:
        pytest.skip("Postgres is not installed (Debian: apt install postgresql)")
    return folders[-1]
