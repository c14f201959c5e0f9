"""The whole platform through real servers: days run by Airflow, jobs killed for real, the form filled in a browser."""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import psutil
import pytest
import requests
import yaml
from mlflow import MlflowClient

import storage
from config import ROOT, PlatformConfig, load_config
from local import servers
from local.airflow_api import Airflow
from tests.e2e.browser import CHROMIUM, DRIVER, chromium

pytestmark = pytest.mark.e2e

RUN_SECONDS = 900  # bootstrap and one day, on 2 cores
DAY_SECONDS = 600
SETTINGS = ("HEADWATER_CONFIG", "HEADWATER_SOURCE", "HEADWATER_DATA_PATH", "AIRFLOW", "PYTHON")
BOOTSTRAP, NEXT, KILLED, BY_HAND = (date(2026, 1, n) for n in (2, 3, 4, 5))
LAKE = ["events", "quarantine", "examples", "user_activity", "item_activity", "fm_outputs", "user_fm_history"]


@dataclass(frozen=True)
class Platform:
    """A running platform: its configuration, the environment of its commands, and what `run` printed."""

    config: PlatformConfig
    env: dict[str, str]
    output: str

    @property
    def airflow(self) -> Airflow:
        password = servers.admin_password(self.config)
        url = servers.airflow_url(self.config)
        return Airflow(url, dag_id="daily_transfer", user=servers.ADMIN, password=password)


def free_ports(count: int) -> list[int]:
    sockets = [socket.socket() for _ in range(count)]
    for probe in sockets:
        probe.bind(("127.0.0.1", 0))
    ports = [probe.getsockname()[1] for probe in sockets]
    for probe in sockets:
        probe.close()
    return ports


def write_config(folder: Path) -> Path:
    """The shipped platform on a tiny log and small models, with state and ports of its own."""
    tree = yaml.safe_load((ROOT / "platform.yaml").read_text())
    airflow, mlflow, docs = free_ports(3)
    tree["data_source"] = "synthetic"
    tree["sources"]["synthetic"] |= {"events_per_day": 2000, "bootstrap_days": 2}
    tree["storage"] = {"root": str(folder / "state"), "cache": str(folder / "cache")}
    tree["storage"]["feature_repo"] = str(folder / "feature_repo")
    tree["runtime"] |= {"airflow_port": airflow, "mlflow_port": mlflow, "docs_port": docs, "spark_memory": "1g"}
    tree["foundation_model"] |= {"embedding_dim": 8, "code_dim": 8}
    tree["foundation_model"]["num_embeddings"] = {"user_id": 1024, "item_id": 1024, "other": 256}
    tree["vertical_model"]["num_embeddings"] = {"user_id": 512, "item_id": 512, "other": 128}
    path = folder / "platform.yaml"
    path.write_text(yaml.safe_dump(tree))
    return path


@pytest.fixture(scope="module")
def platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    folder = tmp_path_factory.mktemp("platform")
    path = write_config(folder)
    env = {k: v for k, v in os.environ.items() if not k.startswith(SETTINGS)}
    env["HEADWATER_CONFIG"] = str(path)
    with pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if name.startswith(SETTINGS)]:
            patch.delenv(name)
        config = load_config(path)
    try:
        output = local(env, "run", "--days", "1", timeout=RUN_SECONDS)
        yield Platform(config, env, output)
    finally:
        local(env, "down", timeout=120)
        assert all(servers.running(config, s.name) is None for s in servers.servers(config))


def local(env: dict[str, str], *arguments: str, timeout: int) -> str:
    command = [sys.executable, "-m", "local", *arguments]
    done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, timeout=timeout, check=False)
    assert done.returncode == 0, f"{arguments}: {done.stdout[-6000:]}\n{done.stderr[-3000:]}"
    return done.stdout


def wait_for(what: str, condition: Callable[[], Any], *, timeout: int) -> Any:
    deadline = time.monotonic() + timeout
    while not (found := condition()):
        assert time.monotonic() < deadline, f"{what}: not within {timeout} s"
        time.sleep(0.2)
    return found


def uncommitted(config: PlatformConfig) -> list[Path]:
    """Partitions without a manifest, and what a job has left beside them."""
    lake = storage.source_root(config) / "lake"
    partitions = [p for p in lake.glob("*/ds=*") if p.parent.name != "_staging"]
    return [p for p in partitions if not (p / storage.MANIFEST).is_file()] + list(lake.glob("_staging/*"))


def test_two_days_ran_and_their_results_are_shown(platform: Platform) -> None:
    runs = platform.airflow.runs()
    assert [(r["conf"]["day"], r["state"]) for r in runs] == [(str(NEXT), "success"), (str(BOOTSTRAP), "success")]
    for run in runs:
        states = {i["task_id"]: i["state"] for i in platform.airflow.task_instances(run["dag_run_id"])}
        assert set(states.values()) == {"success"}, states
    for expected in (f"{BOOTSTRAP}: held-out", f"{NEXT}: held-out", "candidate", "headroom ratio", "password"):
        assert expected in platform.output
    for vertical in platform.config.verticals:
        assert f"distill_vertical [{vertical}] success" in platform.output


def test_every_table_of_both_days_is_committed(platform: Platform) -> None:
    for day in (BOOTSTRAP, NEXT):
        assert all(storage.read_manifest(platform.config, table, day)["rows"] >= 0 for table in LAKE)
        assert storage.read_manifest(platform.config, "events", day)["rows"] > 0
    assert uncommitted(platform.config) == []


