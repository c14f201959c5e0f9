"""Starts and stops the servers of one data source: Airflow, MLflow, and the pages for people."""

import hashlib
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import storage
from config import ROOT, PlatformConfig
from feature_repo.store_file import write_feature_store_yaml
from local import processes
from local.ports import holder, is_free
from local.services import Server, admin_password, airflow_env, airflow_home, logs_dir, servers

START_SECONDS = 240


class ServerError(RuntimeError):
    """A server cannot start or died; the message says which, why, and what to do."""


def start(config: PlatformConfig, say: Callable[[str], None] = print) -> None:
    """Starts what does not run yet and returns when everything answers.

    Servers of another source of this checkout are stopped first, as they hold the ports.

    Raises:
        ServerError: a port is taken by somebody else, or a server died or did not answer in time.
    """
    for folder in (airflow_home(config), logs_dir(config), storage.docs_dir(config), storage.mlflow_dir(config)):
        folder.mkdir(parents=True, exist_ok=True)
    admin_password(config)
    write_feature_store_yaml(config)
    _stop_other_sources(config, say)
    wanted = servers(config)
    stale = [s for s in wanted if processes.running(config, s.name) and not processes.is_as_recorded(config, s)]
    if stale:
        say(f"settings changed: restarting {', '.join(server.name for server in stale)}")
        processes.stop_records([processes.record_path(config, server.name) for server in stale])
    missing = [server for server in wanted if processes.running(config, server.name) is None]
    for server in missing:
        if server.port and not is_free(server.port):
            raise ServerError(
                f"port {server.port} for {server.name} is in use by another program{holder(server.port)}; "
                f"stop it, or set runtime.{server.port_key} in platform.yaml"
            )
    if any(server.name.startswith("airflow") for server in missing):
        _migrate(config, say)
    for server in missing:
        processes.spawn(config, server)
    _wait_until_healthy(config, wanted, say)


def stop(config: PlatformConfig) -> list[str]:
    """Stops the servers of every source of this checkout, and tasks they run; returns the names of those that ran."""
    by_source: dict[Path, list[Path]] = {}
    for record in processes.records(storage.source_root(config).parent):
        by_source.setdefault(record.parent, []).append(record)
    return [name for records in by_source.values() for name in processes.stop_records(records)]


def status(config: PlatformConfig) -> dict[str, str]:
    """Returns `running (pid N)`, `not answering (pid N)` or `stopped` for each server."""
    result = {}
    for server in servers(config):
        process = processes.running(config, server.name)
        state = "running" if process and server.healthy() else "not answering"
        result[server.name] = f"{state} (pid {process.pid})" if process else "stopped"
    return result


def _stop_other_sources(config: PlatformConfig, say: Callable[[str], None]) -> None:
    own = storage.source_root(config)
    others = [
        record
        for record in processes.records(own.parent)
        if record.parent.parent != own and processes.recorded_process(record)
    ]
    if others:
        say(f"stopping the servers of {', '.join(sorted({r.parent.parent.name for r in others}))}")
        processes.stop_records(others)


def _migrate(config: PlatformConfig, say: Callable[[str], None]) -> None:
    """Creates or upgrades Airflow's database, once for each lock file."""
    stamp = airflow_home(config) / "migrated"
    version = hashlib.sha256((ROOT / "requirements/airflow.txt").read_bytes()).hexdigest()
    if stamp.exists() and stamp.read_text() == version:
        return
    say("preparing Airflow's database")
    log = processes.log_path(config, "airflow-db")
    with log.open("w") as output:
        code = subprocess.run(
            [str(ROOT / ".venv/airflow/bin/airflow"), "db", "migrate"],
            env=processes.full_env(airflow_env(config)),
            cwd=ROOT,
            stdout=output,
            stderr=subprocess.STDOUT,
            check=False,
        ).returncode
    if code:
        raise ServerError(f"airflow db migrate failed:\n{processes.log_end(log)}")
    stamp.write_text(version)


def _wait_until_healthy(config: PlatformConfig, wanted: list[Server], say: Callable[[str], None]) -> None:
    deadline = time.monotonic() + START_SECONDS
    waiting = list(wanted)
    while waiting:
        for server in list(waiting):
            if processes.running(config, server.name) is None:
                log = processes.log_path(config, server.name)
                raise ServerError(f"{server.name} stopped by itself; the end of {log}:\n{processes.log_end(log)}")
            if server.healthy():
                waiting.remove(server)
                say(f"{server.name} is up")
        if waiting and time.monotonic() > deadline:
            names = ", ".join(server.name for server in waiting)
            raise ServerError(f"no answer from {names} after {START_SECONDS} s; logs: {logs_dir(config)}")
        if waiting:
            time.sleep(0.5)
