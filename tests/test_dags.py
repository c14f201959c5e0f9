"""Every DAG can be read, says what it does, and names only jobs that exist. Read in Airflow's own environment."""

import inspect
import json
import os
import subprocess
from datetime import date, datetime, time, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from config import ROOT
from jobs.__main__ import job_names

AIRFLOW_PYTHON = ROOT / ".venv" / "airflow" / "bin" / "python"
IMPORT_SECONDS = 2.0  # of CPU, a DAG file, besides Airflow itself
# Zones of a live log, the first of four of its days, and when these begin and the last ends, UTC.
LIVE = [
    ("UTC", "2026-03-28", ["03-28T00:00", "03-29T00:00", "03-30T00:00", "03-31T00:00", "04-01T00:00"]),
    ("Asia/Shanghai", "2026-03-28", ["03-27T16:00", "03-28T16:00", "03-29T16:00", "03-30T16:00", "03-31T16:00"]),
    ("Europe/Berlin", "2026-01-10", ["01-09T23:00", "01-10T23:00", "01-11T23:00", "01-12T23:00", "01-13T23:00"]),
    ("Europe/Berlin", "2026-07-10", ["07-09T22:00", "07-10T22:00", "07-11T22:00", "07-12T22:00", "07-13T22:00"]),
    ("Europe/Berlin", "2026-03-28", ["03-27T23:00", "03-28T23:00", "03-29T22:00", "03-30T22:00", "03-31T22:00"]),
    ("Europe/Berlin", "2026-10-24", ["10-23T22:00", "10-24T22:00", "10-25T23:00", "10-26T23:00", "10-27T23:00"]),
    ("America/Santiago", "2026-09-05", ["09-05T04:00", "09-06T04:00", "09-07T03:00", "09-08T03:00", "09-09T03:00"]),
]

READ_DAGS = """
import copy, importlib, json, pathlib, sys, time
from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.sdk import DAG, BaseOperator, CronDataIntervalTimetable, Param, TaskGroup, task, task_group
from airflow.sdk.exceptions import ParamValidationError
from airflow.serialization.serialized_objects import DagSerialization

def refuses(dag, name, value):
    try:
        params = copy.deepcopy(dag.params)
        params[name] = value
        params.validate()
    except ParamValidationError:
        return True
    return False

report = {"seconds": {}, "dags": []}
before = set(sys.modules)
for path in sorted(pathlib.Path("dags").glob("*.py")):
    started = time.process_time()
    module = importlib.import_module(f"dags.{path.stem}")
    report["seconds"][path.name] = time.process_time() - started
    for dag in (v for v in vars(module).values() if isinstance(v, DAG)):
        dag.validate()
        dag.params.validate()
        DagSerialization.to_dict(dag)
        report["dags"].append({
            "dag_id": dag.dag_id, "file": path.stem, "doc": dag.doc_md, "tags": sorted(dag.tags),
            "max_active_runs": dag.max_active_runs, "catchup": dag.catchup,
            "timetable": type(dag.timetable).__name__,
            "params": {name: param.schema | {"default": dag.params[name], "description": param.description}
                       for name in dag.params for param in [dag.params.get_param(name)]},
            "refused": [refuses(dag, name, value) for name, value in [
                ("day", "yesterday"), ("verticals", []), ("verticals", ["nope"]), ("force", "often"), ("seeds", 0),
            ] if name in dag.params],
            "accepted": [not refuses(dag, "day", "2026-01-03"), not refuses(dag, "day", None)],
            "tasks": [{
                "task_id": task.task_id, "kind": task.task_type, "retries": task.retries, "doc": task.doc_md,
                "job": getattr(task, "job", None) or getattr(task, "partial_kwargs", {}).get("job"),
                "trigger_rule": task.trigger_rule.value, "downstream": sorted(task.downstream_task_ids),
            } for task in dag.tasks],
        })
report["heavy"] = sorted({"torch", "pyspark", "mlflow", "pandas", "feast", "jobs"} & (set(sys.modules) - before))
print(json.dumps(report))
"""

