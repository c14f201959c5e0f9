"""What runs beside the jobs, as data: name, command, port, environment and health check of each server."""

import hashlib
import json
import secrets
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import requests

import storage
from config import ROOT, PlatformConfig, jobs_python

ADMIN = "admin"
POOLS = {"search": "trials of search_architecture at a time"}  # Airflow's; each has runtime.parallel_tasks slots

# What Airflow and MLflow are told wherever they run, in docker/compose.yaml too.
AIRFLOW_SETTINGS = {
    "AIRFLOW__API__WORKERS": "1",
    "AIRFLOW__CORE__DAGS_ARE_PAUSED_AT_CREATION": "false",
    "AIRFLOW__CORE__LOAD_EXAMPLES": "false",
    "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS": f"{ADMIN}:ADMIN",
    "AIRFLOW__DAG_PROCESSOR__MIN_FILE_PROCESS_INTERVAL": "120",  # s; an edited file is read at once
    "AIRFLOW__DAG_PROCESSOR__PARSING_PROCESSES": "1",
    "AIRFLOW__DAG_PROCESSOR__REFRESH_INTERVAL": "10",  # s
    "AIRFLOW__SCHEDULER__SCHEDULER_IDLE_SLEEP_TIME": "0.25",  # s
    "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT": "60",  # s; then a vanished task is tried again
    "AIRFLOW__USAGE_DATA_COLLECTION__ENABLED": "false",
    # A task that cannot reach the API server asks again for about a minute, while it is restarted.
    "AIRFLOW__WORKERS__EXECUTION_API_RETRIES": "20",
    "AIRFLOW__WORKERS__EXECUTION_API_RETRY_WAIT_MAX": "5",  # s
}
# Model files are never unpickled.
MLFLOW_SETTINGS = {
    "MLFLOW_ALLOW_PICKLE_DESERIALIZATION": "false",
    "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
    "MLFLOW_DISABLE_TELEMETRY": "true",
}


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
        children_go_on: what it started finishes its work when the server itself dies; else that is ended before the
            server is started again.
    """

    name: str
    command: list[str]
    healthy: Callable[[], bool]
    port: int | None = None
    port_key: str = ""
    env: dict[str, str] = field(default_factory=dict)
    children_go_on: bool = False

    @property
    def fingerprint(self) -> str:
        """Returns a hash that changes when the server would be started differently."""
        return hashlib.sha256(json.dumps([self.command, sorted(self.env.items())]).encode()).hexdigest()


def airflow_url(config: PlatformConfig) -> str:
    """Returns the address of the Airflow UI and REST API."""
    return f"http://127.0.0.1:{config.runtime.airflow_port}"


def mlflow_url(config: PlatformConfig) -> str:
    """Returns the address of the MLflow UI: that of the tracking server, where platform.yaml names one."""
    if storage.has_tracking_server(config):
        return str(config.storage.mlflow).rstrip("/")
    return f"http://127.0.0.1:{config.runtime.mlflow_port}"


def docs_url(config: PlatformConfig) -> str:
    """Returns the address of the run reports and Data Docs."""
    return f"http://127.0.0.1:{config.runtime.docs_port}"


def servers(config: PlatformConfig) -> list[Server]:
    """Returns all servers of the chosen source, in the order they are started."""
    runtime, mlflow = config.runtime, storage.mlflow_dir(config)
    airflow, settings = str(ROOT / ".venv/airflow/bin/airflow"), airflow_env(config)
    python = jobs_python()
    # The address of its database is not in the command, which others can see.
    mlflow_env = MLFLOW_SETTINGS | {"MLFLOW_BACKEND_STORE_URI": storage.mlflow_tracking_uri(config)}
    mlflow_command = [python, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(runtime.mlflow_port)]
    mlflow_command += ["--workers", "1"]
    mlflow_command += ["--default-artifact-root", str(mlflow / "artifacts"), "--no-serve-artifacts"]
    docs_command = [python, "-m", "http.server", str(runtime.docs_port), "--bind", "127.0.0.1"]
    docs_command += ["--directory", str(storage.docs_dir(config))]
    mlflow_server = Server(
        "mlflow",
        mlflow_command,
        lambda: _answers(f"{mlflow_url(config)}/health"),
        port=runtime.mlflow_port,
        port_key="mlflow_port",
        env=mlflow_env,
    )
    return [
        *([] if storage.has_tracking_server(config) else [mlflow_server]),
        Server("docs", docs_command, lambda: _answers(docs_url(config)), port=runtime.docs_port, port_key="docs_port"),
        Server(
            "airflow-api-server",
            [airflow, "api-server"],
            lambda: _answers(f"{airflow_url(config)}/api/v2/version"),
            port=runtime.airflow_port,
            port_key="airflow_port",
            env=settings,
        ),
        Server(
            "airflow-scheduler",
            [airflow, "scheduler", "--skip-serve-logs"],
            lambda: _beats(config, "scheduler"),
            env=settings,
            children_go_on=True,  # tasks: they report to the API server, and need no scheduler to end well
        ),
        Server(
            "airflow-dag-processor",
            [airflow, "dag-processor"],
            lambda: _beats(config, "dag_processor"),
            env=settings,
        ),
    ]


def airflow_env(config: PlatformConfig) -> dict[str, str]:
    """Returns Airflow's settings, sized for one machine with few cores."""
    home, port, tasks = storage.airflow_home(config), config.runtime.airflow_port, config.runtime.parallel_tasks
    secret = _secrets(config)
    env = AIRFLOW_SETTINGS | {
        "AIRFLOW_HOME": str(home),
        "AIRFLOW__API__BASE_URL": airflow_url(config),
        "AIRFLOW__API__HOST": "127.0.0.1",
        "AIRFLOW__API__INSTANCE_NAME": f"Headwater: {config.data_source}",
        "AIRFLOW__API__PORT": str(port),
        "AIRFLOW__API__SECRET_KEY": secret["secret_key"],
        "AIRFLOW__API_AUTH__JWT_SECRET": secret["jwt_secret"],
        "AIRFLOW__CORE__DAGS_FOLDER": str(ROOT / "dags"),
        "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"{airflow_url(config)}/execution/",
        "AIRFLOW__CORE__EXECUTOR": "LocalExecutor",
        "AIRFLOW__CORE__MAX_ACTIVE_TASKS_PER_DAG": str(tasks),
        "AIRFLOW__CORE__PARALLELISM": str(tasks),
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE": str(home / "passwords.json"),
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": storage.airflow_database(config),
        "AIRFLOW__LOGGING__BASE_LOG_FOLDER": str(logs_dir(config) / "tasks"),
        "HEADWATER_JOBS_PYTHON": jobs_python(),
        "HEADWATER_SOURCE": config.data_source,
        "PYTHONPATH": str(ROOT),
    }
    if config.storage.airflow:  # its driver is both; Airflow would look for another
        env["AIRFLOW__DATABASE__SQL_ALCHEMY_CONN_ASYNC"] = storage.airflow_database(config)
    if config.source.path:
        env["HEADWATER_DATA_PATH"] = config.source.path
    return env


