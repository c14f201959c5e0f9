"""A day's heavy steps on one process and on several, and the lake in a bucket: the same results, and their seconds.

    python -m benchmarks.speed.cluster

`extract_features` runs with `local[2]` and on a standalone Spark master with two workers of a core each;
`train_foundation` with one process and with two. All run in turn, as a scheduler starts them, `--repeats` times, and
all are processes of this machine: the figures tell what a cluster costs, not what it gains. `spark_equal`: both make
the same tables, to the bit, after sorting. `s3_lake_ok`: the day's jobs write tables of the same content to an S3
server (moto, of this machine). Overheads are those of the jobs' own stages: `start_spark` has the executors' start.

What happens when parts are killed is measured elsewhere: `benchmarks.speed.elastic` (a rank), `make compose-test`
(a Spark worker and Redis in the middle of a day).
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from typing import Any

import pyarrow as pa
from pyarrow.fs import FileSystem
from rich.console import Console

import storage
from benchmarks.platform_file import forget_settings, platform_file
from benchmarks.report import report
from benchmarks.speed.standalone_cluster import standalone_cluster
from config import ROOT, PlatformConfig, load_config
from local.ports import free_ports

CONSOLE = Console(stderr=True)
DAY = date(2026, 1, 1)  # the bootstrap day
TABLES = ("examples", "user_activity", "item_activity")
BUCKET = "headwater"
ALONE = {"device": "cpu", "spark_master": "local[2]"}

Result = dict[str, Any]


def main() -> None:
    """Makes the day in every way."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="a small day, once; figures are not kept")
    parser.add_argument("--events", type=int, default=40_000, help="of the day (default 40000)")
    parser.add_argument("--repeats", type=int, default=3, help="(default 3)")
    a = parser.parse_args()
    events, repeats = (2000, 1) if a.quick else (a.events, a.repeats)
    forget_settings()
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        kept = work / "local"
        local = platform_file(work, events, name="local", state=kept, runtime=ALONE)
        run(local, "ingest")
        with standalone_cluster(work) as cluster:
            settings = {"spark.executor.memory": "900m", "spark.sql.shuffle.partitions": 2}
            workers = {"spark_master": cluster.address, "spark_conf": settings}
            on_workers = platform_file(work, events, name="workers", state=kept, runtime=ALONE | workers)
            spark, equal = _features(local, on_workers, repeats)
        two = {"training": {"processes": 2}}
        ranks = platform_file(work, events, name="ranks", state=kept, runtime=ALONE, foundation_model=two)
        training = _training(local, ranks, repeats)
        in_bucket = _s3(work, local, events)
    figures: Result = {
        "examples": events,
        "spark_equal": int(equal),
        "extract_features_seconds": spark,
        "train_foundation_seconds": training,
        "s3_lake_ok": int(in_bucket["equal"]),
        "s3_seconds": in_bucket["seconds"],
    }
    command = f"python -m benchmarks.speed.cluster --events {events} --repeats {repeats}"
    report("cluster", figures, command=command, packages=["torch", "torchrec", "pyspark"], keep=not a.quick)


def run(path: Path, job: str) -> Result:
    """Runs a job of the day as a process of its own.

    Returns:
        Its result, with `wall`, the seconds that the process lived.

    Raises:
        RuntimeError: it failed; its error is above.
    """
    started = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-m", "jobs", job, "--day", str(DAY), "--config", str(path)],
        cwd=ROOT,
        env=os.environ | {"OMP_NUM_THREADS": "1", "SPARK_LOCAL_IP": "127.0.0.1"},
        stdout=subprocess.PIPE,
        text=True,
    )
    if done.returncode:
        raise RuntimeError(f"{job} failed (exit {done.returncode}); its error is above")
    wall = time.monotonic() - started
    CONSOLE.print(f"{job}, {path.stem}: {wall:.1f} s")
    return json.loads(done.stdout.splitlines()[-1]) | {"wall": wall}


def _features(local: Path, workers: Path, repeats: int) -> tuple[Result, bool]:
    """Computes the features in both ways in turn; returns seconds by stage, and whether they are always the same."""
    runs: dict[str, list[Result]] = {"local": [], "workers": []}
    expected, equal = None, True
    for _ in range(repeats):
        for name, path in (("local", local), ("workers", workers)):
            runs[name].append(run(path, "extract_features"))
            tables = [in_order(load_config(path), table, DAY) for table in TABLES]
            expected = expected or tables
            equal &= all(one.equals(other) for one, other in zip(tables, expected, strict=True))
    return {name: _median(results) for name, results in runs.items()}, equal


def _training(one: Path, two: Path, repeats: int) -> Result:
    """Trains with one process and with two, in turn, from the start."""
    walls: dict[str, list[float]] = {"one_process": [], "two_processes": []}
    for _ in range(repeats):
        for name, path in (("one_process", one), ("two_processes", two)):
            walls[name].append(run(path, "train_foundation")["wall"])
            for table in ("fm_snapshots", "fm_outputs"):
                storage.drop_partition(load_config(path), table, DAY)
    return {name: round(statistics.median(found), 1) for name, found in walls.items()}


def _s3(work: Path, local: Path, events: int) -> Result:
    """Runs the jobs with the lake in a bucket; says whether tables have the content of those in the folder."""
    os.environ |= {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test"}
    with _bucket() as address:
        kept = work / "bucket"
        path = platform_file(work, events, name="bucket", state=kept, runtime=ALONE, storage={"lake": address})
        seconds = {job: round(run(path, job)["wall"], 1) for job in ("ingest", "extract_features", "train_foundation")}
        of = load_config(path)
        equal = all(in_order(of, table, DAY).equals(in_order(load_config(local), table, DAY)) for table in TABLES)
        trained = storage.read_partition(of, "fm_outputs", DAY).num_rows == events
    return {"equal": equal and trained, "seconds": seconds}


@contextmanager
def _bucket() -> Iterator[str]:
    """Starts an S3 server with an empty bucket; yields the lake's address in it."""
    (port,) = free_ports(1)
    command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        of_server = f"?endpoint_override=127.0.0.1:{port}&scheme=http&region=us-east-1"
        deadline = time.monotonic() + 60
        while True:
            try:
                FileSystem.from_uri(f"s3://{BUCKET}{of_server}&allow_bucket_creation=true")[0].create_dir(BUCKET)
                break
            except OSError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.2)
        yield f"s3://{BUCKET}/lake{of_server}"
    finally:
        server.terminate()
        server.wait(timeout=30)


def _median(results: list[Result]) -> Result:
    stages = {name: statistics.median(r["seconds"][name] for r in results) for name in results[0]["seconds"]}
    wall = statistics.median(r["wall"] for r in results)
    return {"whole_job": round(wall, 1), **{name: round(seconds, 1) for name, seconds in stages.items()}}


def in_order(config: PlatformConfig, table: str, day: date) -> pa.Table:
    """Reads a day's features sorted by their keys: on a cluster, rows come in another order."""
    keys = ["impression_id"] if table == "examples" else [f"{table.partition('_')[0]}_id", "event_timestamp"]
    rows = storage.read_partition(config, table, day)
    return rows.sort_by([(key, "ascending") for key in keys]).combine_chunks()


if __name__ == "__main__":
    main()
