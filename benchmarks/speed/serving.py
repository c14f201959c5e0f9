"""Serving: latency and requests a second of `serving.app`, beside MLflow's own server and the bare network.

One request is a user and 1, 100 or 500 candidates, drawn from a synthetic day that the platform's own jobs have made,
once. Both servers have the same model, the same online store and one torch thread a process; MLflow's has as many
workers, one or two, as answer more requests. First requests come one at a time; then so many that the server is never
idle; then the rate is searched at which 99 % are answered within 50 ms. Servers and load share the machine's cores. The
limit is what the network alone scores on all cores, with its input at hand. `stages_ms` says where a request's time
goes, in one process; `cpu_ms` is what a request costs the server while it is never idle.
"""

import argparse
import json
import os
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import psutil
import requests
import torch
import yaml
from feast import FeatureStore
from rich.console import Console

import storage
from benchmarks.platform_file import forget_settings, platform_file
from benchmarks.report import report
from benchmarks.speed.serving_load import GRACE_S
from config import ROOT, PlatformConfig, load_config
from feature_repo.store import open_store
from local.ports import free_ports
from models.vertical.batch import pairs
from serving.champion import Champion
from serving.registry import CHALLENGER, CHAMPION
from serving.request_scorer import Asked, RequestScorer
from storage.tables import VIEWS
from training.tracking import tracking_client

CONSOLE = Console(stderr=True)
DAY = date(2026, 1, 3)  # of a bootstrap of three days, as shipped
VERTICAL = "feed"
JOBS = [
    ["ingest"],
    ["extract_features"],
    ["train_foundation"],
    ["materialize_features"],
    ["distill_vertical", "--vertical", VERTICAL],
]
SIZES = (1, 100, 500)  # candidates
P99_MS = 50.0
BODIES = 300  # different requests
RATES = (1.0, 0.9, 0.8, 0.65, 0.5, 0.35, 0.2)  # shares of what the server answers when it is never idle, tried in turn
AT_ONCE = 16  # requests under way when it is never idle
START_S = 300  # for a server to answer

Result = dict[str, Any]
Entities = tuple[list[str], list[str]]  # users, items


class Pace(NamedTuple):
    """Seconds of a measurement."""

    alone: float  # one request at a time
    rate: float  # one rate


class Door(NamedTuple):
    """A way to be asked for scores."""

    name: str
    command: list[str]  # without the port
    path: str
    health: str
    body: Callable[[str, list[str]], Any]


OURS = Door(
    "ours",
    [sys.executable, "-m", "serving.app", "--vertical", VERTICAL, "--port"],
    "/score",
    "/health",
    lambda user, items: {"user_id": user, "candidates": items},
)


def stock(workers: int) -> Door:
    """Returns MLflow's own server with so many workers."""
    command = [str(Path(sys.executable).parent / "mlflow"), "models", "serve", "--env-manager", "local"]
    command += ["-m", f"models:/{storage.registered_model(VERTICAL)}@champion", "-h", "127.0.0.1"]
    return Door(
        f"mlflow, workers: {workers}",
        [*command, "--workers", str(workers), "-p"],
        "/invocations",
        "/ping",
        lambda user, items: {"dataframe_records": [{"user_id": user, "item_id": item} for item in items]},
    )


