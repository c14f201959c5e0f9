"""Features computed on a standalone cluster: a master and two workers, as processes of this machine."""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

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

DAY = "2026-01-02"
TABLES = ("examples", "user_activity", "item_activity")
MASTER, WORKER = "org.apache.spark.deploy.master.Master", "org.apache.spark.deploy.worker.Worker"


def free_port() -> int:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        return int(server.getsockname()[1])


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


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[tuple[str, list[psutil.Popen]]]:
    """Yields the URL of a master with two workers of one core, and the workers."""
    port, web = free_port(), ["--webui-port", "0"]
    address = f"spark://127.0.0.1:{port}"
    with ExitStack() as stack:
        master = ["--host", "127.0.0.1", "--port", str(port), *web]
        stack.enter_context(spark_process(tmp_path, "master", MASTER, *master))
        wait_for(lambda: not refuses(address))
        given = ["--host", "127.0.0.1", *web, "--cores", "1", "--memory", "1g", "--work-dir", str(tmp_path / "work")]
        workers = [stack.enter_context(spark_process(tmp_path, f"worker-{n}", WORKER, *given, address)) for n in (1, 2)]
        wait_for(lambda: (tmp_path / "master.log").read_text().count("Registering worker") == 2)
        yield address, workers


def wait_for(there: "type | object", seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not there():  # type: ignore[operator]
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.2)


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


def start_job(config: PlatformConfig, folder: Path, master: str) -> subprocess.Popen[str]:
    changed = config.changed(
        runtime={
            "spark_master": master,
            "spark_conf": {"spark.executor.memory": "512m", "spark.sql.shuffle.partitions": 2},
        }
    )
    path = folder / "cluster.yaml"
    path.write_text(yaml.safe_dump(changed.model_dump(mode="json")))
    command = [sys.executable, "-m", "jobs", "extract_features", "--day", DAY, "--config", str(path)]
    env = os.environ | {"SPARK_LOCAL_IP": "127.0.0.1"}
    return subprocess.Popen(command, cwd=ROOT, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def in_order(config: PlatformConfig, table: str) -> pa.Table:
    rows = storage.read_partition(config, table, config.source.bootstrap_day)
    keys = ["impression_id"] if table == "examples" else [f"{table.partition('_')[0]}_id", "event_timestamp"]
    return rows.sort_by([(key, "ascending") for key in keys]).combine_chunks()


def test_a_cluster_makes_the_features_of_one_machine_also_when_a_worker_is_killed(
    landed: PlatformConfig, cluster: tuple[str, list[psutil.Popen]], tmp_path: Path
):
    extract_features.main(landed, day=landed.source.bootstrap_day)
    expected = {table: in_order(landed, table) for table in TABLES}
    address, workers = cluster

    job = start_job(landed, tmp_path, address)
    wait_for(lambda: workers[0].children(recursive=True) or job.poll() is not None, 120)  # its executor
    wait_for(lambda: list((tmp_path / "state").rglob("_staging/*_activity*")) or job.poll() is not None, 120)
    for process in [*workers[0].children(recursive=True), workers[0]]:
        process.kill()
    _, errors = job.communicate(timeout=240)
    assert job.returncode == 0, errors[-3000:]
    for table in TABLES:
        assert in_order(landed, table).equals(expected[table]), table
        assert not list(storage.partition_folder(landed, table, landed.source.bootstrap_day).glob(".*"))


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
        ({"spark.master": "yarn"}, "set runtime.spark_master"),
    ],
)
def test_settings_of_spark_that_are_not_for_users(settings: dict[str, str], told: str, tiny_config: PlatformConfig):
    with pytest.raises(ConfigError, match="spark_conf") as error:
        tiny_config.changed(runtime={"spark_conf": settings})
    assert told in str(error.value)
