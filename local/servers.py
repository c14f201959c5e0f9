"""Starts, watches and stops the servers of one data source: Airflow, MLflow, and the pages for people."""

import hashlib
import json
import os
import secrets
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import psutil
import requests

import storage
from config import ROOT, PlatformConfig, jobs_python
from feature_repo.store_file import write_feature_store_yaml

ADMIN = "admin"
START_SECONDS = 240
STOP_SECONDS = 15
SAME_START_SECONDS = 5  # a process that began this close to the recorded start is the recorded one


class ServerError(RuntimeError):
    """A server cannot start or died; the message says which, why, and what to do."""


@dataclass(frozen=True)
class Server:
    """One server process.

    Attributes:
        name: what people call it; also the name of its log and pid file.
        command: argument list.
        port: the port it listens on at 127.0.0.1; None for those without.
        port_key: the key in platform.yaml that sets the port.
        healthy: says whether it answers as it should.
        env: what it needs besides the environment of the caller.
    """

    name: str
    command: list[str]
    healthy: Callable[[], bool]
    port: int | None = None
    port_key: str = ""
    env: dict[str, str] = field(default_factory=dict)

    @property
    def fingerprint(self) -> str:
        """Changes when the server would be started differently."""
        return hashlib.sha256(json.dumps([self.command, sorted(self.env.items())]).encode()).hexdigest()


# --- what runs ----------------------------------------------------------------------------------


def airflow_url(config: PlatformConfig) -> str:
    """Address of the Airflow UI and REST API."""
    return f"http://127.0.0.1:{config.runtime.airflow_port}"


def mlflow_url(config: PlatformConfig) -> str:
    """Address of the MLflow UI."""
    return f"http://127.0.0.1:{config.runtime.mlflow_port}"


def docs_url(config: PlatformConfig) -> str:
    """Address of the run reports and Data Docs."""
    return f"http://127.0.0.1:{config.runtime.docs_port}"


def servers(config: PlatformConfig) -> list[Server]:
    """All servers of the chosen source, in the order they are started."""
    runtime, mlflow = config.runtime, storage.mlflow_dir(config)
    airflow, airflow_env = str(ROOT / ".venv/airflow/bin/airflow"), _airflow_env(config)
    python = jobs_python()
    # One worker each: these serve one person. Model files are never unpickled.
    mlflow_env = {
        "MLFLOW_ALLOW_PICKLE_DESERIALIZATION": "false",
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
        "MLFLOW_DISABLE_TELEMETRY": "true",
    }
    mlflow_command = [python, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(runtime.mlflow_port)]
    mlflow_command += ["--backend-store-uri", storage.mlflow_tracking_uri(config), "--workers", "1"]
    mlflow_command += ["--default-artifact-root", str(mlflow / "artifacts"), "--no-serve-artifacts"]
    docs_command = [python, "-m", "http.server", str(runtime.docs_port), "--bind", "127.0.0.1"]
    docs_command += ["--directory", str(storage.docs_dir(config))]
    return [
        Server(
            "mlflow",
            mlflow_command,
            lambda: _answers(f"{mlflow_url(config)}/health"),
            port=runtime.mlflow_port,
            port_key="mlflow_port",
            env=mlflow_env,
        ),
        Server("docs", docs_command, lambda: _answers(docs_url(config)), port=runtime.docs_port, port_key="docs_port"),
        Server(
            "airflow-api-server",
            [airflow, "api-server"],
            lambda: _answers(f"{airflow_url(config)}/api/v2/version"),
            port=runtime.airflow_port,
            port_key="airflow_port",
            env=airflow_env,
        ),
        Server(
            "airflow-scheduler",
            [airflow, "scheduler", "--skip-serve-logs"],
            lambda: _beats(config, "scheduler"),
            env=airflow_env,
        ),
        Server(
            "airflow-dag-processor",
            [airflow, "dag-processor"],
            lambda: _beats(config, "dag_processor"),
            env=airflow_env,
        ),
    ]