def main() -> None:
    """Makes the day, unless it is there, and measures both doors on both stores."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="a second or two of everything; figures are not kept")
    parser.add_argument("--work", type=Path, default=ROOT / ".headwater" / "serving_speed", help="keeps the day")
    a = parser.parse_args()
    config, env = _platform(a.work.resolve())
    torch.set_num_threads(1)
    pace = Pace(1.0, 2.0) if a.quick else Pace(4.0, 10.0)
    day = storage.read_partition(config, "events", DAY, columns=["user_id", "item_id"])
    users, items = (sorted(filter(None, day[name].unique().to_pylist())) for name in ("user_id", "item_id"))
    entities = (users, items)
    figures: Result = {
        "p99_bound_ms": P99_MS,
        "cores": psutil.cpu_count() or 1,
        "load_shares_the_cores": True,
        "users": len(users),
        "items": len(items),
    }
    figures["stages_ms"], figures["network_scores_per_s"] = _in_process(config, entities, repeats=5 if a.quick else 50)
    with tempfile.TemporaryDirectory() as folder:
        for name, online in _online_stores(config, Path(folder)):
            if online is not None:
                figures[name] = online
                continue
            if "mlflow_workers" not in figures:
                figures |= _better_workers(entities, env, pace, Path(folder))
            doors = {"ours": OURS, "mlflow": stock(figures["mlflow_workers"])}
            figures[name] = {of: _door(door, entities, env, pace, Path(folder)) for of, door in doors.items()}
    for name in ("sqlite", "redis"):
        if isinstance(figures[name], dict):
            figures[name] |= _compared(figures[name], figures["network_scores_per_s"], cores=figures["cores"])
    packages = ["fastapi", "uvicorn", "mlflow", "feast", "redis", "torch", "aiohttp"]
    report("serving", figures, command="python -m benchmarks.speed.serving", packages=packages, keep=not a.quick)


def _platform(work: Path) -> tuple[PlatformConfig, dict[str, str]]:
    """Returns a platform with a champion, and the environment of its processes; runs the jobs where there is none."""
    path, done = work / "platform.yaml", work / "done"
    forget_settings()
    work.mkdir(parents=True, exist_ok=True)
    text = platform_file(work).read_text()
    env = os.environ | {"HEADWATER_CONFIG": str(path), "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    log = work / "jobs.log"
    if not done.exists() or done.read_text() != text:
        shutil.rmtree(work, ignore_errors=True)
        work.mkdir(parents=True)
        path.write_text(text)
        for job in JOBS:
            CONSOLE.print(f"making the day: {' '.join(job)}")
            command = [sys.executable, "-m", "jobs", *job, "--day", str(DAY)]
            with log.open("a") as out:
                subprocess.run(command, cwd=ROOT, env=env, stdout=out, stderr=subprocess.STDOUT, check=True)
        client, name = tracking_client(load_config(path)), storage.registered_model(VERTICAL)
        client.set_registered_model_alias(name, CHAMPION, client.get_model_version_by_alias(name, CHALLENGER).version)
        done.write_text(text)
    config = load_config(path)
    env |= {"MLFLOW_TRACKING_URI": storage.mlflow_tracking_uri(config), "MLFLOW_DISABLE_TELEMETRY": "true"}
    return config, env | {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}


# --- online stores ------------------------------------------------------------------------------


def _online_stores(config: PlatformConfig, folder: Path) -> Iterator[tuple[str, str | None]]:
    """Yields each online store's name, with why it cannot be had, else None while it is the platform's."""
    open_store(config)  # writes feature_store.yaml
    yield "sqlite", None
    server = shutil.which("redis-server")
    if server is None:
        yield "redis", "redis-server is not installed"
        return
    (port,) = free_ports(1)
    command = [server, "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", str(folder)]
    log = folder / "redis.log"
    with _running(command, log, dict(os.environ)) as process:
        path = storage.feature_repo_dir(config) / "feature_store.yaml"
        tree = yaml.safe_load(path.read_text())
        tree["online_store"] = {"type": "redis", "connection_string": f"127.0.0.1:{port}"}
        try:
            path.write_text(yaml.safe_dump(tree))
            end = storage.snapshot_ends(config, DAY)[-1]
            _wait_for(lambda: _filled(config, end), "redis", process, log)
            yield "redis", None
        finally:
            open_store(config)


def _filled(config: PlatformConfig, end: datetime) -> bool:
    store = FeatureStore(str(storage.feature_repo_dir(config)))
    try:
        store.materialize(end - timedelta(microseconds=1), end, feature_views=list(VIEWS))
    except ConnectionError:
        return False
    return True


# --- servers ------------------------------------------------------------------------------------


def _better_workers(entities: Entities, env: dict[str, str], pace: Pace, folder: Path) -> Result:
    """Returns how many workers of MLflow's server answer more requests, and how many each number answers."""
    answered = {}
    for workers in (1, 2):
        with _served(stock(workers), env, folder) as (url, server):
            plan = _plan(stock(workers), url, entities, SIZES[1], folder)
            _load(plan, pace.alone / 2, at_once=4)  # warm-up
            answered[workers] = _never_idle(plan, pace, server)["qps_never_idle"]
    by_workers = {str(workers): qps for workers, qps in answered.items()}
    return {"mlflow_workers": max(answered, key=answered.__getitem__), "mlflow_qps_by_workers": by_workers}


