"""A Spark cluster of this machine: a standalone master and two workers of one core, as processes."""

import os
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

import psutil
import pyspark

from data.features.java import java_home
from local.ports import free_ports

MASTER, WORKER = "org.apache.spark.deploy.master.Master", "org.apache.spark.deploy.worker.Worker"
WORKERS, MEMORY = 2, "1g"  # what a worker may give to executors
START_S = 60


class Cluster(NamedTuple):
    """A running cluster; executors of worker N work below folder/work-N."""

    address: str
    workers: list[psutil.Popen]
    folder: Path


@contextmanager
def standalone_cluster(folder: Path) -> Iterator[Cluster]:
    """Starts a cluster; ends it with all that it started.

    Args:
        folder: for logs and the executors' work.

    Raises:
        TimeoutError: the workers do not register; the master's log is in the folder.
    """
    (port,) = free_ports(1)
    address = f"spark://127.0.0.1:{port}"
    given = ["--host", "127.0.0.1", "--webui-port", "0"]
    with ExitStack() as stack:
        stack.enter_context(_process(folder, "master", MASTER, *given, "--port", str(port)))
        _wait_for(folder / "master.log", "Starting Spark master", 1)
        workers = []
        for n in range(1, WORKERS + 1):
            size = ["--cores", "1", "--memory", MEMORY, "--work-dir", f"{folder}/work-{n}"]
            workers.append(stack.enter_context(_process(folder, f"worker-{n}", WORKER, *given, *size, address)))
        _wait_for(folder / "master.log", "Registering worker", WORKERS)
        yield Cluster(address, workers, folder)


@contextmanager
def _process(folder: Path, name: str, *arguments: str) -> Iterator[psutil.Popen]:
    env = os.environ | {"JAVA_HOME": str(java_home(folder)), "SPARK_LOCAL_IP": "127.0.0.1", "SPARK_NO_DAEMONIZE": "1"}
    command = [str(Path(pyspark.__file__).parent / "bin" / "spark-class"), *arguments]
    with (folder / f"{name}.log").open("w") as output:
        process = psutil.Popen(command, env=env, stdout=output, stderr=output, start_new_session=True)
    try:
        yield process
    finally:
        with suppress(psutil.NoSuchProcess):  # the process itself, and then nothing is left of it
            for each in [*process.children(recursive=True), process]:
                with suppress(psutil.NoSuchProcess):  # it has ended by itself
                    each.kill()
        process.wait(timeout=30)


def _wait_for(log: Path, line: str, times: int) -> None:
    deadline = time.monotonic() + START_S
    while log.read_text().count(line) < times:
        if time.monotonic() > deadline:
            raise TimeoutError(f"{log} has not {times} times {line!r} after {START_S} s")
        time.sleep(0.05)
