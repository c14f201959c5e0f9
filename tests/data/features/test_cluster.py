"""Features computed on a standalone cluster: a master and two workers, as processes of this machine."""

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import NamedTuple

import psutil
import pyarrow as pa
import pyspark
import pytest
import yaml
from pyspark.sql import SparkSession

import storage
from config import ROOT, ConfigError, PlatformConfig
from data.features.cluster import ClusterError, check_master
from data.features.java import java_home
from jobs import extract_features, ingest
from local.ports import free_ports
from tests.waiting import until

DAY = "2026-01-02"
TABLES = ("examples", "user_activity", "item_activity")
MASTER, WORKER = "org.apache.spark.deploy.master.Master", "org.apache.spark.deploy.worker.Worker"


@contextmanager
def spark_process(folder: Path, name: str, *arguments: str) -> Iterator[psutil.Popen]:
    """Starts a part of the cluster; ends it with all that it started."""
    log = folder / f"{name}.log"
    env = os.environ | {"JAVA_HOME": str(java_home(folder)), "SPARK_LOCAL_IP": "127.0.0.1", "SPARK_NO_DAEMONIZE": "1"}
    command = [str(Path(pyspark.__file__).parent / "bin" / "spark-class"), *arguments]
    with log.open("w") as output:
        process = psutil.Popen(command, env=env, stdout=output, stderr=output, start_new_session=True)
    try:
        yield process
    finally:
        if process.is_running():
            for each in [*process.children(recursive=True), process]:
                each.kill()
        process.wait(timeout=30)


class Cluster(NamedTuple):
    """A master with two workers of one core; executors of worker N work below folder/work-N."""

    address: str
    workers: list[psutil.Popen]
    folder: Path


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """Yields the one cluster of these tests; the last of them kills a worker."""
    folder = tmp_path_factory.mktemp("cluster")
    (port,), web = free_ports(1), ["--webui-port", "0"]
    address = f"spark://127.0.0.1:{port}"
    with ExitStack() as stack:
        master = ["--host", "127.0.0.1", "--port", str(port), *web]
        stack.enter_context(spark_process(folder, "master", MASTER, *master))
        until(lambda: not refuses(address))
        workers = []
        for n in (1, 2):
            given = ["--host", "127.0.0.1", *web, "--cores", "1", "--memory", "1g", "--work-dir", f"{folder}/work-{n}"]
            workers.append(stack.enter_context(spark_process(folder, f"worker-{n}", WORKER, *given, address)))
        until(lambda: (folder / "master.log").read_text().count("Registering worker") == 2)
        yield Cluster(address, workers, folder)


def refuses(address: str) -> bool:
    try:
        check_master(address)
    except ClusterError:
        return True
    return False


@pytest.fixture
def landed(tiny_config: PlatformConfig, spark: SparkSession) -> PlatformConfig:
    day = tiny_config.source.bootstrap_day
    assert str(day) == DAY
    ingest.main(tiny_config, day=day)
    return tiny_config


ENV = os.environ | {"SPARK_LOCAL_IP": "127.0.0.1"}


def written(config: PlatformConfig, folder: Path, master: str) -> Path:
    settings = {"spark.executor.memory": "512m", "spark.sql.shuffle.partitions": 2}
    changed = config.changed(runtime={"spark_master": master, "spark_conf": settings})
    path = folder / "cluster.yaml"
    path.write_text(yaml.safe_dump(changed.model_dump(mode="json")))
    return path


