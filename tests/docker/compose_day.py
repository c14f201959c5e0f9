"""A platform day in containers: `make compose-test` builds, starts, runs, asks, kills, compares, and takes down.

    python -m tests.docker.compose_day

Days of the synthetic log run through Airflow's API in docker/compose.yaml; then the three doors and /score are asked.
While the second day runs, a Spark worker and Redis are killed; the day must end well, and running it again undisturbed
must give the same tables. With `AIRFLOW_EXECUTOR=CeleryExecutor` a Celery worker runs the jobs, and the Redis that is
killed is its broker, too. `COMPOSE` (default `docker compose`) and `ENGINE` (`docker`) name the tools; with `BUILT`
set, images are those there are, and with `KEEP` all stays up. The stores' images are those of the compose file unless
its variables say otherwise. Needs the ports of the compose file.
"""

import json
import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import date
from typing import Any

import requests
import yaml

from benchmarks.report import report
from config import ROOT
from local.airflow_api import Airflow, AirflowError
from tests.tiny_days import DAYS

COMPOSE = [*shlex.split(os.environ.get("COMPOSE", "docker compose"))]
ENGINE = os.environ.get("ENGINE", "docker")
FILES = ["-f", str(ROOT / "docker/compose.yaml"), "-f", str(ROOT / "tests/docker/compose.tiny.yaml")]
PROJECT = "headwater-test"
CELERY = os.environ.get("AIRFLOW_EXECUTOR") == "CeleryExecutor"
PROFILES = ["--profile", "celery"] if CELERY else []
VERTICAL = "feed"
SETTINGS = {
    "HEADWATER_SOURCE": "synthetic",
    "HEADWATER_OVERLAY": "docker/platform.yaml:tiny.yaml",
    "VERTICAL": VERTICAL,
}
FEAST = """
import json
from feast import FeatureStore
store = FeatureStore(".headwater/feature_repo")
names = ["user_activity:user_impressions_30d", "user_fm_history:fm_history_item_ids"]
answer = store.get_online_features(names, [{"user_id": USER}]).to_dict()
print(json.dumps({name: values[0] for name, values in answer.items()}))
"""
MANIFESTS = """
import json
from pathlib import Path
lake = Path(".headwater/synthetic/lake")
found = {p.parent.parent.name: json.loads(p.read_text()) for p in lake.glob("*/ds=DAY/_SUCCESS.json")}
print(json.dumps({table: [m["content_hash"], m["rows"]] for table, m in sorted(found.items())}))
"""
USER = """
from datetime import date
import storage
from config import load_config
day, columns = date.fromisoformat("DAY"), ["user_id", "item_id"]
row = storage.read_partition(load_config(), "vertical_examples", day, columns=columns).slice(0, 1).to_pylist()[0]
print(row["user_id"], row["item_id"])
"""


class Failed(RuntimeError):
    """The stack did not do what it must; the message says what."""


def main() -> int:
    """Runs everything; the last line is the result as JSON. Returns 1 if the stack failed."""
    subprocess.run([sys.executable, str(ROOT / "docker/make_secrets.py")], check=True)
    secrets = dict(line.split("=", 1) for line in (ROOT / "docker/.env").read_text().split())
    figures: dict[str, Any] = {"compose_day_ok": 0, "survived_kills": 0}
    started = time.monotonic()
    try:
        if not os.environ.get("BUILT"):
            compose("build")
            figures["build_s"] = round(time.monotonic() - started)
        started = time.monotonic()
        start()
        figures["start_s"] = round(time.monotonic() - started)
        airflow = connect(secrets["AIRFLOW_PASSWORD"])
        figures["first_day_s"] = round(run_day(airflow, DAYS[0]))
        ask_the_doors(DAYS[0])
        figures["compose_day_ok"] = 1
        figures["disturbed_day_s"] = round(run_day(airflow, DAYS[1], disturb=kill_worker_and_redis))
        disturbed = tables(DAYS[1])
        ask_the_doors(DAYS[1])
        figures["same_day_undisturbed_s"] = round(run_day(airflow, DAYS[1], force=True))
        again = tables(DAYS[1])
        different = [name for name in disturbed | again if disturbed.get(name) != again.get(name)]
        if different:
            raise Failed(f"tables differ from those of the undisturbed day: {', '.join(different)}")
        figures["survived_kills"], figures["tables_compared"] = 1, len(again)
        leaks = leaked(secrets)
        if leaks:
            raise Failed(f"a password lies in {', '.join(leaks)}")
        figures["no_secret_found"] = 1
    except (Failed, AirflowError) as error:
        print(f"error: {error}", file=sys.stderr)
        compose("logs", "--tail", "15")
    finally:
        if not os.environ.get("KEEP"):
            compose("down", "--volumes")
    whole = bool(figures["survived_kills"] and figures.get("no_secret_found"))
    result, command = ("compose_celery", "AIRFLOW_EXECUTOR=CeleryExecutor ") if CELERY else ("compose", "")
    report(result, figures, command=f"{command}make compose-test", packages=["pyspark", "mlflow", "feast"], keep=whole)
    return 0 if whole else 1