def _airflow_env(config: PlatformConfig) -> dict[str, str]:
    """Airflow's settings, sized for one machine with few cores."""
    home, port, tasks = airflow_home(config), config.runtime.airflow_port, config.runtime.parallel_tasks
    secret = _secrets(config)
    env = {
        "AIRFLOW_HOME": str(home),
        "AIRFLOW__API__BASE_URL": airflow_url(config),
        "AIRFLOW__API__HOST": "127.0.0.1",
        "AIRFLOW__API__INSTANCE_NAME": f"Headwater: {config.data_source}",
        "AIRFLOW__API__PORT": str(port),
        "AIRFLOW__API__SECRET_KEY": secret["secret_key"],
        "AIRFLOW__API__WORKERS": "1",
        "AIRFLOW__API_AUTH__JWT_SECRET": secret["jwt_secret"],
        "AIRFLOW__CORE__DAGS_ARE_PAUSED_AT_CREATION": "false",
        "AIRFLOW__CORE__DAGS_FOLDER": str(ROOT / "dags"),
        "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"{airflow_url(config)}/execution/",
        "AIRFLOW__CORE__EXECUTOR": "LocalExecutor",
        "AIRFLOW__CORE__LOAD_EXAMPLES": "false",
        "AIRFLOW__CORE__MAX_ACTIVE_TASKS_PER_DAG": str(tasks),
        "AIRFLOW__CORE__PARALLELISM": str(tasks),
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE": str(home / "passwords.json"),
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS": f"{ADMIN}:ADMIN",
        "AIRFLOW__DAG_PROCESSOR__MIN_FILE_PROCESS_INTERVAL": "120",  # s; an edited file is read at once
        "AIRFLOW__DAG_PROCESSOR__PARSING_PROCESSES": "1",
        "AIRFLOW__DAG_PROCESSOR__REFRESH_INTERVAL": "10",  # s
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{home / 'airflow.db'}",
        "AIRFLOW__LOGGING__BASE_LOG_FOLDER": str(logs_dir(config) / "tasks"),
        "AIRFLOW__SCHEDULER__SCHEDULER_IDLE_SLEEP_TIME": "0.25",  # s
        "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT": "60",  # s; then a vanished task is tried again
        "AIRFLOW__USAGE_DATA_COLLECTION__ENABLED": "false",
        "HEADWATER_JOBS_PYTHON": jobs_python(),
        "HEADWATER_SOURCE": config.data_source,
        "PYTHONPATH": str(ROOT),
    }
    if config.source.path:
        env["HEADWATER_DATA_PATH"] = config.source.path
    return env


# --- where their state is -----------------------------------------------------------------------


def airflow_home(config: PlatformConfig) -> Path:
    """Folder of Airflow's database and passwords."""
    return storage.source_root(config) / "airflow"


def logs_dir(config: PlatformConfig) -> Path:
    """Folder of the servers' logs; the tasks' logs are below it."""
    return storage.source_root(config) / "logs"


def admin_password(config: PlatformConfig) -> str:
    """Password of the Airflow user `admin`, made once."""
    path = airflow_home(config) / "passwords.json"
    if not path.exists():
        _write_private(path, {ADMIN: secrets.token_urlsafe(12)})
    return str(json.loads(path.read_text())[ADMIN])


def _secrets(config: PlatformConfig) -> dict[str, str]:
    path = airflow_home(config) / "secrets.json"
    if not path.exists():
        _write_private(path, {name: secrets.token_urlsafe(64) for name in ("jwt_secret", "secret_key")})
    return dict(json.loads(path.read_text()))


