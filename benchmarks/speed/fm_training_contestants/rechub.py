"""Torch-RecHub: ranking.DCNv2 in its low-rank form with one expert, deep and cross network side by side."""

from contextlib import ExitStack

import torch
from torch import Tensor
from torch_rechub.basic.features import DenseFeature, SparseFeature
from torch_rechub.models.ranking import DCNv2

from benchmarks.speed.fm_training_contestants import task as sizes
from benchmarks.speed.fm_training_contestants.contestant import Contestant, dense_adam, outside_tables
from benchmarks.speed.fm_training_contestants.task import Batch, Task


def build(task: Task, variant: str, stack: ExitStack) -> Contestant:
    """Makes the contestant; it has one variant, and nothing to close."""
    torch.manual_seed(task.seed)
    sparse = [SparseFeature(f"field_{index}", task.rows, embed_dim=task.dim) for index in range(task.fields)]
    dense = [DenseFeature(f"dense_{index}") for index in range(task.dense)]
    model = DCNv2(
        [*sparse, *dense],
        n_cross_layers=sizes.CROSS_LAYERS,
        mlp_params={"dims": sizes.MLP},
        low_rank=sizes.CROSS_RANK,
        num_experts=1,
    )

    def prepare(batch: Batch) -> tuple[dict[str, Tensor], Tensor]:
        columns = {f"field_{index}": torch.from_numpy(ids.copy()) for index, ids in enumerate(batch.ids.T)}
        columns |= {f"dense_{index}": torch.from_numpy(values.copy()) for index, values in enumerate(batch.dense.T)}
        return columns, torch.from_numpy(batch.labels)

    return dense_adam(model, prepare, dense_parameters=outside_tables(model))