def start_job(config: PlatformConfig, folder: Path, master: str) -> subprocess.Popen[str]:
    path = written(config, folder, master)
    command = [sys.executable, "-m", "jobs", "extract_features", "--day", DAY, "--config", str(path)]
    return subprocess.Popen(command, cwd=ROOT, env=ENV, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def in_order(config: PlatformConfig, table: str) -> pa.Table:
    rows = storage.read_partition(config, table, config.source.bootstrap_day)
    keys = ["impression_id"] if table == "examples" else [f"{table.partition('_')[0]}_id", "event_timestamp"]
    return rows.sort_by([(key, "ascending") for key in keys]).combine_chunks()


ASK = """
import sys, time
from pathlib import Path
from config import load_config
from data.features.cluster import ClusterError, check_workers
from data.features.spark import spark_session

spark = spark_session(load_config(sys.argv[1]))
while spark.sparkContext._jsc.sc().getExecutorMemoryStatus().size() < 3:  # the driver and two executors
    time.sleep(0.2)
for folder in sys.argv[2:]:
    try:
        check_workers(spark, Path(folder))
        print("seen")
    except ClusterError as error:
        print(error)
"""


def test_one_worker_that_does_not_see_the_lake_is_enough(tiny_config: PlatformConfig, cluster: Cluster, tmp_path: Path):
    """A relative path is another folder for each worker, as a path is where a mount is missing."""
    for worker, mounted in (("work-1", "half"), ("work-1", "whole"), ("work-2", "whole")):
        (cluster.folder / worker / mounted).mkdir(parents=True)
    command = [sys.executable, "-c", ASK, str(written(tiny_config, tmp_path, cluster.address))]
    asked = [f"../../{mounted}" for mounted in ("whole", "half", "none")]
    done = subprocess.run([*command, *asked], cwd=ROOT, env=ENV, capture_output=True, text=True, timeout=150)
    whole, half, none = done.stdout.splitlines()
    assert whole == "seen"
    for said, path in ((half, "../../half"), (none, "../../none")):
        assert said.startswith("the lake is not mounted on ") and f": {path} is not there" in said


def test_a_master_that_is_not_there_is_one_line(landed: PlatformConfig, tmp_path: Path):
    job = start_job(landed, tmp_path, "spark://127.0.0.1:9")
    output, errors = job.communicate(timeout=60)
    said = [line for line in errors.splitlines() if line.startswith("error: ")]
    assert job.returncode == 1 and output == ""
    assert len(said) == 1 and "runtime.spark_master: no master answers at spark://127.0.0.1:9 (127.0.0.1:9:" in said[0]


def test_one_of_several_masters_is_enough():
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        check_master(f"spark://127.0.0.1:9,127.0.0.1:{server.getsockname()[1]}")
    check_master("local[2]")
    check_master("yarn")


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"executor.memory": "1g"}, "Spark's settings begin with spark."),
        ({"spark.sql.session.timeZone": "Asia/Shanghai"}, "is the platform's own: all times are UTC"),
        ({"spark.sql.timestampType": "TIMESTAMP_NTZ"}, "is the platform's own: timestamps are instants"),
        ({"spark.master": "yarn"}, "set runtime.spark_master"),
    ],
)
def test_settings_of_spark_that_are_not_for_users(settings: dict[str, str], told: str, tiny_config: PlatformConfig):
    with pytest.raises(ConfigError, match="spark_conf") as error:
        tiny_config.changed(runtime={"spark_conf": settings})
    assert told in str(error.value)


def test_a_cluster_makes_the_features_of_one_machine_also_when_a_worker_is_killed(
    landed: PlatformConfig, cluster: Cluster, tmp_path: Path
):
    extract_features.main(landed, day=landed.source.bootstrap_day)
    expected = {table: in_order(landed, table) for table in TABLES}
    for table in TABLES:
        storage.drop_partition(landed, table, landed.source.bootstrap_day)

    job = start_job(landed, tmp_path, cluster.address)
    until(lambda: writes_a_table(landed) or job.poll() is not None, 120)
    for process in [*cluster.workers[0].children(recursive=True), cluster.workers[0]]:
        process.kill()
    assert job.poll() is None, "the job ended before the worker was killed"
    _, errors = job.communicate(timeout=240)
    assert job.returncode == 0, errors[-3000:]
    assert "Lost executor" in errors, errors[-3000:]
    for table in TABLES:
        assert in_order(landed, table).equals(expected[table]), table
        assert not list(storage.partition_folder(landed, table, landed.source.bootstrap_day).glob(".*"))


def writes_a_table(config: PlatformConfig) -> bool:
    """Whether a version of a table is begun: tasks run, and no table is committed yet."""
    day = config.source.bootstrap_day
    return any(folder.is_dir() for table in TABLES for folder in storage.partition_dir(config, table, day).glob("*"))
