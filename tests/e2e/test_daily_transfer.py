"""The whole platform through real servers: days run by Airflow, jobs killed for real, the form filled in a browser."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date
from html import unescape
from pathlib import Path
from typing import Any

import psutil
import pytest
import requests
import yaml
from mlflow import MlflowClient

import storage
from config import ROOT, PlatformConfig, load_config
from local import processes, services
from local.airflow_api import Airflow
from local.ports import free_ports
from tests.e2e.browser import CHROMIUM, DRIVER, chromium

pytestmark = pytest.mark.e2e

RESTART_SECONDS = 60  # a dead server is noticed within a second or two, and its process is there at once
RUN_SECONDS = 1200  # bootstrap and one day, on 2 busy cores; half of it where nothing else runs
KILLED_VERTICAL = "feed"
SETTINGS = ("HEADWATER_CONFIG", "HEADWATER_SOURCE", "HEADWATER_DATA_PATH", "AIRFLOW", "PYTHON")
BOOTSTRAP, NEXT, BY_HAND = (date(2026, 1, n) for n in (2, 3, 4))
LAKE = ["events", "quarantine", "examples", "user_activity", "item_activity", "fm_outputs", "user_fm_history"]


@dataclass(frozen=True)
class Platform:
    """A running platform: its configuration, what `run` printed, and what the killed servers had started."""

    config: PlatformConfig
    output: str
    left: list[psutil.Process]

    @property
    def airflow(self) -> Airflow:
        password = services.admin_password(self.config)
        url = services.airflow_url(self.config)
        return Airflow(url, dag_id="daily_transfer", user=services.ADMIN, password=password)


def write_config(folder: Path) -> Path:
    """The shipped platform on a tiny log and small models, with state and ports of its own."""
    tree = yaml.safe_load((ROOT / "platform.yaml").read_text())
    airflow, mlflow, docs = free_ports(3)
    tree["data_source"] = "synthetic"
    tree["sources"]["synthetic"] |= {"events_per_day": 1500, "bootstrap_days": 2}
    tree["sources"]["synthetic"]["verticals"] = {"feed": {"column": "surface", "values": ["feed"]}, "rest": {}}
    tree["storage"] = {"root": str(folder / "state"), "cache": str(folder / "cache")}
    tree["storage"]["feature_repo"] = str(folder / "feature_repo")
    tree["runtime"] |= {"airflow_port": airflow, "mlflow_port": mlflow, "docs_port": docs, "spark_memory": "1g"}
    tree["foundation_model"] |= {"embedding_dim": 8, "codes": {"dim": 8}}
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
    log = folder / "run.log"
    command = [sys.executable, "-m", "local", "run", "--days", "1"]
    try:
        with log.open("w") as file, subprocess.Popen(command, cwd=ROOT, env=env, stdout=file, stderr=file) as run:
            try:
                left = kill_servers(config, path, run)
                kill_jobs(config, path, run)
                code = run.wait(timeout=RUN_SECONDS)
            finally:
                run.kill()
        assert code == 0, log.read_text()[-8000:]
        yield Platform(config, log.read_text(), left)
    finally:
        subprocess.run([sys.executable, "-m", "local", "down"], cwd=ROOT, env=env, check=True, timeout=120)
        assert all(processes.running(config, s.name) is None for s in services.servers(config))
    assert not [p for p in left if p.is_running()], "left by a killed server, and not stopped"


def kill_servers(config: PlatformConfig, path: Path, run: subprocess.Popen) -> list[psutil.Process]:
    """Kills each server with SIGKILL while a job of the first day runs, and waits until it is started again.

    Returns:
        What the servers had started and left behind.
    """
    left = []
    wait_for("a job of the first day", lambda: job_process(path, ["extract_features"], day=BOOTSTRAP), run=run)
    for server in services.servers(config):
        process = processes.running(config, server.name)
        assert process is not None
        left += process.children(recursive=True)
        process.kill()

        def is_again(name: str = server.name, dead: psutil.Process = process) -> bool:
            return processes.running(config, name) not in (None, dead)

        wait_for(f"{server.name} to be started again", is_again, run=run, seconds=RESTART_SECONDS)
    wait_for("all servers to answer", lambda: all(s.healthy() for s in services.servers(config)), run=run)
    return left


def kill_jobs(config: PlatformConfig, path: Path, run: subprocess.Popen) -> None:
    """Kills two jobs of the second day with SIGKILL in the middle of their work."""
    activity = storage.partition_dir(config, "user_activity", NEXT)
    candidates = f"candidates_{KILLED_VERTICAL}"
    for words, is_in_the_middle in [
        (["extract_features"], lambda: list(activity.glob("*/"))),  # writes its tables
        # weights committed, version not registered
        (["distill_vertical", KILLED_VERTICAL], lambda: storage.has_partition(config, candidates, NEXT)),
    ]:
        process = wait_for(f"{words} to run", lambda words=words: job_process(path, words), run=run)
        wait_for(f"{words} in the middle", is_in_the_middle, run=run)
        for member in [*process.children(recursive=True), process]:
            member.kill()


def job_process(config_path: Path, words: list[str], *, day: date = NEXT) -> psutil.Process | None:
    """The running process of a job of a day, by the words on its command line."""
    for process in psutil.process_iter(["cmdline"]):
        line = process.info["cmdline"] or []
        mine = {"jobs", str(day), *words} <= set(line)
        if mine and process.environ().get("HEADWATER_CONFIG") == str(config_path):
            return process
    return None


def wait_for(
    what: str, condition: Callable[[], Any], *, run: subprocess.Popen | None = None, seconds: float = RUN_SECONDS
) -> Any:
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < deadline, f"{what}: not within {seconds} s"
        assert run is None or run.poll() is None, f"{what}: `make run` ended before it"
        time.sleep(0.05)
    return found


def uncommitted(config: PlatformConfig) -> list[Path]:
    """What a job has left in partitions beside the manifest and the versions that it names."""
    left = []
    for folder in storage.table_dir(config, "").glob("*/ds=*"):
        manifest = folder / storage.MANIFEST
        named = json.loads(manifest.read_text()) if manifest.is_file() else {}
        known = [storage.MANIFEST, named.get("version"), named.get("previous")]
        left += [path for path in folder.iterdir() if path.name not in known]
    return left


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
    docs, mlflow = services.docs_url(platform.config), services.mlflow_url(platform.config)
    assert "<html" in requests.get(f"{docs}/reports/ds={NEXT}/", timeout=30).text.lower()
    assert "<html" in requests.get(f"{docs}/data_docs/", timeout=30).text.lower()
    experiments = requests.get(f"{mlflow}/api/2.0/mlflow/experiments/search?max_results=50", timeout=30).json()
    assert {f"vertical_{v}" for v in platform.config.verticals} <= {e["name"] for e in experiments["experiments"]}


def test_a_second_run_of_a_done_day_is_skipped_at_once(platform: Platform) -> None:
    started = platform.airflow.trigger(NEXT, dated=False)["dag_run_id"]
    wait_for("the skipped run", lambda: platform.airflow.run(started)["state"] == "success")
    states = {i["task_id"]: i["state"] for i in platform.airflow.task_instances(started)}
    assert states["plan_day"] == states["features.ingest"] == states["write_report"] == "skipped"


def test_every_killed_server_was_started_again_and_no_task_was_lost(platform: Platform) -> None:
    for server in services.servers(platform.config):
        assert platform.output.count(f"{server.name} died; started it again") == 1
        assert f"{server.name} died; started again" in processes.log_path(platform.config, server.name).read_text()
    run = next(r for r in platform.airflow.runs() if r["conf"]["day"] == str(BOOTSTRAP))
    tries = {i["task_id"]: i["try_number"] for i in platform.airflow.task_instances(run["dag_run_id"])}
    # The job that ran meanwhile went on; a scheduler that starts slowly takes it for lost, and runs it again.
    assert tries.pop("features.extract_features") <= 2 and set(tries.values()) == {1}, tries


def test_killed_jobs_were_tried_again_and_left_nothing_half_written(platform: Platform) -> None:
    config, airflow = platform.config, platform.airflow
    run = next(r for r in airflow.runs() if r["conf"]["day"] == str(NEXT) and r["logical_date"])
    tries = {
        (i["task_id"], i["rendered_map_index"]): i["try_number"] for i in airflow.task_instances(run["dag_run_id"])
    }
    again = {("features.extract_features", None), ("verticals.distill_vertical", KILLED_VERTICAL)}
    assert {task for task, count in tries.items() if count > 1} == again
    assert uncommitted(config) == []
    events, examples = (storage.read_manifest(config, table, NEXT)["rows"] for table in ("events", "examples"))
    assert examples == events
    uri = storage.mlflow_tracking_uri(config)
    client = MlflowClient(uri, uri)  # the registry, too: other tests in this process may have named theirs
    for name in map(storage.registered_model, config.verticals):
        versions = client.search_model_versions(f"name='{name}'")
        found = sorted((version.tags["day"], version.tags["transfer"]) for version in versions)
        expected = [(str(day), transfer) for day in (BOOTSTRAP, NEXT) for transfer in ("fm", "none")]
        assert found == expected, f"{name}: one candidate and one baseline a day"


def test_a_search_goes_on_after_its_trial_was_killed(platform: Platform) -> None:
    config = platform.config
    password, url = services.admin_password(config), services.airflow_url(config)
    airflow = Airflow(url, dag_id="search_architecture", user=services.ADMIN, password=password)
    small = {"sampler": "random", "trials": 2, "later_days": 1, "judged_days": 1, "blocks": 1, "finalists": 1}
    conf = {"study": "small", "seeds": 1, "cost_cap": 1e9} | small
    body = {"logical_date": None, "conf": conf}
    started = airflow._call("POST", "/dags/search_architecture/dagRuns", json=body)["dag_run_id"]
    trial = storage.study_dir(config, "small") / "trials" / "00000.json"

    def claimed() -> dict[str, Any] | None:
        record = json.loads(trial.read_text()) if trial.exists() else {}
        return record if record.get("worker") else None

    asked = wait_for("the first trial", claimed, seconds=RUN_SECONDS)
    psutil.Process(int(asked["worker"].split()[-1])).kill()
    wait_for("the search", lambda: airflow.run(started)["state"] in ("success", "failed"), seconds=RUN_SECONDS)

    instances = airflow.task_instances(started)
    states = {(i["task_id"], i["state"]) for i in instances}
    # A sampler that shares no weights maps that task over nothing, which Airflow calls skipped.
    assert {state for task, state in states if task != "share_weights"} == {"success"}, states
    assert ("share_weights", "skipped") in states
    names = sorted(i["rendered_map_index"] for i in instances if i["task_id"] == "run_trial")
    assert names == ["trial 0: done", "trial 1: done"]
    first, second = (json.loads(path.read_text()) for path in sorted(trial.parent.glob("*.json")))
    assert (first["key"], first["attempts"]) == (asked["key"], 2) and second["key"] != first["key"]
    page = f"{services.docs_url(config)}/searches/small/"
    assert airflow.result(started, "conclude_search")["verdict"] in unescape(requests.get(page, timeout=30).text)


@pytest.mark.skipif(not (CHROMIUM and DRIVER), reason="no chromium and chromedriver on this machine")
def test_a_person_runs_a_day_from_the_form(platform: Platform, tmp_path: Path) -> None:
    url = services.airflow_url(platform.config)
    before = {run["dag_run_id"] for run in platform.airflow.runs()}
    with chromium(tmp_path) as page:
        page.open(f"{url}/auth/login/")
        page.find("input[name=username]").send_keys(services.ADMIN)
        page.find("input[name=password]").send_keys(services.admin_password(platform.config))
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

        run = wait_for("the triggered run", triggered)
        assert run["conf"]["day"] == str(BY_HAND)
        assert run["conf"]["verticals"] == platform.config.verticals
        assert run["triggering_user_name"] == services.ADMIN
        result = wait_for("its plan", lambda: platform.airflow.result(run["dag_run_id"], "plan_day"))
        assert result == {"day": str(BY_HAND)}
        page.open(f"{url}/dags/daily_transfer/runs/{run['dag_run_id']}")
        page.find("h2,h1,p,span", text="Running")
        page.picture("run")
    assert {p.stem for p in tmp_path.glob("*.png")} == {"grid", "graph", "documentation", "trigger_form", "run"}