def _door(door: Door, entities: Entities, env: dict[str, str], pace: Pace, folder: Path) -> Result:
    """Returns what a door does, by candidates of a request."""
    found: Result = {}
    with _served(door, env, folder) as (url, server):
        for size in SIZES:
            plan = _plan(door, url, entities, size, folder)
            _load(plan, pace.alone / 2, at_once=4)  # warm-up
            alone, never_idle = _load(plan, pace.alone), _never_idle(plan, pace, server)
            found[str(size)] = {"p50_ms": alone["p50_ms"], "p99_ms": alone["p99_ms"], **never_idle}
            # Where not even one request at a time is answered in time, no rate is.
            if alone["p50_ms"] <= P99_MS:
                found[str(size)] |= _best_rate(plan, pace, never_idle["qps_never_idle"])
            CONSOLE.print(f"{door.name}, {size} candidates: {found[str(size)]}")
    return found


def _never_idle(plan: Path, pace: Pace, server: psutil.Process) -> Result:
    """Returns what the server answers when requests always wait, and the processor time of a request."""
    before = _cpu_seconds(server)
    load = _load(plan, pace.alone, at_once=AT_ONCE)
    answered = load["qps"] * pace.alone
    return {"qps_never_idle": load["qps"], "cpu_ms": round(1e3 * (_cpu_seconds(server) - before) / answered, 2)}


def _best_rate(plan: Path, pace: Pace, most: float) -> Result:
    """Searches the rate with p99 within the bound, below `most` requests a second; nothing where there is none."""
    for share in RATES:
        at = _load(plan, pace.rate, rate=most * share)
        if at["p99_ms"] <= P99_MS and not at["failed"]:
            return {"qps": at["qps"], "p99_ms_at_qps": at["p99_ms"]}
    return {}


def _plan(door: Door, url: str, entities: Entities, size: int, folder: Path) -> Path:
    """Writes the requests that the load sends, the same ones for every door."""
    users, items = entities
    draw = random.Random(size)
    bodies = [json.dumps(door.body(draw.choice(users), draw.sample(items, size))) for _ in range(BODIES)]
    plan = folder / "plan.json"
    plan.write_text(json.dumps({"url": url + door.path, "bodies": bodies}))
    return plan


@contextmanager
def _served(door: Door, env: dict[str, str], folder: Path) -> Iterator[tuple[str, psutil.Process]]:
    """Runs a door on a free port within a block; yields its URL and process."""
    (port,) = free_ports(1)
    url, log = f"http://127.0.0.1:{port}", folder / "server.log"
    with _running([*door.command, str(port)], log, env) as process:
        _wait_for(lambda: _answers(url + door.health), door.name, process, log)
        yield url, psutil.Process(process.pid)


def _cpu_seconds(server: psutil.Process) -> float:
    """Returns the processor time that a server and the processes it started have taken."""
    times = [process.cpu_times() for process in (server, *server.children(recursive=True))]
    return sum(time.user + time.system for time in times)


def _load(plan: Path, seconds: float, *, rate: float | None = None, at_once: int = 1) -> Result:
    command = [sys.executable, "-m", "benchmarks.speed.serving_load", str(plan), "--seconds", str(seconds)]
    command += ["--rate", str(rate)] if rate else ["--at-once", str(at_once)]
    timeout = seconds + GRACE_S + 60
    done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True, timeout=timeout)
    result: Result = json.loads(done.stdout.strip().splitlines()[-1])
    return result