def test_the_pages_for_people_answer(platform: Platform) -> None:
    docs, mlflow = servers.docs_url(platform.config), servers.mlflow_url(platform.config)
    assert "<html" in requests.get(f"{docs}/reports/ds={NEXT}/", timeout=30).text.lower()
    assert "<html" in requests.get(f"{docs}/data_docs/", timeout=30).text.lower()
    experiments = requests.get(f"{mlflow}/api/2.0/mlflow/experiments/search?max_results=50", timeout=30).json()
    assert {f"vertical_{v}" for v in platform.config.verticals} <= {e["name"] for e in experiments["experiments"]}


def test_a_second_run_of_a_done_day_is_skipped_at_once(platform: Platform) -> None:
    started = platform.airflow.trigger(NEXT, dated=False)["dag_run_id"]
    wait_for("the skipped run", lambda: platform.airflow.run(started)["state"] == "success", timeout=120)
    states = {i["task_id"]: i["state"] for i in platform.airflow.task_instances(started)}
    assert states["plan_day"] == states["features.ingest"] == states["write_report"] == "skipped"


def test_killed_jobs_are_tried_again_and_leave_nothing_half_written(platform: Platform) -> None:
    config, airflow = platform.config, platform.airflow
    vertical = config.verticals[0]
    victims = {"extract_features": ["extract_features"], "distill_vertical": ["distill_vertical", vertical]}
    run_id = airflow.trigger(KILLED)["dag_run_id"]
    for job, words in victims.items():
        process = wait_for(f"{job} to run", lambda words=words: job_process(KILLED, words), timeout=DAY_SECONDS)
        if job == "extract_features":  # in the middle of its work: something is staged, nothing committed
            staging = storage.source_root(config) / "lake" / "_staging"
            wait_for("a staged table", lambda folder=staging: list(folder.glob(f"*ds={KILLED}*")), timeout=120)
        for member in [*process.children(recursive=True), process]:
            member.kill()
        assert not storage.has_partition(config, "examples", KILLED) or job == "distill_vertical"
    state = wait_for("the day", lambda: airflow.run(run_id)["state"] in ("success", "failed"), timeout=DAY_SECONDS)
    assert state
    assert airflow.run(run_id)["state"] == "success"
    instances = {(i["task_id"], i["rendered_map_index"]): i for i in airflow.task_instances(run_id)}
    assert instances["features.extract_features", None]["try_number"] == 2
    assert instances["verticals.distill_vertical", vertical]["try_number"] == 2
    assert uncommitted(config) == []
    assert (
        storage.read_manifest(config, "examples", KILLED)["rows"]
        == (storage.read_manifest(config, "events", KILLED)["rows"])
    )
    client = MlflowClient(storage.mlflow_tracking_uri(config))
    for name in map(storage.registered_model, config.verticals):
        days = [version.tags["day"] for version in client.search_model_versions(f"name='{name}'")]
        assert sorted(days) == [str(BOOTSTRAP), str(NEXT), str(KILLED)], name


def job_process(day: date, words: list[str]) -> psutil.Process | None:
    """The running process of a job, by the words on its command line."""
    for process in psutil.process_iter(["cmdline"]):
        line = process.info["cmdline"] or []
        if "jobs" in line and str(day) in line and all(word in line for word in words):
            return process
    return None


@pytest.mark.skipif(not (CHROMIUM and DRIVER), reason="no chromium and chromedriver on this machine")
def test_a_person_runs_a_day_from_the_form(platform: Platform, tmp_path: Path) -> None:
    url = servers.airflow_url(platform.config)
    before = {run["dag_run_id"] for run in platform.airflow.runs()}
    with chromium(tmp_path) as page:
        page.open(f"{url}/auth/login/")
        page.find("input[name=username]").send_keys(servers.ADMIN)
        page.find("input[name=password]").send_keys(servers.admin_password(platform.config))
        page.find("button[type=submit]").click()
        page.find("a", text="Dags")
        page.open(f"{url}/dags/daily_transfer")
        for name in ("plan_day", "features", "foundation", "verticals", "write_report"):
            page.find("a", text=name)
        page.picture("grid")
        page.find("button[aria-label^='Show Graph']").click()
        page.find(".react-flow__node", text="foundation")
        page.picture("graph")
        page.find("[data-testid=markdown-button]").click()
        page.find("[role=dialog]", text="After a failure:")
        page.picture("documentation")

        page.open(f"{url}/dags/daily_transfer")
        page.find("[data-testid=trigger-dag-button]").click()
        form = page.find("[role=dialog]", text="Run Parameters")
        day = page.find("input#element_day")
        assert day.get_attribute("type") == "date"
        assert all(vertical in form.text for vertical in platform.config.verticals)
        assert "Run a finished day again" in form.text
        day.send_keys(BY_HAND.strftime("%m%d%Y"))
        page.picture("trigger_form")
        page.find("[role=dialog] button", text="Trigger").click()

        def triggered() -> dict[str, Any] | None:
            return next((r for r in platform.airflow.runs() if r["dag_run_id"] not in before), None)

        run = wait_for("the triggered run", triggered, timeout=60)
        assert run["conf"]["day"] == str(BY_HAND)
        assert run["conf"]["verticals"] == platform.config.verticals
        assert run["triggering_user_name"] == servers.ADMIN
        result = wait_for("its plan", lambda: platform.airflow.result(run["dag_run_id"], "plan_day"), timeout=120)
        assert result == {"day": str(BY_HAND)}
        page.open(f"{url}/dags/daily_transfer/runs/{run['dag_run_id']}")
        page.find("h2,h1,p,span", text="Running")
        page.picture("run")
    assert {p.stem for p in tmp_path.glob("*.png")} == {"grid", "graph", "documentation", "trigger_form", "run"}
