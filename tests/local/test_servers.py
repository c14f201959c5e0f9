import json
import socket
import sys
import time
from pathlib import Path

import psutil
import pytest

import storage
from config import PlatformConfig
from local import processes, servers, services

SLEEPER = [sys.executable, "-c", "import time; time.sleep(60)"]
PARENT = [sys.executable, "-c", f"import subprocess; subprocess.run({SLEEPER!r})"]


def record(config: PlatformConfig, name: str, *, pid: int, started: float) -> Path:
    path = storage.source_root(config) / "servers" / f"{name}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"pid": pid, "started": started, "fingerprint": ""}))
    return path


def test_stop_ends_a_server_and_what_it_started(tiny_config: PlatformConfig) -> None:
    server = psutil.Popen(PARENT)
    while not server.children():
        time.sleep(0.01)
    child = server.children()[0]
    path = record(tiny_config, "mlflow", pid=server.pid, started=server.create_time())
    assert servers.stop(tiny_config) == ["mlflow"]
    assert not server.is_running() and not child.is_running()
    assert not path.exists()


def test_stop_never_ends_another_process_with_the_same_pid(tiny_config: PlatformConfig) -> None:
    stranger = psutil.Popen(SLEEPER)
    try:
        record(tiny_config, "mlflow", pid=stranger.pid, started=stranger.create_time() - 3600)
        assert processes.running(tiny_config, "mlflow") is None
        assert servers.stop(tiny_config) == []
        assert stranger.is_running()
    finally:
        stranger.kill()
        stranger.wait()


def test_a_port_in_use_is_named_with_the_key_that_changes_it(tiny_config: PlatformConfig) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        config = tiny_config.changed(runtime={"mlflow_port": port})
        with pytest.raises(servers.ServerError, match=rf"port {port} for mlflow is in use .*runtime\.mlflow_port"):
            servers.start(config, say=lambda text: None)
    assert processes.running(config, "docs") is None  # nothing was started


def test_a_changed_setting_changes_the_fingerprint(tiny_config: PlatformConfig) -> None:
    changed = tiny_config.changed(runtime={"parallel_tasks": 7})
    before = {server.name: server.fingerprint for server in services.servers(tiny_config)}
    after = {server.name: server.fingerprint for server in services.servers(changed)}
    assert {name for name in before if before[name] != after[name]} == {
        "airflow-api-server",
        "airflow-scheduler",
        "airflow-dag-processor",
    }


def test_secrets_are_made_once_and_are_private(tiny_config: PlatformConfig) -> None:
    password = services.admin_password(tiny_config)
    assert password == services.admin_password(tiny_config)
    assert len(password) >= 16
    services.servers(tiny_config)
    home = storage.airflow_home(tiny_config)
    assert {oct(path.stat().st_mode & 0o777) for path in home.glob("*.json")} == {"0o600"}
    assert len(json.loads((home / "secrets.json").read_text())["jwt_secret"]) >= 64
