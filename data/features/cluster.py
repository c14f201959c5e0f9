"""Whether a Spark cluster can do a job, asked before any of its work is done."""

import socket
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures import TimeoutError as TookTooLong
from pathlib import Path
from urllib.parse import urlsplit

from pyspark.sql import SparkSession

MASTER_S = 5  # to take a connection
WORKERS_S = 90  # to take a first task: executors start in this time, too
TASKS = 16  # spread over whatever executors there are


class ClusterError(RuntimeError):
    """A Spark cluster cannot do a job; the message says what is wrong with it."""


def check_master(master: str) -> None:
    """Makes sure that one of the masters in `spark://host:port,host:port` answers; others (local, yarn) are not asked.

    Raises:
        ClusterError: none does within MASTER_S.
    """
    if not master.startswith("spark://"):
        return
    said: list[str] = []
    for address in master.removeprefix("spark://").split(","):
        parts = urlsplit(f"//{address}")
        try:
            socket.create_connection((parts.hostname or "", parts.port or 0), timeout=MASTER_S).close()
            return
        except (OSError, ValueError) as error:
            said.append(f"{address}: {error}")
    raise ClusterError(f"runtime.spark_master: no master answers at {master} ({'; '.join(said)})")


def check_workers(spark: SparkSession, folder: Path) -> None:
    """Makes sure that executors start, and see a folder of the lake; with a local master there is nothing to ask.

    Raises:
        ClusterError: no executor takes a task within WORKERS_S, or one does not see the folder.
    """
    context = spark.sparkContext
    if str(context.master).startswith("local"):
        return
    path = str(folder)
    asked = context.parallelize(range(TASKS), TASKS)
    with ThreadPoolExecutor(max_workers=1) as waiting:
        answer = waiting.submit(asked.map(lambda _: _seen(path)).collect)
        try:
            blind = sorted({host for host, seen in answer.result(WORKERS_S) if not seen})
        except TookTooLong:
            context.cancelAllJobs()
            raise ClusterError(
                f"no executor of {context.master} took a task within {WORKERS_S} s: are workers up, with cores and "
                "spark.executor.memory to spare?"
            ) from None
    if blind:
        raise ClusterError(
            f"the lake is not mounted on {', '.join(blind)}: {path} is not there; every worker must see storage.root"
        )


def _seen(path: str) -> tuple[str, bool]:
    return socket.gethostname(), Path(path).is_dir()
