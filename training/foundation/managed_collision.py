"""Places tables whose rows are assigned to ids (zero-collision hashing), on CPUs as on GPUs.

torchrec offers the row-wise sharding that such tables need for GPUs only, and resets evicted rows by a CUDA kernel.
"""

from typing import Any

import torch
from torch import Tensor
from torchrec.distributed.embedding import EmbeddingCollectionSharder
from torchrec.distributed.embedding_types import EmbeddingComputeKernel
from torchrec.distributed.embeddingbag import EmbeddingBagCollectionSharder
from torchrec.distributed.mc_embedding import (
    ManagedCollisionEmbeddingCollectionSharder,
    ShardedManagedCollisionEmbeddingCollection,
)
from torchrec.distributed.mc_embeddingbag import (
    ManagedCollisionEmbeddingBagCollectionSharder,
    ShardedManagedCollisionEmbeddingBagCollection,
)
from torchrec.distributed.types import ShardingType


class _RowWiseBags(EmbeddingBagCollectionSharder):
    def sharding_types(self, compute_device_type: str) -> list[str]:
        return [ShardingType.ROW_WISE.value]


class _RowWiseSteps(EmbeddingCollectionSharder):
    def sharding_types(self, compute_device_type: str) -> list[str]:
        return [ShardingType.ROW_WISE.value]


class _Evicts:
    """A row that is assigned to another id starts anew: fresh weights, no optimizer state.

    The weights are those of the id, so it starts the same whichever row, on whichever process, it gets.
    """

    _table_to_tbe_and_index: dict[str, tuple[Any, Tensor]]
    _embedding_module: Any
    _managed_collision_collection: Any

    def _evict(self, evictions_per_table: dict[str, Tensor | None]) -> None:
        for table, rows in evictions_per_table.items():
            if rows is None or not len(rows):
                continue
            kernel, index = self._table_to_tbe_and_index[table]
            first_weights = self._embedding_module._table_name_to_config[table].init_fn
            weights = kernel.split_embedding_weights()[int(index)]
            with torch.no_grad():
                weights[rows] = first_weights.of(self._ids(table)[rows].cpu() % first_weights.rows).to(weights.device)
                for state in kernel.split_optimizer_states()[int(index)]:
                    state[rows] = 0

    def _ids(self, table: str) -> Tensor:
        """Returns the id that each row of this rank's shard belongs to, (rows,)."""
        module = self._managed_collision_collection._managed_collision_modules[table]
        first_row = self._managed_collision_collection._table_to_offset[table]
        ids = torch.empty_like(module._mch_sorted_raw_ids)
        ids[module._mch_remapped_ids_mapping - first_row] = module._mch_sorted_raw_ids
        return ids


class _ShardedBags(_Evicts, ShardedManagedCollisionEmbeddingBagCollection):
    pass


class _ShardedSteps(_Evicts, ShardedManagedCollisionEmbeddingCollection):
    pass


class ManagedBagsSharder(ManagedCollisionEmbeddingBagCollectionSharder):
    """Shards pooled tables with managed collisions."""

    def __init__(self) -> None:
        super().__init__(ebc_sharder=_RowWiseBags())

    def compute_kernels(self, sharding_type: str, compute_device_type: str) -> list[str]:
        """Returns the fused kernel, the one that CPUs have too."""
        return [EmbeddingComputeKernel.FUSED.value]

    def shard(self, module: Any, params: Any, env: Any, device: Any = None, module_fqn: Any = None) -> _ShardedBags:
        """Shards as torchrec does, but resets rows on CPUs too."""
        return _ShardedBags(
            module, params, ebc_sharder=self._e_sharder, mc_sharder=self._mc_sharder, env=env, device=device
        )


class ManagedStepsSharder(ManagedCollisionEmbeddingCollectionSharder):
    """Shards tables of sequences with managed collisions."""

    def __init__(self) -> None:
        super().__init__(ec_sharder=_RowWiseSteps())

    def compute_kernels(self, sharding_type: str, compute_device_type: str) -> list[str]:
        """Returns the fused kernel, the one that CPUs have too."""
        return [EmbeddingComputeKernel.FUSED.value]

    def shard(self, module: Any, params: Any, env: Any, device: Any = None, module_fqn: Any = None) -> _ShardedSteps:
        """Shards as torchrec does, but resets rows on CPUs too."""
        return _ShardedSteps(
            module, params, ec_sharder=self._e_sharder, mc_sharder=self._mc_sharder, env=env, device=device
        )
