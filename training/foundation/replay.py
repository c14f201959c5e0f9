"""A batch whose loss was not finite, kept so that the step can be looked at and done again."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet
import torch
import torch.distributed as dist
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torchrec import KeyedJaggedTensor

import storage
from config import PlatformConfig
from data.batches.foundation import Examples, FoundationFeatures
from models.foundation.embedded_network import FoundationBatch
from models.foundation.foundation_model import FoundationModel


def save_batch(config: PlatformConfig, examples: Examples, *, name: str) -> Path:
    """Writes a batch: tensors in batch.safetensors, the rows' keys in keys.parquet.

    Returns:
        the folder.
    """
    folder = storage.failure_dir(config, f"{name}, rank {dist.get_rank()}")
    folder.mkdir(parents=True, exist_ok=True)
    sparse, dense, history_extras = examples.batch
    sparse = sparse.to(torch.device("cpu"))
    tensors = {"values": sparse.values(), "lengths": sparse.lengths(), "dense": dense, "history_extras": history_extras}
    tensors["labels"] = examples.labels
    tensors = {key: value.cpu().contiguous() for key, value in tensors.items()}
    save_file(tensors, folder / "batch.safetensors", metadata={"features": ",".join(sparse.keys())})
    pa.parquet.write_table(pa.Table.from_batches([examples.keys]), folder / "keys.parquet")
    return folder


def load_batch(folder: Path) -> Examples:
    """Reads what `save_batch` wrote."""
    tensors = load_file(folder / "batch.safetensors")
    with safe_open(folder / "batch.safetensors", framework="pt") as file:
        features = file.metadata()["features"].split(",")
    sparse = KeyedJaggedTensor(keys=features, values=tensors["values"], lengths=tensors["lengths"])
    keys = pa.parquet.read_table(folder / "keys.parquet").combine_chunks().to_batches()[0]
    batch = FoundationBatch(sparse, tensors["dense"], tensors["history_extras"])
    return Examples(batch, tensors["labels"], keys, len(tensors["labels"]))


def what_is_not_finite(batch: FoundationBatch, module: FoundationModel, features: FoundationFeatures) -> str:
    """Says which dense feature or weight of the model is not finite."""
    wrong = ~torch.isfinite(batch.dense).all(dim=0)
    if wrong.any():
        return f"dense feature {features.dense[int(wrong.nonzero()[0])]} is not finite"
    if not torch.isfinite(batch.history_extras).all():
        return "an age or label of history_item_ids is not finite"
    for name, parameter in module.named_parameters():
        if not torch.isfinite(parameter).all():
            return f"{name} of the model is not finite"
    largest = int(batch.dense.abs().amax(dim=0).argmax())
    return f"no input is; the largest is {features.dense[largest]}, {float(batch.dense.abs().max()):.3g}"