def start() -> None:
    """Starts the services, each when what it needs is there: not every tool waits for what `depends_on` names."""
    first = ("postgres", "redis", "s3", "airflow-init")
    compose("up", "-d", *first[:-1])
    wait("Postgres", 60, lambda: inside("postgres", "pg_isready", "-h", "127.0.0.1", "-U", "headwater"))
    compose("up", "-d", "airflow-init")
    wait("airflow-init", 420, lambda: "exited" in engine("inspect", "-f", "{{.State.Status}}", name("airflow-init")))
    if engine("inspect", "-f", "{{.State.ExitCode}}", name("airflow-init")).strip() != "0":
        raise Failed(f"airflow-init failed:\n{engine('logs', name('airflow-init'))}")
    described = yaml.safe_load((ROOT / "docker/compose.yaml").read_text())["services"]
    compose(
        "up",
        "-d",
        "--no-deps",
        *(s for s in described if s not in first and (CELERY or "profiles" not in described[s])),
    )
    wait("MLflow", 420, lambda: requests.get("http://127.0.0.1:5000/health", timeout=5).text)
    wait("Airflow", 420, lambda: requests.get("http://127.0.0.1:8080/api/v2/version", timeout=5).text)


def connect(password: str) -> Airflow:
    """Returns Airflow's API once it knows the DAG."""
    airflow = Airflow(
        "http://127.0.0.1:8080",
        dag_id="daily_transfer",
        user="admin",
        password=password,
        while_away=lambda: time.sleep(2),
    )
    wait("the DAG", 420, airflow.is_known)
    return airflow


def run_day(
    airflow: Airflow, day: date, *, force: bool = False, disturb: Callable[[str, set[str]], None] | None = None
) -> float:
    """Runs a day to its end, telling what runs; returns its seconds."""
    began = time.monotonic()
    run_id = airflow.trigger(day, dated=False, force=force)["dag_run_id"]
    shown: set[str] = set()
    done: set[str] = set()
    while (state := airflow.run(run_id)["state"]) not in ("success", "failed"):
        for task in airflow.task_instances(run_id):
            told = f"{task['task_id']}[{task['map_index']}] try {task['try_number']}: {task['state']}"
            if task["state"] in ("running", "success", "failed", "up_for_retry") and told not in shown:
                shown.add(told)
                print(f"{day} {time.monotonic() - began:5.0f} s  {told}", file=sys.stderr, flush=True)
            if disturb and task["state"] == "running":
                disturb(task["task_id"], done)
        time.sleep(1)
    if state == "failed":
        for task in airflow.task_instances(run_id):
            if task["state"] == "failed":
                print(*airflow.log(task)[-20:], sep="\n", file=sys.stderr)
        raise Failed(f"day {day} failed")
    return time.monotonic() - began


def kill_worker_and_redis(task_id: str, done: set[str]) -> None:
    """Kills, once each: a Spark worker as features are extracted, Redis as the foundation model learns."""
    for service, during in (("spark-worker-1", "extract_features"), ("redis", "train_foundation")):
        if during in task_id and service not in done:
            done.add(service)
            time.sleep(6)  # into its work
            pid = int(engine("inspect", "-f", "{{.State.Pid}}", name(service)))
            os.kill(pid, signal.SIGKILL)
            print(f"killed {service} during {during}", file=sys.stderr, flush=True)


