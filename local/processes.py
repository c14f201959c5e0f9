"""Processes of servers: started and recorded, found again by their record, ended with all they started."""

import json
import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil

import storage
from config import ROOT, PlatformConfig
from local.services import Server, logs_dir

STOP_SECONDS = 15
SAME_START_SECONDS = 5  # a process that began this close to the recorded start is the recorded one


def spawn(config: PlatformConfig, server: Server) -> None:
    """Starts a server, its output going to its log, and records its pid."""
    with log_path(config, server.name).open("w") as output:
        process = psutil.Popen(
            server.command,
            env=full_env(server.env),
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # Ctrl-C in the terminal ends the table, not the servers
        )
    record = record_path(config, server.name)
    record.parent.mkdir(exist_ok=True)
    entry = {"pid": process.pid, "started": process.create_time(), "fingerprint": server.fingerprint}
    aside = record.with_suffix(".new")
    aside.write_text(json.dumps(entry))
    aside.rename(record)


def full_env(extra: dict[str, str]) -> dict[str, str]:
    """Returns the caller's environment, without its Airflow settings, and `extra`."""
    env = {name: value for name, value in os.environ.items() if not name.startswith("AIRFLOW")}
    env.pop("PYTHONDONTWRITEBYTECODE", None)  # it would make every task compile all it imports
    return env | extra


def running(config: PlatformConfig, name: str) -> psutil.Process | None:
    """Returns the process of a server that we started, if it still runs; never another with the same pid."""
    return recorded_process(record_path(config, name))


def is_as_recorded(config: PlatformConfig, server: Server) -> bool:
    """Says whether a server was started with the command and environment it would have now."""
    return bool(_read(record_path(config, server.name))["fingerprint"] == server.fingerprint)


def record_path(config: PlatformConfig, name: str) -> Path:
    """Returns the pid file of a server."""
    return storage.source_root(config) / "servers" / f"{name}.json"


def records(root: Path) -> Iterator[Path]:
    """Yields the pid files of every source below a storage root."""
    yield from sorted(root.glob("*/servers/*.json"))


def recorded_process(record: Path) -> psutil.Process | None:
    """Returns the process a pid file speaks of, if it still runs."""
    try:
        entry = _read(record)
        process = psutil.Process(entry["pid"])
        same = abs(process.create_time() - entry["started"]) < SAME_START_SECONDS
        return process if same and process.status() != psutil.STATUS_ZOMBIE else None
    except (FileNotFoundError, psutil.NoSuchProcess):
        return None


def stop_records(paths: list[Path]) -> list[str]:
    """Ends each recorded process with everything below it: politely, then by force; returns the names that ran."""
    found = {record.stem: process for record in paths if (process := recorded_process(record))}
    # Schedulers first, so that a task they stop can still report to the API server.
    schedulers = [process for name, process in found.items() if name == "airflow-scheduler"]
    _end([family for process in schedulers for family in _family(process)])
    _end([family for process in found.values() for family in _family(process)])
    for record in paths:
        record.unlink(missing_ok=True)
    return list(found)


def log_path(config: PlatformConfig, name: str) -> Path:
    """Returns the log of a server."""
    return logs_dir(config) / f"{name}.log"


def log_end(path: Path, lines: int = 30) -> str:
    """Returns the last lines of a log."""
    return "\n".join(path.read_text(errors="replace").splitlines()[-lines:])


def _read(record: Path) -> dict[str, Any]:
    return dict(json.loads(record.read_text()))


def _family(process: psutil.Process) -> list[psutil.Process]:
    """A process and everything below it; nothing if it has ended."""
    try:
        return [process, *process.children(recursive=True)]
    except psutil.NoSuchProcess:
        return []


def _end(processes: list[psutil.Process]) -> None:
    _signal(processes, psutil.Process.terminate)
    _, alive = psutil.wait_procs(processes, timeout=STOP_SECONDS)
    _signal(alive, psutil.Process.kill)
    psutil.wait_procs(alive, timeout=STOP_SECONDS)


def _signal(processes: list[psutil.Process], send: Callable[[psutil.Process], None]) -> None:
    for process in processes:
        try:
            send(process)
        except psutil.NoSuchProcess:
            continue  # it ended by itself; psutil never signals another process with its pid
