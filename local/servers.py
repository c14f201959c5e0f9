"""Starts, stops and watches the servers of one data source: Airflow, MLflow, and the pages for people."""

import hashlib
import json
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import storage
from config import ROOT, PlatformConfig
from feature_repo.store_file import write_feature_store_yaml
from local import processes
from local.ports import holder, is_free
from local.services import POOLS, Server, admin_password, airflow_env, logs_dir, servers

START_SECONDS = 240
DEATHS = 3  # in a row: then a server is not started again
STEADY_SECONDS = 60  # a server that answered for so long died of something new


class ServerError(RuntimeError):
    """A server cannot start or died; the message says which, why, and what to do."""


def start(config: PlatformConfig, say: Callable[[str], None] = print) -> None:
    """Starts what does not run yet and returns when everything answers.

    Servers of another source of this checkout are stopped first, as they hold the ports.

    Raises:
        ServerError: a port is taken by somebody else, or a server died or did not answer in time.
        StoreError: a server that platform.yaml names does not answer.
    """
    storage.check_stores(config, *storage.STORES)
    state = (storage.airflow_home(config), storage.docs_dir(config), storage.mlflow_dir(config))
    for folder in (*state, logs_dir(config)):
        folder.mkdir(parents=True, exist_ok=True)
    admin_password(config)
    write_feature_store_yaml(config)
    wanted = servers(config)
    with processes.lock(config):
        _stop_other_sources(config, say)
        _start_missing(config, wanted, say)
    _wait_until_healthy(config, wanted, say)


def stop(config: PlatformConfig) -> list[str]:
    """Stops the servers of every source of this checkout, and tasks they run; returns the names of those that ran."""
    by_source: dict[Path, list[Path]] = {}
    with processes.lock(config):
        for record in processes.records(storage.source_root(config).parent):
            by_source.setdefault(record.parent, []).append(record)
        return [name for records in by_source.values() for name in processes.stop_records(records)]


def status(config: PlatformConfig) -> dict[str, str]:
    """Returns `running (pid N)`, `not answering (pid N)`, `died; log: PATH` or `stopped` for each server."""
    return {server.name: _state(config, server) for server in servers(config)}


class Watch:
    """Starts servers again that die, for as long as somebody asks.

    Several commands may watch the same servers: a dead one is started again by one of them.

    Args:
        config: the platform.
        watched: the servers; None: all of the chosen source.
        say: is told of each death, in one line.
        steady_s: seconds a server must answer, from its restart on, for its next death to be the first again.
    """

    def __init__(
        self,
        config: PlatformConfig,
        watched: list[Server] | None = None,
        *,
        say: Callable[[str], None] = print,
        steady_s: float = STEADY_SECONDS,
    ) -> None:
        self._config, self._say, self._steady_s = config, say, steady_s
        self._watched = servers(config) if watched is None else watched
        self._deaths: dict[str, int] = {}  # in a row
        self._well_since: dict[str, float] = {}  # of those that have died

    def check(self) -> None:
        """Starts each server again whose process has ended.

        Raises:
            ServerError: a server died for the third time in a row, or the servers were stopped on purpose.
        """
        for server in self._watched:
            if processes.running(self._config, server.name) is None:
                self._restart(server)
            elif server.name in self._deaths:
                self._forgive(server)

    def _restart(self, server: Server) -> None:
        name = server.name
        with processes.lock(self._config):
            if not processes.record_path(self._config, name).exists():
                raise ServerError(f"{name} was stopped; nothing is lost: `make run` starts it and continues the day")
            if processes.running(self._config, name):
                return  # another command started it while this one waited
            self._well_since.pop(name, None)
            self._deaths[name] = self._deaths.get(name, 0) + 1
            if self._deaths[name] >= DEATHS:
                log = processes.log_path(self._config, name)
                raise ServerError(f"{name} died {DEATHS} times in a row; the end of {log}:\n{processes.log_end(log)}")
            processes.end_leftovers(self._config, server)
            pid = processes.spawn(self._config, server)
        self._say(f"{name} died; started it again (pid {pid})")

    def _forgive(self, server: Server) -> None:
        """Forgets earlier deaths of a server once it has answered for long enough."""
        if not server.healthy():
            self._well_since.pop(server.name, None)
            return
        now = time.monotonic()
        if now - self._well_since.setdefault(server.name, now) >= self._steady_s:
            del self._deaths[server.name], self._well_since[server.name]


def _state(config: PlatformConfig, server: Server) -> str:
    process = processes.running(config, server.name)
    if process:
        return f"{'running' if server.healthy() else 'not answering'} (pid {process.pid})"
    if processes.record_path(config, server.name).exists():
        return f"died; log: {processes.log_path(config, server.name)}"
    return "stopped"


def _start_missing(config: PlatformConfig, wanted: list[Server], say: Callable[[str], None]) -> None:
    stale = [s for s in wanted if processes.running(config, s.name) and not processes.is_as_recorded(config, s)]
    if stale:
        say(f"settings changed: restarting {', '.join(server.name for server in stale)}")
        processes.stop_records([processes.record_path(config, server.name) for server in stale])
    missing = [server for server in wanted if processes.running(config, server.name) is None]
    for server in missing:
        processes.end_leftovers(config, server)
        if server.port and not is_free(server.port):
            raise ServerError(
                f"port {server.port} for {server.name} is in use by another program{holder(server.port)}; "
                f"stop it, or set runtime.{server.port_key} in platform.yaml"
            )
    if any(server.name.startswith("airflow") for server in missing):
        _migrate(config, say)
    for server in missing:
        processes.spawn(config, server)


def _stop_other_sources(config: PlatformConfig, say: Callable[[str], None]) -> None:
    own = storage.source_root(config)
    others = [r for r in processes.records(own.parent) if r.parent.parent != own and processes.family(r)]
    if others:
        say(f"stopping the servers of {', '.join(sorted({r.parent.parent.name for r in others}))}")
        processes.stop_records(others)


def _migrate(config: PlatformConfig, say: Callable[[str], None]) -> None:
    """Creates or upgrades Airflow's database and its pools, once for each lock file and size of the pools."""
    stamp = storage.airflow_home(config) / "migrated"
    slots = str(config.runtime.parallel_tasks)
    pools = [["pools", "set", name, slots, what] for name, what in POOLS.items()]
    lock = (ROOT / "requirements/airflow.txt").read_bytes()
    version = hashlib.sha256(lock + json.dumps([pools, storage.airflow_database(config)]).encode()).hexdigest()
    if stamp.exists() and stamp.read_text() == version:
        return
    say("preparing Airflow's database")
    log = processes.log_path(config, "airflow-db")
    with log.open("w") as output:
        for command in (["db", "migrate"], *pools):
            code = subprocess.run(
                [str(ROOT / ".venv/airflow/bin/airflow"), *command],
                env=processes.full_env(airflow_env(config)),
                cwd=ROOT,
                stdout=output,
                stderr=subprocess.STDOUT,
                check=False,
            ).returncode
            if code:
                raise ServerError(f"airflow {' '.join(command[:2])} failed:\n{processes.log_end(log)}")
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