def _answers(url: str) -> bool:
    try:
        return requests.get(url, timeout=5).status_code == requests.codes.ok
    except requests.RequestException:
        return False


def _beats(config: PlatformConfig, component: str) -> bool:
    try:
        health = requests.get(f"{airflow_url(config)}/api/v2/monitor/health", timeout=10).json()
        return bool(health[component]["status"] == "healthy")
    except (requests.RequestException, KeyError):
        return False


# --- where their state is -----------------------------------------------------------------------


def logs_dir(config: PlatformConfig) -> Path:
    """Returns the folder of the servers' logs; the tasks' logs are below it."""
    return storage.source_root(config) / "logs"


def admin_password(config: PlatformConfig) -> str:
    """Returns the password of the Airflow user `admin`, made once."""
    path = storage.airflow_home(config) / "passwords.json"
    if not path.exists():
        _write_private(path, {ADMIN: secrets.token_urlsafe(12)})
    return str(json.loads(path.read_text())[ADMIN])


def _secrets(config: PlatformConfig) -> dict[str, str]:
    path = storage.airflow_home(config) / "secrets.json"
    if not path.exists():
        _write_private(path, {name: secrets.token_urlsafe(64) for name in ("jwt_secret", "secret_key")})
    return dict(json.loads(path.read_text()))


def _write_private(path: Path, content: dict[str, str]) -> None:
    with storage.replace_file(path, mode=0o600) as aside:
        aside.write_text(json.dumps(content))