def ask_the_doors(day: date) -> None:
    """Asks Feast, MLflow, /score and the pages about a day that is done."""
    user, item = python(USER.replace("DAY", str(day))).split()
    known = json.loads(python(FEAST.replace("USER", repr(user))))
    if not known["user_impressions_30d"]:
        raise Failed(f"Feast knows nothing of user {user}: {known}")
    promote_by_hand()
    ask = {"user_id": user, "candidates": [item, "unknown"]}

    def scored() -> Any:
        answer = requests.post("http://127.0.0.1:5002/score", json=ask, timeout=10)
        return answer.ok and answer.headers["X-Headwater-Features"] == "online" and answer.json()["scores"]

    scores = wait("/score", 180, scored)
    if len(scores) != 2 or not all(0 < score < 1 for score in scores):
        raise Failed(f"/score answered {scores}")
    requests.get(f"http://127.0.0.1:8088/reports/ds={day}/", timeout=30).raise_for_status()
    wait(
        "Prometheus",
        60,
        lambda: (
            "headwater_requests_total"
            in requests.get("http://127.0.0.1:9090/api/v1/label/__name__/values", timeout=10).text
        ),
    )


def promote_by_hand() -> None:
    """Makes the newest version champion: on days so small the gate promotes nobody, as it should."""
    models, model = "http://127.0.0.1:5000/api/2.0/mlflow/registered-models", f"vertical_{VERTICAL}"
    known = requests.get(f"{models}/get", params={"name": model}, timeout=30).json()["registered_model"]
    if "champion" not in {alias["alias"] for alias in known.get("aliases", [])}:
        newest = max(int(version["version"]) for version in known["latest_versions"])
        asked = {"name": model, "alias": "champion", "version": str(newest)}
        requests.post(f"{models}/alias", json=asked, timeout=30).raise_for_status()


def tables(day: date) -> dict[str, Any]:
    """Returns content hash and rows of every table of a day; without what a DAG of its own makes after the day."""
    found = dict(json.loads(python(MANIFESTS.replace("DAY", str(day)))))
    return {table: known for table, known in found.items() if not table.startswith("gain_parts_")}


def leaked(secrets: dict[str, str]) -> list[str]:
    """Returns the files of the platform's state that hold a password; Airflow's own file of passwords apart."""
    found = []
    for secret in secrets.values():
        search = ["grep", "-rlF", "--exclude=passwords.json", secret, ".headwater"]
        command = [ENGINE, "exec", name("airflow-scheduler"), *search]
        found += subprocess.run(command, capture_output=True, text=True, check=False).stdout.split()
    return found


def python(script: str) -> str:
    """Runs a script where the jobs run; returns the last line it printed."""
    return engine(
        "exec", name("airflow-scheduler"), ".venv/jobs/bin/python", "-W", "ignore", "-c", script
    ).splitlines()[-1]


def inside(service: str, *command: str) -> bool:
    """Says whether a command ends well in a service's container."""
    done = subprocess.run([ENGINE, "exec", name(service), *command], capture_output=True, check=False)
    return done.returncode == 0


def name(service: str) -> str:
    """Returns the container of a service."""
    found = engine("ps", "-a", "--format", "{{.Names}}").split()
    mine = [known for known in found if known.replace("_", "-") == f"{PROJECT}-{service}-1"]
    if not mine:
        raise Failed(f"there is no container of {service}")
    return mine[0]


def engine(*command: str) -> str:
    """Runs a command of the container engine and returns what it says."""
    done = subprocess.run([ENGINE, *command], capture_output=True, text=True, check=False)
    if done.returncode:
        raise Failed(f"{ENGINE} {' '.join(command[:3])}: {done.stderr.strip()}")
    return done.stdout + (done.stderr if command[0] == "logs" else "")


def compose(*command: str) -> None:
    """Runs a command of compose on the platform's files."""
    whole, env = [*COMPOSE, *PROFILES, "-p", PROJECT, *FILES, *command], os.environ | SETTINGS
    if subprocess.run(whole, env=env, cwd=ROOT, stdout=sys.stderr, check=False).returncode:
        raise Failed(f"compose {' '.join(command)} failed")


def wait(what: str, seconds: float, ask: Callable[[], Any]) -> Any:
    """Asks until there is an answer, and returns it."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            if answer := ask():
                return answer
        except (requests.RequestException, Failed, KeyError, ValueError):
            answer = None
        if time.monotonic() > deadline:
            raise Failed(f"no answer from {what} after {seconds} s")
        time.sleep(1)


if __name__ == "__main__":
    sys.exit(main())