def _write_private(path: Path, content: dict[str, str]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_suffix(f".{os.getpid()}")
    aside.touch(mode=0o600)
    aside.write_text(json.dumps(content))
    aside.rename(path)


# --- processes we started -----------------------------------------------------------------------


def _record_path(config: PlatformConfig, name: str) -> Path:
    return storage.source_root(config) / "servers" / f"{name}.json"


def running(config: PlatformConfig, name: str) -> psutil.Process | None:
    """The process of a server that we started, if it still runs; never another process with the same pid."""
    return _recorded_process(_record_path(config, name))


def _recorded_process(record: Path) -> psutil.Process | None:
    try:
        entry = json.loads(record.read_text())
        process = psutil.Process(entry["pid"])
        same = abs(process.create_time() - entry["started"]) < SAME_START_SECONDS
        return process if same and process.status() != psutil.STATUS_ZOMBIE else None
    except (FileNotFoundError, psutil.NoSuchProcess):
        return None


def _records(root: Path) -> Iterator[Path]:
    """Pid files of every source below a storage root."""
    yield from sorted(root.glob("*/servers/*.json"))


# --- start, stop, status ------------------------------------------------------------------------


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
    stale = [server for server in wanted if running(config, server.name) and not _as_recorded(config, server)]
    if stale:
        say(f"settings changed: restarting {', '.join(server.name for server in stale)}")
        _stop_records([_record_path(config, server.name) for server in stale])
    missing = [server for server in wanted if running(config, server.name) is None]
    for server in missing:
        if server.port and not _is_free(server.port):
            raise ServerError(
                f"port {server.port} for {server.name} is in use by another program{_holder(server.port)}; "
                f"stop it, or set runtime.{server.port_key} in platform.yaml"
            )
    if any(server.name.startswith("airflow") for server in missing):
        _migrate(config, say)
    for server in missing:
        _spawn(config, server)
    _wait_until_healthy(config, wanted, say)


def stop(config: PlatformConfig) -> list[str]:
    """Stops the servers of every source of this checkout, and tasks they run; returns the names of those that ran."""
    by_source: dict[Path, list[Path]] = {}
    for record in _records(storage.source_root(config).parent):
        by_source.setdefault(record.parent, []).append(record)
    return [name for records in by_source.values() for name in _stop_records(records)]


def status(config: PlatformConfig) -> dict[str, str]:
    """`running (pid N)`, `starting` or `stopped` for each server."""
    result = {}
    for server in servers(config):
        process = running(config, server.name)
        state = "running" if process and server.healthy() else "not answering"
        result[server.name] = f"{state} (pid {process.pid})" if process else "stopped"
    return result


def _as_recorded(config: PlatformConfig, server: Server) -> bool:
    entry = json.loads(_record_path(config, server.name).read_text())
    return bool(entry["fingerprint"] == server.fingerprint)


def _stop_other_sources(config: PlatformConfig, say: Callable[[str], None]) -> None:
    own = storage.source_root(config)
    others = [record for record in _records(own.parent) if record.parent.parent != own and _recorded_process(record)]
    if others:
        say(f"stopping the servers of {', '.join(sorted({r.parent.parent.name for r in others}))}")
        _stop_records(others)


def _stop_records(records: list[Path]) -> list[str]:
    """Ends each recorded process with everything below it: politely, then by force."""
    found = {record.stem: process for record in records if (process := _recorded_process(record))}
    # Schedulers first, so that a task they stop can still report to the API server.
    schedulers = [process for name, process in found.items() if name == "airflow-scheduler"]
    _end([family for process in schedulers for family in _family(process)])
    _end([family for process in found.values() for family in _family(process)])
    for record in records:
        record.unlink(missing_ok=True)
    return list(found)


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


def _migrate(config: PlatformConfig, say: Callable[[str], None]) -> None:
    """Creates or upgrades Airflow's database, once for each lock file."""
    stamp = airflow_home(config) / "migrated"
    version = hashlib.sha256((ROOT / "requirements/airflow.txt").read_bytes()).hexdigest()
    if stamp.exists() and stamp.read_text() == version:
        return
    say("preparing Airflow's database")
    log = logs_dir(config) / "airflow-db.log"
    with log.open("w") as output:
        code = subprocess.run(
            [str(ROOT / ".venv/airflow/bin/airflow"), "db", "migrate"],
            env=_full_env(_airflow_env(config)),
            cwd=ROOT,
            stdout=output,
            stderr=subprocess.STDOUT,
            check=False,
        ).returncode
    if code:
        raise ServerError(f"airflow db migrate failed:\n{_tail(log)}")
    stamp.write_text(version)


def _spawn(config: PlatformConfig, server: Server) -> None:
    log = logs_dir(config) / f"{server.name}.log"
    with log.open("w") as output:
        process = psutil.Popen(
            server.command,
            env=_full_env(server.env),
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # Ctrl-C in the terminal ends the table, not the servers
        )
    record = _record_path(config, server.name)
    record.parent.mkdir(exist_ok=True)
    entry = {"pid": process.pid, "started": process.create_time(), "fingerprint": server.fingerprint}
    aside = record.with_suffix(".new")
    aside.write_text(json.dumps(entry))
    aside.rename(record)


def _full_env(extra: dict[str, str]) -> dict[str, str]:
    env = {name: value for name, value in os.environ.items() if not name.startswith("AIRFLOW")}
    env.pop("PYTHONDONTWRITEBYTECODE", None)  # it would make every task compile all it imports
    return env | extra


def _wait_until_healthy(config: PlatformConfig, wanted: list[Server], say: Callable[[str], None]) -> None:
    deadline = time.monotonic() + START_SECONDS
    waiting = list(wanted)
    while waiting:
        for server in list(waiting):
            if running(config, server.name) is None:
                log = logs_dir(config) / f"{server.name}.log"
                raise ServerError(f"{server.name} stopped by itself; the end of {log}:\n{_tail(log)}")
            if server.healthy():
                waiting.remove(server)
                say(f"{server.name} is up")
        if waiting and time.monotonic() > deadline:
            names = ", ".join(server.name for server in waiting)
            raise ServerError(f"no answer from {names} after {START_SECONDS} s; logs: {logs_dir(config)}")
        if waiting:
            time.sleep(0.5)


# --- small questions ----------------------------------------------------------------------------


def _answers(url: str) -> bool:
    try:
        return requests.get(url, timeout=5).status_code == requests.codes.ok
    except requests.RequestException:
        return False


def _beats(config: PlatformConfig, part: str) -> bool:
    try:
        health = requests.get(f"{airflow_url(config)}/api/v2/monitor/health", timeout=10).json()
        return bool(health[part]["status"] == "healthy")
    except (requests.RequestException, KeyError):
        return False


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def _holder(port: int) -> str:
    """` (NAME, pid N)` of the program that listens on a port, where the system tells."""
    if sys.platform == "darwin":
        return ""  # only root may ask
    for connection in psutil.net_connections(kind="tcp"):
        if connection.status == psutil.CONN_LISTEN and connection.laddr.port == port and connection.pid:
            return f" ({psutil.Process(connection.pid).name()}, pid {connection.pid})"
    return ""


def _tail(path: Path, lines: int = 30) -> str:
    return "\n".join(path.read_text(errors="replace").splitlines()[-lines:])