@contextmanager
def _running(command: list[str], log: Path, env: dict[str, str]) -> Iterator[subprocess.Popen[bytes]]:
    """Runs a server within a block; ends it with the processes it started."""
    with log.open("w") as out:
        process = subprocess.Popen(command, cwd=ROOT, env=env, stdout=out, stderr=subprocess.STDOUT)
    try:
        yield process
    finally:
        server = [psutil.Process(process.pid)] if process.poll() is None else []
        members = [*server, *(child for each in server for child in each.children(recursive=True))]
        for member in members:
            member.terminate()
        for member in psutil.wait_procs(members, timeout=10)[1]:
            member.kill()
        process.wait()


def _wait_for(holds: Callable[[], bool], name: str, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + START_S
    while not holds():
        if process.poll() is not None or time.monotonic() > deadline:
            raise RuntimeError(f"{name} does not answer:\n{log.read_text()[-2000:]}")
        time.sleep(0.2)


def _answers(url: str) -> bool:
    try:
        return requests.get(url, timeout=5).status_code == requests.codes.ok
    except requests.RequestException:
        return False


# --- one process --------------------------------------------------------------------------------


def _in_process(config: PlatformConfig, entities: Entities, *, repeats: int) -> tuple[Result, dict[str, float]]:
    """Returns ms of the stages of a request, and the scores a second of the network alone, by candidates."""
    champion = Champion(config, VERTICAL)
    champion.refresh()
    assert champion.loaded is not None
    scorer, draw = champion.loaded.scorer, random.Random(0)
    stages, speeds = {}, {}
    for size in SIZES:
        asked = Asked(draw.choice(entities[0]), list(draw.sample(entities[1], size)))
        stages[str(size)], seconds = _stages(scorer, asked, repeats)
        speeds[str(size)] = round(size / seconds, 0)
    return stages, speeds


def _stages(scorer: RequestScorer, asked: Asked, repeats: int) -> tuple[dict[str, float], float]:
    model, online = scorer.model, scorer.online
    read, items = online.read("user_id", [asked.user]), online.read("item_id", asked.candidates)
    user, candidates = model.features.batch(read), model.features.items(items)
    batch = pairs(user, candidates)
    model.network.eval()

    @torch.inference_mode()
    def forward() -> None:
        model.network(batch)

    ones, all_of = np.zeros(len(asked.candidates), np.int64), np.arange(len(asked.candidates))
    work: dict[str, Callable[[], Any]] = {
        "read_user": lambda: online.read("user_id", [asked.user]),
        "encode_user": lambda: model.features.batch(read),
        "read_items": lambda: online.read("item_id", asked.candidates),
        "encode_items": lambda: model.features.items(items),
        "items_kept": lambda: scorer.cache.items(asked.candidates),
        "score": lambda: model.predict_encoded(user, candidates, ones, all_of),
        "network": forward,
        "request": lambda: scorer.score([asked]),
    }
    seconds = {name: _median_seconds(do, repeats) for name, do in work.items()}
    return {name: round(1e3 * value, 3) for name, value in seconds.items()}, seconds["network"]


def _median_seconds(do: Callable[[], Any], repeats: int) -> float:
    do()
    taken = []
    for _ in range(repeats):
        started = time.perf_counter()
        do()
        taken.append(time.perf_counter() - started)
    return statistics.median(taken)


def _compared(doors: Result, network: dict[str, float], *, cores: int) -> Result:
    """Returns our requests a second over MLflow's, and our share of what the network could score."""
    ours, theirs = ({size: found.get("qps") for size, found in doors[name].items()} for name in ("ours", "mlflow"))
    ratios, shares = {}, {}
    for size, qps in ours.items():
        ratios[size] = round(qps / theirs[size], 2) if qps and theirs[size] else None
        shares[size] = round((qps or 0) * int(size) / (network[size] * cores), 3)
    return {"qps_over_mlflow": ratios, "share_of_network": shares}


if __name__ == "__main__":
    main()
