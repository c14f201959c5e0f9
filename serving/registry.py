"""Vertical models in the MLflow registry: versions, aliases, lineage."""

import logging
from collections.abc import Iterator
from datetime import date, timedelta
from importlib.metadata import version as installed
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import mlflow
from mlflow import MlflowClient
from mlflow.entities.model_registry import ModelVersion
from mlflow.exceptions import MlflowException
from mlflow.models import ModelSignature
from mlflow.types import ColSpec, DataType, Schema

import storage
from config import ROOT, PlatformConfig

if TYPE_CHECKING:
    from serving.vertical_model import VerticalModel

LOG = logging.getLogger("headwater")
CHAMPION, PREVIOUS, CHALLENGER = "champion", "previous", "challenger"
TRANSFER = "transfer"  # tag: what a version takes from the FM, `fm` (a candidate) or `none` (a baseline)
CODE = ["config.py", "data", "models", "serving"]
REQUIREMENTS = ["mlflow", "torch", "feast", "pyarrow", "pandas", "polars", "numpy", "pydantic", "pyyaml", "safetensors"]
SIGNATURE = ModelSignature(
    inputs=Schema([ColSpec(DataType.string, "user_id"), ColSpec(DataType.string, "item_id")]),
    outputs=Schema([ColSpec(DataType.float, "probability")]),
)

GONE = {"RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"}  # what MLflow answers where nothing is, or no longer


class ModelLost(Exception):
    """A registered version's model is nowhere any more; the message says what to restore."""


def version_at(client: MlflowClient, name: str, alias: str) -> ModelVersion | None:
    """Returns the version an alias points at, or None."""
    try:
        return client.get_model_version_by_alias(name, alias)
    except MlflowException as error:
        if error.error_code in GONE:
            return None
        raise


def version_numbered(client: MlflowClient, name: str, number: str) -> ModelVersion | None:
    """Returns a version, or None where it was deleted."""
    try:
        return client.get_model_version(name, number)
    except MlflowException as error:
        if error.error_code in GONE:
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
    one to before the day, so that the re-run starts where the first run did. Where a version of the line was deleted,
    MLflow's alias is gone with it or the line is cut: then the newest living version that once was champion.
    """
    champion = version_at(client, name, CHAMPION)
    lost = f"{name} has no alias {CHAMPION}"
    while champion is not None and day_of(champion) >= day:
        before = champion.tags["champion_before"]
        if not before:
            return None
        lost = f"{name} version {before}, the champion before version {champion.version}, was deleted"
        champion = version_numbered(client, name, before)
    if champion is not None:
        return champion
    living = _living(client, name, day)
    once = {version.tags.get("champion_before") for version in _living(client, name)}
    champions = [one for one in living if str(one.version) in once or one.tags.get("gate") == "promoted"]
    if not champions:
        return None  # as on the first days
    LOG.warning(
        "%s: the day starts from version %s, the newest there is that once was champion; to have another, point the "
        "alias %s at it and run the day again",
        lost,
        champions[-1].version,
        CHAMPION,
    )
    return champions[-1]


def parent_of_candidate(
    client: MlflowClient, name: str, day: date, *, champion: ModelVersion | None
) -> ModelVersion | None:
    """Returns the version a day's candidate starts from: the champion; where a baseline serves, the newest candidate.

    A baseline has learnt nothing from the FM and reads no history: a candidate that started from it would be cold. So
    while the plain model serves, candidates continue from candidates, as baselines always do from baselines.

    Args:
        client: client of the registry.
        name: name of the registered model.
        day: the candidate's.
        champion: of before the day, as `champion_before` returns it.
    """
    if champion is None or transfer_of(champion) == "fm":
        return champion
    return _newest_candidate(client, name, day)


def line_of_candidate(
    client: MlflowClient, name: str, day: date, *, champion: ModelVersion | None
) -> Iterator[ModelVersion]:
    """Yields the versions a day's candidate may start from: its parent, that one's parent and so on, the living ones.

    Where a parent was deleted, and what it started from is unknown, the newest candidate before its child is next.
    """
    version = parent_of_candidate(client, name, day, champion=champion)
    while version is not None:
        yield version
        number = version.tags.get("parent")
        if not number:
            return
        parent = version_numbered(client, name, number)
        if parent is None:
            parent = _newest_candidate(client, name, day_of(version))
            LOG.warning(
                "%s version %s, from which version %s started, was deleted; before it comes %s",
                name,
                number,
                version.version,
                f"version {parent.version}" if parent else "nothing",
            )
        version = parent


def candidates_since(client: MlflowClient, name: str, day: date, *, days: int) -> Iterator[ModelVersion]:
    """Yields the living candidates of the `days` days before a day, the newest first."""
    first = day - timedelta(days=days)
    for version in reversed(_living(client, name, day)):
        if day_of(version) >= first and transfer_of(version) == "fm":
            yield version


def _newest_candidate(client: MlflowClient, name: str, day: date) -> ModelVersion | None:
    candidates = [version for version in _living(client, name, day) if transfer_of(version) == "fm"]
    return candidates[-1] if candidates else None


def _living(client: MlflowClient, name: str, before: date = date.max) -> list[ModelVersion]:
    """Returns the platform's versions of earlier days that are not deleted, oldest first."""
    versions = [version for version in client.search_model_versions(f"name = '{name}'") if "day" in version.tags]
    earlier = [version for version in versions if day_of(version) < before]
    return sorted(earlier, key=lambda version: (day_of(version), int(version.version)))


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


def load_version(config: PlatformConfig, version: ModelVersion) -> "VerticalModel":
    """Loads the model of a registered version; where its artifacts are gone, from the partition it was made in.

    Raises:
        ModelLost: it is in neither place.
    """
    from serving.vertical_model import VerticalModel  # torch: not for those who only look versions up

    of = f"{version.name} version {version.version}"
    try:
        folder = mlflow.artifacts.download_artifacts(f"models:/{version.name}/{version.version}")
        return VerticalModel.load(Path(folder) / "artifacts" / "model")
    except (FileNotFoundError, MlflowException) as error:
        if isinstance(error, MlflowException) and error.error_code not in GONE:
            raise
        partition = made_in(config, version)
        if partition is None:
            raise ModelLost(
                f"the artifacts of {of} are gone ({error}), and so is the partition of {day_of(version)} in which it "
                f"was made: restore {_artifacts_of(version)} from a copy"
            ) from error
        LOG.warning("the artifacts of %s are gone (%s); it is read from %s", of, error, partition)
    return VerticalModel.load(partition / "model")


def _artifacts_of(version: ModelVersion) -> str:
    """Returns where the artifacts of a version are, or were."""
    try:
        return MlflowClient().get_model_version_download_uri(version.name, version.version)
    except MlflowException:  # the record of the logged model is gone, too
        return str(version.source)


def made_in(config: PlatformConfig, version: ModelVersion) -> Path | None:
    """Returns the partition that a version was registered from; None if that is gone or holds other weights now."""
    table = {"fm": "candidates", "none": "baselines"}[transfer_of(version)] + f"_{version.tags['vertical']}"
    day = day_of(version)
    if not storage.has_partition(config, table, day):
        return None
    manifest = storage.read_manifest(config, table, day)
    if manifest["extra"]["weights"] != version.tags["weights"]:
        return None
    return storage.version_folder(config, table, day, manifest)