RUN_JOBS = """
import json, sys
from airflow.sdk import DAG
from dags.run_job import MAP_INDEX, JobOperator

outcomes = {}
name_in_the_ui = DAG("d").get_template_env().from_string(MAP_INDEX)
for name in ["result", "warns"]:
    task = JobOperator(task_id=name, job=name, options={"vertical": "feed"})
    context = {"task": task}
    task.execute(context)
    outcomes["name: " + name] = name_in_the_ui.render(context)
for name in ["result", "fails", "killed", "wrong_call", "skips", "no_json"]:
    task = JobOperator(task_id=name, job=name, options={"day": "2026-01-03; touch broken", "force": "True", "note": ""})
    try:
        outcomes[name] = ["returned", task.execute({})]
    except BaseException as error:
        outcomes[name] = [type(error).__name__, str(error)]
print(json.dumps(outcomes))
"""

LOGICAL_DAYS = """
import importlib, json, os
import pendulum
from airflow.sdk.timezone import coerce_datetime
from airflow.serialization.serialized_objects import DagSerialization
from airflow.timetables.base import TimeRestriction
import dags.daily_transfer as module

outcomes = []
for file, start in json.loads(os.environ["CASES"]):
    os.environ["HEADWATER_CONFIG"] = file
    importlib.reload(module)
    timetable = DagSerialization.from_dict(DagSerialization.to_dict(module.dag)).timetable
    plan, template = module.dag.get_task("plan_day"), module.dag.get_template_env()
    earliest = max(module.dag.start_date, pendulum.parse(start).in_timezone("UTC").subtract(hours=1))
    interval, found = None, []
    for _ in range(4):
        run = timetable.next_dagrun_info(
            last_automated_data_interval=interval, restriction=TimeRestriction(earliest, None, catchup=True)
        )
        interval = run.data_interval
        context = {"logical_date": coerce_datetime(interval.start), "params": {"day": None, "force": False}}
        day = plan.render_template(dict(plan.options), context, template)["logical_day"]
        found.append([day, interval.start.isoformat(), run.run_after.isoformat()])
    undated = plan.render_template(dict(plan.options), {"params": {"day": None, "force": False}}, template)
    outcomes.append({"runs": found, "undated": undated["logical_day"]})
print(json.dumps(outcomes))
"""

RUN_A_DAY = """
import json, os, sys
from datetime import UTC, datetime
from dags.daily_transfer import dag

outcomes = {}
for name, conf in [("skipped", {}), ("chosen", {"verticals": ["feed"]})]:
    os.environ["INGEST_SAYS"] = '{"skipped": "no rows"}' if name == "skipped" else "{}"
    begins = datetime(2026, 3, 28, 23, tzinfo=UTC) if name == "chosen" else None
    run = dag.test(run_conf=conf, logical_date=begins)
    outcomes[name] = [run.get_state(), {task.task_id: task.state for task in run.get_task_instances()}]
print(json.dumps(outcomes))
"""

STAND_IN_DAY = """#!/bin/bash
# Plays the jobs' Python for a whole day, and keeps what it was asked for.
echo "${@:3}" >> "$CALLS"
case "$3" in
  plan_day) echo '{"day": "2026-01-03"}' ;;
  ingest) echo "$INGEST_SAYS" ;;
  *) echo '{}' ;;
esac
"""

RUN_A_SEARCH = """
import json
from dags.search_architecture import dag

run = dag.test(run_conf={"trials": 3, "target": %r, "sampler": %r})
print(json.dumps([run.get_state(), sorted([t.task_id, t.state] for t in run.get_task_instances())]))
"""

STAND_IN_SEARCH = """#!/bin/bash
# Plays the jobs' Python for a search, whose second trial fails for good.
echo "${@:3}" >> "$CALLS"
case "$3" in
  plan_search) parts='[]'; [[ "$*" == *dist_dnas* ]] && parts='["2026-01-01", "2026-01-02"]'
               echo "{\\"study\\": \\"mine\\", \\"parts\\": $parts, \\"trials\\": [0, 1, 2]}" ;;
  share_weights) echo '{"part": "one"}' ;;
  run_trial) [ "$(grep -c run_trial "$CALLS")" = 2 ] && { echo 'error: no disk' >&2; exit 2; }
             echo '{"trial": 0, "status": "done"}' ;;
  *) echo '{}' ;;
esac
"""

