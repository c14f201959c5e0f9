"""Features computed on a standalone cluster: a master and two workers, as processes of this machine."""

import json
import os
import re
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import psutil
import pytest
import yaml
from pyspark.sql import SparkSession

import storage
from benchmarks.speed.cluster import in_order
from benchmarks.speed.standalone_cluster import Cluster, standalone_cluster
from config import ROOT, ConfigError, PlatformConfig
from data.features.cluster import check_master
from data.features.java import java_home
from jobs import extract_features, ingest
from tests.waiting import until

DAY = "2026-01-02"
TABLES = ("examples", "user_activity", "item_activity")


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """Yields the one cluster of these tests; the last of them kills a worker."""
    with standalone_cluster(tmp_path_factory.mktemp("cluster")) as running:
        yield running


@pytest.fixture
def landed(tiny_config: PlatformConfig, spark: SparkSession) -> PlatformConfig:
    day = tiny_config.source.bootstrap_day
    assert str(day) == DAY
    ingest.main(tiny_config, day=day)
    return tiny_config


ENV = os.environ | {"SPARK_LOCAL_IP": "127.0.0.1"}


def written(config: PlatformConfig, folder: Path, master: str, *, memory: str = "512m") -> Path:
    settings = {"spark.executor.memory": memory, "spark.sql.shuffle.partitions": 2}
    changed = config.changed(runtime={"spark_master": master, "spark_conf": settings})
    path = folder / "cluster.yaml"
    path.write_text(yaml.safe_dump(changed.model_dump(mode="json")))
    return path


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


STARVED = """
import sys
from pathlib import Path
from config import load_config
from data.features import cluster
from data.features.spark import spark_session

cluster.WORKERS_S = 3
config = load_config(sys.argv[1])
try:
    cluster.check_workers(spark_session(config), Path("/"))
except cluster.ClusterError as error:
    print(error)
"""


def test_a_cluster_without_room_for_an_executor_is_one_line(
    tiny_config: PlatformConfig, cluster: Cluster, tmp_path: Path
):
    path = written(tiny_config, tmp_path, cluster.address, memory="64g")
    command = [sys.executable, "-c", STARVED, str(path)]
    done = subprocess.run(command, cwd=ROOT, env=ENV, capture_output=True, text=True, timeout=120)
    assert done.stdout.startswith(f"no executor of {cluster.address} took a task within 3 s"), done.stderr[-2000:]


def test_a_master_that_is_not_there_is_one_line(landed: PlatformConfig, tmp_path: Path):
    path = written(landed, tmp_path, "spark://127.0.0.1:9")
    command = [sys.executable, "-m", "jobs", "extract_features", "--day", DAY, "--config", str(path)]
    job = subprocess.run(command, cwd=ROOT, env=ENV, capture_output=True, text=True, timeout=60)
    said = [line for line in job.stderr.splitlines() if line.startswith("error: ")]
    assert job.returncode == 1 and job.stdout == ""
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
    """The job is started by `spark-submit`, as docs/operations.md says."""
    extract_features.main(landed, day=landed.source.bootstrap_day)
    expected = {table: in_order(landed, table, landed.source.bootstrap_day) for table in TABLES}
    for table in TABLES:
        storage.drop_partition(landed, table, landed.source.bootstrap_day)

    job = submit_job(landed, tmp_path, cluster.address)
    until(lambda: writes_a_table(landed) or job.poll() is not None, 120)
    for process in [*cluster.workers[0].children(recursive=True), cluster.workers[0]]:
        with suppress(psutil.NoSuchProcess):  # an executor's own child may have ended meanwhile
            process.kill()
    assert job.poll() is None, "the job ended before the worker was killed"
    output, errors = job.communicate(timeout=240)
    assert job.returncode == 0, errors[-3000:]
    assert "Lost executor" in errors, errors[-3000:]
    for table in TABLES:
        assert in_order(landed, table, landed.source.bootstrap_day).equals(expected[table]), table
        assert not list(storage.partition_folder(landed, table, landed.source.bootstrap_day).glob(".*"))
    assert json.loads(output.splitlines()[-1])["rows"]["examples"] == len(expected["examples"]) > 0
    assert any((cluster.folder / "work-2").glob("app-*"))


def submit_job(config: PlatformConfig, folder: Path, master: str) -> subprocess.Popen[str]:
    """Starts the command of docs/operations.md, with this machine's addresses."""
    page = (ROOT / "docs/operations.md").read_text()
    (shape,) = re.findall(r"^(PYTHONPATH=\. spark-submit .+)$", page, re.MULTILINE)
    command = shape.replace("spark://spark-master:7077", master).replace("2026-03-04", DAY)
    env = ENV | {
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "HEADWATER_CONFIG": str(written(config, folder, master)),
        "JAVA_HOME": str(java_home(folder)),
    }
    return subprocess.Popen(
        command, shell=True, cwd=ROOT, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def writes_a_table(config: PlatformConfig) -> bool:
    """Whether a version of a table is begun: tasks run, and no table is committed yet."""
    day = config.source.bootstrap_day
    return any(folder.is_dir() for table in TABLES for folder in storage.partition_dir(config, table, day).glob("*"))
