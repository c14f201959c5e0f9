"""What can be known of the images and the compose file without building them; `make compose-test` does the rest."""

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from config import ROOT, load_config
from local.install import TORCH
from local.services import AIRFLOW_SETTINGS, MLFLOW_SETTINGS, POOLS

DOCKER = ROOT / "docker"
COMPOSE: dict[str, Any] = yaml.safe_load((DOCKER / "compose.yaml").read_text())
SERVICES: dict[str, Any] = COMPOSE["services"]
RECIPE = (DOCKER / "Dockerfile").read_text()


def ours() -> list[dict[str, Any]]:
    """Returns the services of the platform's own images."""
    return [service for service in SERVICES.values() if service["image"].startswith("headwater/")]


def test_airflow_and_mlflow_are_told_what_they_are_told_outside_of_containers():
    for name in ("airflow-api-server", "airflow-scheduler", "airflow-dag-processor", "airflow-worker"):
        given = SERVICES[name]["environment"]
        assert {key: given[key] for key in AIRFLOW_SETTINGS} == AIRFLOW_SETTINGS, name
        assert {key: given[key] for key in MLFLOW_SETTINGS} == MLFLOW_SETTINGS, name  # for the jobs
    given = SERVICES["mlflow"]["environment"]
    assert {key: given[key] for key in MLFLOW_SETTINGS} == MLFLOW_SETTINGS


def test_every_pool_is_made():
    script = SERVICES["airflow-init"]["command"][-1]
    for pool, what in POOLS.items():
        assert f"airflow pools set {pool} ${{PARALLEL_TASKS:-2}} '{what}'" in script


def test_what_is_named_is_there():
    for name, service in SERVICES.items():
        assert set(service.get("depends_on", {})) <= set(SERVICES), name
        named = [volume.split(":")[0] for volume in service.get("volumes", []) if isinstance(volume, str)]
        for source in named:
            there = (DOCKER / source).exists() if source.startswith(".") else source in COMPOSE["volumes"]
            assert there, f"{name}: {source}"
    built = {service["image"]: service["build"]["target"] for service in SERVICES.values() if "build" in service}
    assert built == {service["image"]: service["image"].removeprefix("headwater/") for service in ours()}
    assert all(f" AS {target}\n" in RECIPE for target in built.values())


def test_ports_are_those_of_make_run_and_open_to_this_machine_alone():
    runtime = load_config(ROOT / "platform.yaml").runtime
    ports = {name: service["ports"] for name, service in SERVICES.items() if "ports" in service}
    for name, port in (
        ("airflow-api-server", runtime.airflow_port),
        ("mlflow", runtime.mlflow_port),
        ("docs", runtime.docs_port),
    ):
        assert ports[name] == [f"127.0.0.1:{port}:{port}"]
    assert all(port.startswith("127.0.0.1:") for listed in ports.values() for port in listed)


def test_every_secret_is_drawn_and_none_is_written_down(tmp_path: Path):
    script = tmp_path / "make_secrets.py"
    script.write_text((DOCKER / "make_secrets.py").read_text())
    for _ in range(2):  # the second time it leaves the file as it is
        subprocess.run([sys.executable, str(script)], check=True, capture_output=True)
        made = dict(line.split("=", 1) for line in (tmp_path / ".env").read_text().split())
    assert (tmp_path / ".env").stat().st_mode & 0o077 == 0
    assert len(set(made.values())) == len(made) and all(len(value) == 64 for value in made.values())
    text = (DOCKER / "compose.yaml").read_text()
    wanted = set(re.findall(r"\$\{(\w+):\?", text))
    assert wanted == set(made)
    for key, value in re.findall(r"(\w*(?:PASSWORD|SECRET)\w*): (\S+)", text):
        assert value.startswith("${") or key.endswith("PASSWORDS_FILE"), key


def test_the_platform_in_containers_is_well_formed_and_holds_no_password(monkeypatch: pytest.MonkeyPatch):
    for name in ("POSTGRES_PASSWORD", "REDIS_PASSWORD"):
        monkeypatch.setenv(name, "drawn")
    monkeypatch.setenv("HEADWATER_OVERLAY", f"{DOCKER / 'platform.yaml'}:{Path(__file__).with_name('tiny.yaml')}")
    config = load_config(ROOT / "platform.yaml")
    assert config.storage.mlflow and config.storage.mlflow.startswith("http://mlflow:")
    assert config.runtime.spark_master.startswith("spark://spark-master:")
    assert "drawn" not in config.model_dump_json()


def test_images_are_pinned_as_the_environments_are_and_run_as_nobody_special():
    torch_pins = re.findall(r'ARG (?:GPU_)?TORCH="(\S+?)[ "]', RECIPE)
    assert torch_pins == [TORCH, TORCH]
    assert set(re.findall(r"requirements/\w+\.txt", RECIPE)) == {"requirements/cluster.txt", "requirements/jobs.txt"}
    for stage in re.split(r"(?=^FROM )", RECIPE, flags=re.MULTILINE):
        image = re.match(r"FROM (\S+) AS (airflow|serving|gpu)\n", stage)
        assert not image or "USER 1000" in stage


def test_the_clusters_lock_holds_the_platforms_versions():
    small, large = (
        dict(line.split("==") for line in (ROOT / f"requirements/{name}.txt").read_text().split())
        for name in ("airflow", "cluster")
    )
    assert small.items() <= large.items()
