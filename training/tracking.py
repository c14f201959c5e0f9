"""MLflow runs: one per job, day and vertical, however often the job is run."""

import json
import logging
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import mlflow
from mlflow import MlflowClient
from mlflow.entities import LifecycleStage, Run
from mlflow.system_metrics.system_metrics_monitor import SystemMetricsMonitor

import storage
from config import PlatformConfig

LOG = logging.getLogger("headwater")
os.environ.setdefault("MLFLOW_ALLOW_PICKLE_DESERIALIZATION", "false")


@dataclass(frozen=True)
class TrackedRun:
    """An open MLflow run; figures that are not finite are left out, as MLflow cannot show them."""

    client: MlflowClient
    run_id: str

    def log_metrics(self, metrics: Mapping[str, float | None], *, step: int | None = None) -> None:
        """Logs figures, at a step where they have one."""
        finite = {k: float(v) for k, v in metrics.items() if v is not None and abs(v) < float("inf")}
        mlflow.log_metrics(finite, run_id=self.run_id, step=step, synchronous=True)

    def log_params(self, params: Mapping[str, Any]) -> None:
        """Logs settings; nested ones as JSON. Settings logged by an earlier attempt of the run are kept."""
        logged = self.client.get_run(self.run_id).data.params
        new = {k: json.dumps(v) if isinstance(v, dict | list) else v for k, v in params.items() if k not in logged}
        mlflow.log_params(new, run_id=self.run_id, synchronous=True) if new else None

    def set_tags(self, tags: Mapping[str, Any]) -> None:
        """Sets tags."""
        for key, value in tags.items():
            self.client.set_tag(self.run_id, key, value)


def tracking_client(config: PlatformConfig) -> MlflowClient:
    """Returns a client of the platform's MLflow backend; also makes it the default of this process.

    Raises:
        StoreError: the server that platform.yaml names for MLflow does not answer.
    """
    storage.check_stores(config, "mlflow")
    storage.mlflow_dir(config).mkdir(parents=True, exist_ok=True)
    uri = storage.mlflow_tracking_uri(config)
    mlflow.set_tracking_uri(uri)
    mlflow.set_registry_uri(uri)
    logging.getLogger("alembic").setLevel(logging.WARNING)
    return MlflowClient(uri, uri)


@contextmanager
def tracked_run(
    config: PlatformConfig, *, experiment: str, name: str, key: Mapping[str, str], system_metrics: bool = False
) -> Iterator[TrackedRun]:
    """Opens the run of a key: the one an earlier attempt left, else a new one. Marks it failed if the block raises.

    Args:
        config: the platform.
        experiment: made on first use.
        name: of the run, for people.
        key: tags that no other run has.
        system_metrics: also log the use of processor, memory and GPU.
    """
    client = tracking_client(config)
    experiment_id = experiment_named(config, client, experiment)
    run = _find(client, experiment_id, key)
    if run is None:
        run = client.create_run(experiment_id, run_name=name, tags=dict(key) | {"code_version": storage.code_version()})
    else:
        client.update_run(run.info.run_id, status="RUNNING")
    monitor = SystemMetricsMonitor(run.info.run_id, sampling_interval=5, resume_logging=True)
    if system_metrics:
        monitor.start()
    try:
        yield TrackedRun(client, run.info.run_id)
    except BaseException:
        client.set_terminated(run.info.run_id, "FAILED")
        raise
    finally:
        if system_metrics:
            monitor.finish()
    client.set_terminated(run.info.run_id, "FINISHED")


def experiment_named(config: PlatformConfig, client: MlflowClient, name: str) -> str:
    """Returns the id of an experiment, made on first use.

    Its artifacts are below the storage root, or where a tracking server puts them. One that was deleted is restored,
    as MLflow gives its name to no other.
    """
    experiment = client.get_experiment_by_name(name)
    if experiment is not None:
        if experiment.lifecycle_stage == LifecycleStage.DELETED:
            LOG.warning("the MLflow experiment %s was deleted; it is restored, with the runs deleted with it", name)
            client.restore_experiment(experiment.experiment_id)
        return experiment.experiment_id
    below = None if storage.has_tracking_server(config) else (storage.mlflow_dir(config) / "artifacts" / name).as_uri()
    return client.create_experiment(name, artifact_location=below)


def _find(client: MlflowClient, experiment_id: str, key: Mapping[str, str]) -> Run | None:
    query = " and ".join(f"tags.`{k}` = '{v}'" for k, v in key.items())
    runs = client.search_runs([experiment_id], query, max_results=1)
    return runs[0] if runs else None
