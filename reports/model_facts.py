"""What the files of a model record: settings, features, sizes; read without loading the model."""

import json
from dataclasses import dataclass
from datetime import date
from math import prod
from pathlib import Path
from typing import Any

import pyarrow as pa
from safetensors import safe_open

import storage
from config import PlatformConfig

BUFFERS = ("running_mean", "running_var", "num_batches_tracked")  # of batch norms: state, no parameters


@dataclass(frozen=True)
class ModelFacts:
    """The candidate of a vertical, as its description and its partition's manifest have it."""

    weights: str  # version of the weights
    architecture: str
    hyperparameters: dict[str, Any]
    parameters: int
    embedding_parameters: int
    categorical: list[str]
    dense: list[str]
    history_length: int | None  # None: reads no FM history
    example: dict[str, str] | None  # ids of one held-out impression
    partition: str
    inputs: list[str]


def candidate(config: PlatformConfig, vertical: str, day: date, evaluations: pa.Table | None) -> ModelFacts | None:
    """Reads the candidate of a vertical and day; None if there is none.

    Args:
        evaluations: the held-out rows, with user_id and item_id; None if there are none.
    """
    table = f"candidates_{vertical}"
    if not storage.has_partition(config, table, day):
        return None
    manifest = storage.read_manifest(config, table, day)
    folder = storage.version_folder(config, table, day, manifest) / "model"
    description = json.loads((folder / "model.json").read_text())
    settings, features = description["settings"], description["features"]
    sizes = parameter_counts(folder / "model.safetensors")
    example = None
    if evaluations is not None and evaluations.num_rows:
        example = {name: evaluations[name][0].as_py() for name in ("user_id", "item_id")}
    return ModelFacts(
        weights=manifest["extra"]["weights"],
        architecture=settings["architecture"],
        hyperparameters=settings["hyperparameters"],
        parameters=sum(sizes.values()),
        embedding_parameters=sum(size for name, size in sizes.items() if name.startswith("embeddings.")),
        categorical=list(features["num_embeddings"]),
        dense=list(features["dense"]),
        history_length=features["history_length"] if description["use_history"] else None,
        example=example,
        partition=f"{table}/ds={day}",
        inputs=[f"{name} ({content_hash[:12]})" for name, content_hash in manifest["inputs"].items()],
    )


def foundation_parameters(config: PlatformConfig, day: date) -> int | None:
    """Counts the parameters of a day's FM snapshot; None if there is none."""
    if not storage.has_partition(config, "fm_snapshots", day):
        return None
    files = storage.partition_folder(config, "fm_snapshots", day).glob("model-*.safetensors")
    counts = [sum(parameter_counts(path).values()) for path in files]
    return sum(counts) if counts else None


def parameter_counts(path: Path) -> dict[str, int]:
    """Counts the parameters by tensor name, from a safetensors file's header."""
    with safe_open(path, framework="numpy") as file:
        shapes = {name: file.get_slice(name).get_shape() for name in file.keys()}  # noqa: SIM118
    return {name: prod(shape) for name, shape in shapes.items() if not name.endswith(BUFFERS)}