STAND_IN = """#!/bin/bash
# Plays the jobs' Python: `-m jobs NAME ...` does what NAME says.
case "$3" in
  result) echo '{"message": "a log line", "level": "info", "logger": "x"}' >&2; shift 3
          echo "{\\"arguments\\": \\"$(printf '<%s>' "$@")\\"}"; echo 'nanobind: leaked 3 instances' >&2 ;;
  warns) echo '{"warnings": ["headroom ratio 0.10: below gates.min_headroom_ratio 0.2", "another"]}' ;;
  fails) echo 'error: fails: ValueError: column label holds 2; labels are 0 or 1' >&2; echo noise >&2; exit 1 ;;
  killed) kill -9 $$ ;;
  wrong_call) echo 'error: platform.yaml:3: verticals: unknown key' >&2; exit 2 ;;
  skips) echo '{"skipped": "the day is done"}' ;;
  no_json) echo hello ;;
esac
"""


def in_airflow(script: str, **env: str) -> Any:
    """The JSON object that a script prints last, run by Airflow's Python."""
    return json.loads(airflow(["-c", script], **env).splitlines()[-1])


def airflow(arguments: list[str], **env: str) -> str:
    """What Airflow's Python prints."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("AIRFLOW", "HEADWATER", "PYTHON"))}
    process = subprocess.run(
        [str(AIRFLOW_PYTHON), *arguments],
        cwd=ROOT,
        env=environment | {"PYTHONPATH": str(ROOT)} | env,
        capture_output=True,
        text=True,
        check=False,
    )
    assert process.returncode == 0, process.stderr[-3000:]
    return process.stdout


def live(folder: Path, zone: str) -> Path:
    """A platform file whose synthetic log is live, in a time zone."""
    path = folder / f"{zone.replace('/', '_')}.yaml"
    shipped = (ROOT / "platform.yaml").read_text()
    path.write_text(shipped.replace("    events_per_day: 20000", f"    live: true\n    time_zone: {zone}"))
    return path


def run_dag(folder: Path, script: str, stand_in: str, *, pool: str = "", **env: str) -> tuple[Any, list[str]]:
    """Runs a DAG's runs in an Airflow of their own, a script in place of the jobs' Python.

    Returns:
        What the script printed, and what the stand-in was called with, a line a job.
    """
    python, calls = folder / "python", folder / "calls"
    python.write_text(stand_in)
    python.chmod(0o755)
    env |= {
        "AIRFLOW_HOME": str(folder / "airflow"),
        "AIRFLOW__CORE__DAGS_FOLDER": str(ROOT / "dags"),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "false",
        "HEADWATER_SOURCE": "synthetic",
        "HEADWATER_JOBS_PYTHON": str(python),
        "CALLS": str(calls),
    }
    pools = [["pools", "set", pool, "2", "of a test"]] if pool else []
    for command in (["db", "migrate"], *pools, ["dags", "reserialize"]):
        airflow(["-m", "airflow", *command], **env)
    return in_airflow(script, **env), calls.read_text().splitlines()


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Any:
    return in_airflow(READ_DAGS, AIRFLOW_HOME=str(tmp_path_factory.mktemp("airflow")), HEADWATER_SOURCE="synthetic")


@pytest.fixture(scope="module")
def daily(report: Any) -> Any:
    return next(dag for dag in report["dags"] if dag["dag_id"] == "daily_transfer")


@pytest.fixture(scope="module")
def explaining(report: Any) -> Any:
    return next(dag for dag in report["dags"] if dag["dag_id"] == "explain_transfer")


def test_dag_files_are_read_fast_and_without_the_jobs_libraries(report: Any) -> None:
    slow = {name: seconds for name, seconds in report["seconds"].items() if seconds > IMPORT_SECONDS}
    assert not slow, f"seconds of CPU, at most {IMPORT_SECONDS}: {slow}"
    assert report["heavy"] == []


def test_every_dag_says_what_it_does(report: Any) -> None:
    assert report["dags"], "no DAG found in dags/"
    for dag in report["dags"]:
        assert dag["doc"] and dag["tags"], dag["dag_id"]
        assert dag["file"] == dag["dag_id"], "a DAG lies in the file of its name"
        for task in dag["tasks"]:
            assert task["doc"], f"{dag['dag_id']}.{task['task_id']} has no doc_md"
            assert task["retries"] == 1, task["task_id"]


def test_every_task_runs_a_job_that_exists(report: Any) -> None:
    names = job_names()
    for dag in report["dags"]:
        for task in dag["tasks"]:
            if task["kind"] == "JobOperator":
                found = task["job"]
                assert found in names, f"{dag['file']}.{task['task_id']} runs {found}, which does not exist"


def test_days_run_one_at_a_time_and_only_when_asked(daily: Any) -> None:
    assert daily["max_active_runs"] == 1
    assert daily["catchup"] is False
    assert daily["timetable"] == "NullTimetable", "a closed log has no schedule"


def test_the_form_has_typed_fields_with_defaults(daily: Any) -> None:
    params = daily["params"]
    assert params["day"]["format"] == "date" and params["day"]["default"] is None
    assert params["verticals"]["default"] == params["verticals"]["examples"] == ["feed", "search", "video"]
    assert params["force"]["type"] == "boolean" and params["force"]["default"] is False
    assert all(param["title"] and param["description"] for param in params.values())
    assert daily["refused"] == [True, True, True, True]
    assert daily["accepted"] == [True, True]


def test_an_explanation_is_asked_for_by_day_vertical_and_seeds(explaining: Any) -> None:
    params = explaining["params"]
    assert {name: param["default"] for name, param in params.items()} == {
        "day": None, "verticals": ["feed", "search", "video"], "seeds": 3,
    }  # fmt: skip
    assert explaining["refused"] == [True, True, True, True] and explaining["accepted"] == [True, True]
    assert explaining["timetable"] == "NullTimetable"
    tasks = {task["task_id"]: task for task in explaining["tasks"]}
    assert tasks["choose_verticals"]["downstream"] == ["verticals.explain_transfer"]


def test_one_failed_vertical_leaves_the_others_and_the_report_but_fails_the_run(daily: Any) -> None:
    tasks = {task["task_id"]: task for task in daily["tasks"]}
    assert tasks["write_report"]["trigger_rule"] == "all_done_min_one_success"
    assert tasks["done"]["trigger_rule"] == "all_success"
    assert set(tasks["verticals.promote_vertical"]["downstream"]) == {"write_report", "done"}
    assert tasks["verticals.distill_vertical"]["downstream"] == ["verticals.promote_vertical"]
    # Tracking is started when the report is written, and holds nothing up.
    assert set(tasks["write_report"]["downstream"]) == {"track_transfer", "done"}
    assert tasks["track_transfer"]["downstream"] == [] and tasks["track_transfer"]["kind"] == "TriggerDagRunOperator"


def test_tracking_ends_with_the_report_written_once_more(report: Any) -> None:
    tracking = next(dag for dag in report["dags"] if dag["dag_id"] == "track_transfer")
    tasks = {task["task_id"]: task for task in tracking["tasks"]}
    assert tasks["track_transfer"]["downstream"] == ["write_report"] and len(tasks) == 2
    assert tracking["timetable"] == "NullTimetable" and tracking["max_active_runs"] == 1


def test_a_live_logs_day_runs_as_it_ends_in_its_zone(tmp_path: Path) -> None:
    cases = [(live(tmp_path, zone), date.fromisoformat(first), zone) for zone, first, _ in LIVE]
    asked = [[str(file), datetime.combine(day, time(), ZoneInfo(zone)).isoformat()] for file, day, zone in cases]
    outcomes = in_airflow(
        LOGICAL_DAYS, AIRFLOW_HOME=str(tmp_path / "airflow"), HEADWATER_SOURCE="synthetic", CASES=json.dumps(asked)
    )
    for (_, first, zone), (*_, expected), outcome in zip(cases, LIVE, outcomes, strict=True):
        days, starts, ends = zip(*outcome["runs"], strict=True)
        assert list(days) == [str(first + timedelta(days=n)) for n in range(4)], zone
        assert [start[5:16] for start in starts] == expected[:-1], zone
        assert [end[5:16] for end in ends] == expected[1:], zone
        assert outcome["undated"] == ""


def test_a_task_ends_as_its_job_does(tmp_path: Path) -> None:
    stand_in = tmp_path / "python"
    stand_in.write_text(STAND_IN)
    stand_in.chmod(0o755)
    outcomes = in_airflow(RUN_JOBS, AIRFLOW_HOME=str(tmp_path / "airflow"), HEADWATER_JOBS_PYTHON=str(stand_in))
    # One argument stays one argument; an empty option is left out; lines on standard error do not hide the result.
    assert outcomes["result"] == ["returned", {"arguments": "<--day><2026-01-03; touch broken><--force>"}]
    assert outcomes["fails"] == ["JobFailed", "fails: ValueError: column label holds 2; labels are 0 or 1"]
    assert outcomes["killed"][0] == "JobFailed" and "killed was killed by SIGKILL" in outcomes["killed"][1]
    assert outcomes["wrong_call"] == ["AirflowFailException", "platform.yaml:3: verticals: unknown key"]
    assert outcomes["skips"] == ["AirflowSkipException", "the day is done"]
    assert outcomes["no_json"][0] == "JobFailed"
    # A warning fails nothing; it stands beside the vertical.
    assert (outcomes["name: result"], outcomes["name: warns"]) == ("feed", "feed ⚠ headroom ratio 0.10")


@pytest.mark.e2e
def test_a_skipped_day_ends_well_and_a_report_knows_the_verticals_that_were_run(tmp_path: Path) -> None:
    outcomes, called = run_dag(tmp_path, RUN_A_DAY, STAND_IN_DAY, HEADWATER_CONFIG=str(live(tmp_path, "Europe/Berlin")))
    state, tasks = outcomes["skipped"]
    assert state == "success" and tasks["plan_day"] == "success"
    of_the_day = {task: found for task, found in tasks.items() if task not in ("plan_day", "choose_verticals")}
    assert set(of_the_day.values()) == {"skipped"}, of_the_day
    state, tasks = outcomes["chosen"]
    assert state == "success" and set(tasks.values()) == {"success"}, tasks
    assert [line for line in called if line.startswith("write_report")] == [
        "write_report --day 2026-01-03 --verticals feed"
    ]
    assert [line for line in called if line.startswith("plan_day")][-1] == "plan_day --logical-day 2026-03-29"


@pytest.mark.e2e
def test_a_search_is_planned_tried_and_concluded_though_a_trial_fails(tmp_path: Path) -> None:
    (_, tasks), asked = run_dag(tmp_path, RUN_A_SEARCH % ("feed", "random"), STAND_IN_SEARCH, pool="search")
    assert ["share_weights", "skipped"] in tasks
    assert sorted(state for task, state in tasks if task == "run_trial") == ["failed", "success", "success"]
    assert ["conclude_search", "success"] in tasks
    assert asked[0].startswith("plan_search --target feed --sampler") and "--trials 3" in asked[0]
    assert "--study" not in asked[0] and "--seconds" not in asked[0].replace("--seconds 0", "")
    assert asked[1:4] == ["run_trial --study mine --limit-s 3600"] * 3
    assert asked[-1] == "conclude_search --study mine --finalists 3 --seeds 3"


@pytest.mark.e2e
def test_weights_are_shared_before_the_first_trial(tmp_path: Path) -> None:
    run = RUN_A_SEARCH % ("foundation", "dist_dnas")
    (_, tasks), asked = run_dag(tmp_path, run, STAND_IN_SEARCH, pool="search")
    assert [state for task, state in tasks if task == "share_weights"] == ["success"] * 2
    # One plan, then the two parts in either order, then the first trial.
    assert sorted(asked[1:3]) == [f"share_weights --study mine --part 2026-01-0{n}" for n in (1, 2)]
    assert asked[3].startswith("run_trial") and ["conclude_search", "success"] in tasks


def test_the_form_of_a_search_offers_what_there_is(report: Any) -> None:
    from jobs import conclude_search, plan_search, run_trial
    from search.asking import KINDS
    from search.shared_weights import SCREENERS

    form = next(dag for dag in report["dags"] if dag["dag_id"] == "search_architecture")["params"]
    assert form["sampler"]["enum"] == list(KINDS)
    assert form["screener"]["enum"] == list(SCREENERS)
    assert form["target"]["enum"] == ["foundation", "feed", "search", "video"]
    assert all(param["title"] and param["description"] for param in form.values())
    options: dict[str, Any] = {}
    for job in (plan_search, run_trial, conclude_search):
        options |= inspect.signature(job.main).parameters
    defaults = {name: option.default for name, option in options.items() if name != "config"}
    assert {name: param["default"] for name, param in form.items()} == defaults | {
        "study": None,
        "from_study": None,
    }


def test_only_a_job_that_wants_a_gpu_has_a_pod_of_its_own(tmp_path: Path):
    script = """
import os
from dags.run_job import run_job
for template in ("gpu-pod.yaml", ""):
    os.environ["HEADWATER_GPU_POD"] = template
    print(*[run_job(job).executor_config for job in ("train_foundation", "ingest")])
"""
    env = os.environ | {"PYTHONPATH": str(ROOT), "AIRFLOW_HOME": str(tmp_path)}
    command = [str(AIRFLOW_PYTHON), "-c", script]
    done = subprocess.run(command, env=env, cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-2:] == ["{'pod_template_file': 'gpu-pod.yaml'} {}", "{} {}"]
