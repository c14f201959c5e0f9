"""Processes of servers: started and recorded, found again by their record, ended with all they started."""

import fcntl
import json
import os
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

import psutil

import storage
from config import ROOT, PlatformConfig
from local.services import Server, logs_dir

STOP_SECONDS = 15
END_ROUNDS = 3  # a process that cannot be killed does not keep others waiting for ever
SAME_START_SECONDS = 5  # a process that began this close to the recorded start is the recorded one


@contextmanager
def lock(config: PlatformConfig) -> Iterator[None]:
    """Waits until no other command starts, restarts or stops servers of this checkout, and keeps others waiting."""
    root = storage.source_root(config).parent
    root.mkdir(parents=True, exist_ok=True)
    with (root / "servers.lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)  # the system releases it when this process ends, however it ends
        yield


def spawn(config: PlatformConfig, server: Server) -> int:
    """Starts a server, its output going to its log, and records its pid; returns the pid.

    Where the server had died, the log continues after its last line; else it begins anew.
    """
    record = record_path(config, server.name)
    record.parent.mkdir(exist_ok=True)
    died = record.exists()  # a server that is stopped loses its record
    earlier = [start for start in _starts(record) if _session(*start)]
    log = log_path(config, server.name)
    if not died:
        log.write_text("")
    with log.open("a") as output:  # appended to from the start: children that keep running write to it as well
        if died:
            print(
                f"--- {server.name} died; started again at {datetime.now():%Y-%m-%d %H:%M:%S} ---",
                file=output,
                flush=True,
            )
        process = psutil.Popen(
            server.command,
            env=full_env(server.env),
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # Ctrl-C in the terminal ends the table, not the servers
        )
    entry = {
        "pid": process.pid,
        "started": process.create_time(),
        "fingerprint": server.fingerprint,
        "earlier": earlier,  # died, and left children that keep running
    }
    with storage.replace_file(record) as aside:
        aside.write_text(json.dumps(entry))
    return int(process.pid)


def end_leftovers(config: PlatformConfig, server: Server) -> None:
    """Ends what a dead server has left, such as a child that holds its port, except for work that is to continue."""
    if not server.children_go_on:
        starts = _starts(record_path(config, server.name))
        _end(lambda: [process for start in starts for process in _session(*start)])


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
    """Returns the process that a pid file records, if it still runs."""
    try:
        entry = _read(record)
        process = psutil.Process(entry["pid"])
        return process if _began(process, entry["started"]) and process.status() != psutil.STATUS_ZOMBIE else None
    except (FileNotFoundError, psutil.NoSuchProcess):
        return None


def family(record: Path) -> list[psutil.Process]:
    """Returns a recorded process, what it left behind when it died earlier, and everything below these."""
    process = recorded_process(record)
    members = [process] if process else []
    members += [child for start in _starts(record) for child in _session(*start)]
    return list(dict.fromkeys([*members, *(child for member in members for child in _below(member))]))


def stop_records(paths: list[Path]) -> list[str]:
    """Ends each recorded process with all it started: politely, then by force; returns the names of those that ran."""
    names = [record.stem for record in paths if recorded_process(record)]
    # Schedulers first, so that a task they stop can still report to the API server.
    _end(lambda: [process for record in paths if record.stem == "airflow-scheduler" for process in family(record)])
    _end(lambda: [process for record in paths for process in family(record)])
    for record in paths:
        record.unlink(missing_ok=True)
    return names


def log_path(config: PlatformConfig, name: str) -> Path:
    """Returns the log of a server."""
    return logs_dir(config) / f"{name}.log"


def log_end(path: Path, lines: int = 30) -> str:
    """Returns the last lines of a log."""
    return "\n".join(path.read_text(errors="replace").splitlines()[-lines:])


def _read(record: Path) -> dict[str, Any]:
    return dict(json.loads(record.read_text()))


def _starts(record: Path) -> list[tuple[int, float]]:
    """Reads pid and time of each start of a server since it was last stopped, from which processes may be left."""
    try:
        entry = _read(record)
    except FileNotFoundError:
        return []
    return [*((pid, started) for pid, started in entry.get("earlier", ())), (entry["pid"], entry["started"])]


def _below(process: psutil.Process) -> list[psutil.Process]:
    try:
        return [p for p in process.children(recursive=True) if p.is_running() and p.status() != psutil.STATUS_ZOMBIE]
    except psutil.NoSuchProcess:
        return []


def _session(pid: int, started: float) -> list[psutil.Process]:
    """Returns live processes of the session that a server opened: they stay in it when the server dies.

    The system gives the number to nobody else while one of them lives. Afterwards it may: then the number's holder
    began at another time, or the machine has started anew, or the process does not work in this checkout.
    """
    if started < psutil.boot_time():
        return []
    members = []
    for process in psutil.process_iter():
        try:
            if os.getsid(process.pid) != pid or process.status() == psutil.STATUS_ZOMBIE:
                continue
            if process.pid == pid and not _began(process, started):
                return []
            if Path(process.cwd()).samefile(ROOT):
                members.append(process)
        except (OSError, psutil.Error):
            continue  # it ended just now, or is somebody else's
    return members


def _began(process: psutil.Process, started: float) -> bool:
    return bool(abs(process.create_time() - started) < SAME_START_SECONDS)


def _end(find: Callable[[], list[psutil.Process]]) -> None:
    """Ends what is found, politely, then by force; looks again, as one may have started another just before its end."""
    for _ in range(END_ROUNDS):
        processes = find()
        if not processes:
            return
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
