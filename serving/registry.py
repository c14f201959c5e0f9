"""Vertical models in the MLflow registry: versions, aliases, lineage."""

from datetime import date
from importlib.metadata import version as installed
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import mlflow
from mlflow import MlflowClient
from mlflow.entities.model_registry import ModelVersion
from mlflow.exceptions import MlflowException
from mlflow.models import ModelSignature
from mlflow.types import ColSpec, DataType, Schema

from config import ROOT

if TYPE_CHECKING:
    from serving.vertical_model import VerticalModel

CHAMPION, PREVIOUS, CHALLENGER = "champion", "previous", "challenger"
TRANSFER = "transfer"  # tag: what a version takes from the FM, `fm` (a candidate) or `none` (a baseline)
CODE = ["config.py", "data", "models", "serving"]
REQUIREMENTS = ["mlflow", "torch", "feast", "pyarrow", "pandas", "polars", "numpy", "pydantic", "pyyaml", "safetensors"]
SIGNATURE = ModelSignature(
    inputs=Schema([ColSpec(DataType.string, "user_id"), ColSpec(DataType.string, "item_id")]),
    outputs=Schema([ColSpec(DataType.float, "probability")]),
)


def version_at(client: MlflowClient, name: str, alias: str) -> ModelVersion | None:
    """Returns the version an alias points at, or None."""
    try:
        return client.get_model_version_by_alias(name, alias)
    except MlflowException as error:
        if error.error_code in {"RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"}:
            return None
        raise


def version_of(
    client: MlflowClient, name: str, *, day: date, weights: str, transfer: str = "fm"
) -> ModelVersion | None:
    """Returns the version registered for a day with these weights, or None."""
    for version in client.search_model_versions(f"name = '{name}'"):
        same = version.tags.get("day") == str(day) and version.tags.get("weights") == weights
        if same and transfer_of(version) == transfer:
            return version
    return None


def transfer_of(version: ModelVersion) -> Literal["fm", "none"]:
    """Returns what a version takes from the FM."""
    return "none" if version.tags.get(TRANSFER) == "none" else "fm"


def day_of(version: ModelVersion) -> date:
    """Returns the platform day a version was trained on.

    Raises:
        ValueError: the version carries no day: it was not registered by the platform.
    """
    if "day" not in version.tags:
        raise ValueError(
            f"{version.name} version {version.version} has no tag `day`, so the platform did not register it; "
            f"point the alias {CHAMPION} at one of its own versions"
        )
    return date.fromisoformat(version.tags["day"])


def champion_before(client: MlflowClient, name: str, day: date) -> ModelVersion | None:
    """Returns the champion before a day's models were made: the alias's version, or, on a re-run, its version then.

    A re-run may find its own day's (or a later) version as champion; the line of champions is followed back from that
    one to before the day, so that the re-run starts where the first run did.
    """
    champion = version_at(client, name, CHAMPION)
    while champion is not None and day_of(champion) >= day:
        before = champion.tags["champion_before"]
        champion = client.get_model_version(name, before) if before else None
    return champion


def parent_of_candidate(client: MlflowClient, name: str, day: date) -> ModelVersion | None:
    """Returns the version a day's candidate starts from: the champion; where a baseline serves, the newest candidate.

    A baseline has learnt nothing from the FM and reads no history: a candidate that started from it would be cold. So
    while the plain model serves, candidates continue from candidates, as baselines always do from baselines.
    """
    champion = champion_before(client, name, day)
    if champion is None or transfer_of(champion) == "fm":
        return champion
    versions = [version for version in client.search_model_versions(f"name = '{name}'") if "day" in version.tags]
    earlier = [version for version in versions if transfer_of(version) == "fm" and day_of(version) < day]
    return max(earlier, key=lambda version: (day_of(version), int(version.version)), default=None)


def register(
    client: MlflowClient, name: str, folder: Path, *, run_id: str, feature_repo: Path, tags: dict[str, str]
) -> ModelVersion:
    """Logs a saved vertical model as pyfunc and registers it; at most one version a day, kind and weights.

    Alias challenger moves to a candidate, never to a baseline.

    Args:
        client: client of the registry.
        name: name of the registered model.
        folder: what `VerticalModel.save` wrote.
        run_id: the MLflow run it belongs to.
        feature_repo: folder of feature_store.yaml; can be overridden when the model is loaded (`model_config`).
        tags: must hold day, weights, transfer and champion_before; written in the same transaction as the version.
    """
    day, transfer = date.fromisoformat(tags["day"]), tags[TRANSFER]
    version = version_of(client, name, day=day, weights=tags["weights"], transfer=transfer)
    if version is None:
        with mlflow.start_run(run_id=run_id):
            logged = mlflow.pyfunc.log_model(
                name="model" if transfer == "fm" else "baseline",
                python_model=str(ROOT / "serving" / "scorer.py"),
                artifacts={"model": str(folder)},
                code_paths=[str(ROOT / path) for path in CODE],
                model_config={"feature_repo": str(feature_repo)},
                signature=SIGNATURE,
                pip_requirements=[f"{package}=={installed(package)}" for package in REQUIREMENTS],
            )
        version = mlflow.register_model(logged.model_uri, name, tags=tags)
    if transfer == "fm":
        client.set_registered_model_alias(name, CHALLENGER, version.version)
    return version


def load_version(version: ModelVersion) -> "VerticalModel":
    """Loads the model of a registered version."""
    from serving.vertical_model import VerticalModel  # torch: not for those who only look versions up

    folder = mlflow.artifacts.download_artifacts(f"models:/{version.name}/{version.version}")
    return VerticalModel.load(Path(folder) / "artifacts" / "model")
