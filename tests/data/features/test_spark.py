"""The session's settings, and a session on a machine without Java."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from config import PlatformConfig
from data.features import java
from data.features.spark import shuffle_partitions, spark_session

ROOT = Path(__file__).parents[3]
START = """
import os, sys
from config import load_config
from data.features.spark import spark_session
config = load_config("platform.yaml")
config = config.changed(storage={"root": sys.argv[1], "cache": sys.argv[1] + "/cache"})
spark = spark_session(config)
print(os.environ["JAVA_HOME"], spark.range(5).selectExpr("sum(id)").first()[0])
spark.stop()
"""


def test_settings(spark: SparkSession, tiny_config: PlatformConfig) -> None:
    conf = spark.conf
    assert conf.get("spark.sql.session.timeZone") == "UTC"
    assert conf.get("spark.sql.shuffle.partitions") == "2"
    assert spark.sparkContext.uiWebUrl is None
    assert conf.get("spark.driver.host") == conf.get("spark.driver.bindAddress") == "127.0.0.1"
    assert not conf.get("spark.sql.warehouse.dir").startswith(str(ROOT))
    assert spark_session(tiny_config) is spark, "one session a process"


def test_one_shuffle_partition_a_core() -> None:
    assert shuffle_partitions("local") == 1
    assert shuffle_partitions("local[3]") == shuffle_partitions("local[3, 2]") == 3
    assert shuffle_partitions("local[*]") == os.cpu_count()
    assert shuffle_partitions("spark://host:7077") == 200


def test_a_session_starts_without_any_java_installed(tmp_path: Path) -> None:
    tools = tmp_path / "bin"
    tools.mkdir()
    for folder in ("/bin", "/usr/bin"):
        for tool in Path(folder).iterdir():
            if not tool.name.startswith("java") and not (tools / tool.name).is_symlink():
                (tools / tool.name).symlink_to(tool)
    environment = {k: v for k, v in os.environ.items() if k not in ("JAVA_HOME", "SPARK_LOCAL_IP")}
    found = subprocess.run(
        [sys.executable, "-c", START, str(tmp_path / "state")],
        cwd=ROOT,
        env=environment | {"PATH": str(tools), "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert found.returncode == 0, found.stderr
    home, total = found.stdout.split()
    assert Path(home).parent == tmp_path / "state" / "cache" and total == "10"


def test_an_old_java_is_passed_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    old = _fake_java(tmp_path / "old", "1.8")
    new = _fake_java(tmp_path / "new", "21")
    monkeypatch.setenv("JAVA_HOME", str(old))
    monkeypatch.setenv("PATH", f"{new / 'bin'}:{os.environ['PATH']}")
    assert java.java_home(tmp_path) == new

    monkeypatch.setenv("PATH", "")
    assert java.java_home(tmp_path).parent == tmp_path, "from the package"
    monkeypatch.setattr(java, "find_spec", lambda name: None)
    with pytest.raises(ValueError, match=r"Java 17 or newer; found .*old/bin/java \(version 8\)"):
        java.java_home(tmp_path)


def _fake_java(home: Path, version: str) -> Path:
    (home / "bin").mkdir(parents=True)
    script = home / "bin" / "java"
    text = f"    java.home = {home}\n    java.specification.version = {version}\n"
    script.write_text(f"#!/bin/sh\nprintf '%s' '{text}' >&2\n")
    script.chmod(0o755)
    return home
