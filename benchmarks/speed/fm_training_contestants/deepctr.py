"""DeepCTR-Torch: DCN with a full matrix a layer, and DCNMix, its low-rank form, here with one expert."""

from contextlib import ExitStack

import numpy as np
import torch
from deepctr_torch.inputs import DenseFeat, SparseFeat
from deepctr_torch.models.dcn import DCN
from deepctr_torch.models.dcnmix import DCNMix
from torch import Tensor

from benchmarks.speed.fm_training_contestants import task as sizes
from benchmarks.speed.fm_training_contestants.contestant import Contestant, dense_adam, outside_tables
from benchmarks.speed.fm_training_contestants.task import Batch, Task


def build(task: Task, variant: str, stack: ExitStack) -> Contestant:
    """Makes the contestant, `matrix` or `mix`."""
    sparse = [SparseFeat(f"field_{index}", task.rows, embedding_dim=task.dim) for index in range(task.fields)]
    dense = [DenseFeat(f"dense_{index}", 1) for index in range(task.dense)]
    common = {
        "linear_feature_columns": dense,  # a linear part over the ids would be more tables, which nobody else has
        "dnn_feature_columns": [*sparse, *dense],
        "cross_num": sizes.CROSS_LAYERS,
        "dnn_hidden_units": tuple(sizes.MLP),
        "l2_reg_linear": 0,
        "l2_reg_embedding": 0,
        "l2_reg_cross": 0,
        "seed": task.seed,
    }
    if variant == "matrix":
        model = DCN(cross_parameterization="matrix", **common)
    else:
        model = DCNMix(low_rank=sizes.CROSS_RANK, num_experts=1, **common)

    def prepare(batch: Batch) -> tuple[Tensor, Tensor]:
        # In the order in which the model meets the columns, the linear part's first; float32 is exact up to 2^24 rows.
        joined = np.concatenate([batch.dense, batch.ids.astype(np.float32)], axis=1)
        assert list(model.feature_index) == [column.name for column in (*dense, *sparse)]
        return torch.from_numpy(joined), torch.from_numpy(batch.labels)

    return dense_adam(model, prepare, dense_parameters=outside_tables(model))
