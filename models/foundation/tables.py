"""Embedding tables of a foundation model: fixed hashing, or rows assigned to the ids that come."""

import hashlib
import math
from typing import Any

import torch
from torch import Tensor, nn
from torchrec import EmbeddingBagCollection, EmbeddingBagConfig, EmbeddingCollection, EmbeddingConfig, PoolingType
from torchrec.modules.mc_embedding_modules import (
    ManagedCollisionEmbeddingBagCollection,
    ManagedCollisionEmbeddingCollection,
)
from torchrec.modules.mc_modules import DistanceLFU_EvictionPolicy, ManagedCollisionCollection

from config import ManagedCollision
from models.foundation.counted_ids import CountedIds

META = torch.device("meta")  # nothing is allocated before the tables are placed
BUCKETS = 64  # ranges of ids that a table can be cut into: the most ranks it can be shared by
ID_RANGE = 2**63 - 1  # managed tables take ids below this
BLOCK_ROWS = 1024  # first weights are drawn for so many rows at once


class FirstWeights:
    """A table's first weights: uniform in ±bound, from torch's seed, the table's name and the row.

    They are drawn on the CPU, each block of rows from a seed of its own, so a row starts the same on every device and
    however the table is sharded.
    """

    def __init__(self, name: str, *, rows: int, embedding_dim: int, bound: float | None = None) -> None:
        """Takes the seed as it is now.

        Args:
            name: of the table.
            rows: of the table.
            embedding_dim: width of a row.
            bound: of a weight's size; None: 1/√rows, as torchrec's own.
        """
        self.name, self.rows, self.embedding_dim = name, rows, embedding_dim
        self.bound = math.sqrt(1 / rows) if bound is None else bound
        self.seed = torch.initial_seed()

    def __call__(self, weight: Tensor) -> Tensor:
        """Returns the weight as it is: torchrec calls this without saying which rows a shard holds; see `fill`."""
        return weight

    @torch.no_grad()
    def fill(self, weight: Tensor, row: int = 0, column: int = 0) -> None:
        """Writes first weights into a shard of the table.

        Args:
            weight: the shard, on any device, (n, up to embedding_dim).
            row: of the table, where the shard begins.
            column: likewise.
        """
        end = row + len(weight)
        for block in range(row // BLOCK_ROWS, -(-end // BLOCK_ROWS)):
            start = block * BLOCK_ROWS
            low, high = max(start, row), min(start + BLOCK_ROWS, end)
            drawn = self._block(block)[low - start : high - start, column : column + weight.shape[1]]
            weight[low - row : high - row] = drawn.to(weight.device)

    def of(self, rows: Tensor) -> Tensor:
        """Returns the first weights of some rows, (n, embedding_dim), on the CPU.

        Args:
            rows: their numbers in the table, on the CPU, (n,).
        """
        weights = torch.empty(len(rows), self.embedding_dim)
        blocks = rows // BLOCK_ROWS
        for block in blocks.unique().tolist():
            mine = blocks == block
            weights[mine] = self._block(block)[rows[mine] % BLOCK_ROWS]
        return weights

    def _block(self, number: int) -> Tensor:
        digest = hashlib.sha256(f"{self.seed} {self.name} {number}".encode()).digest()
        generator = torch.Generator().manual_seed(int.from_bytes(digest[:7], "big"))
        return torch.empty(BLOCK_ROWS, self.embedding_dim).uniform_(-self.bound, self.bound, generator=generator)


def table(
    name: str, features: list[str], *, rows: int, embedding_dim: int, bound: float | None = None
) -> dict[str, Any]:
    """Describes one table, as `bags` and `unpooled` take it."""
    return {
        "name": name,
        "feature_names": features,
        "num_embeddings": rows,
        "embedding_dim": embedding_dim,
        "init_fn": FirstWeights(name, rows=rows, embedding_dim=embedding_dim, bound=bound),
    }


def bags(tables: list[dict[str, Any]], managed: ManagedCollision | None = None) -> nn.Module:
    """Builds tables that give the mean of each row's embeddings.

    Args:
        tables: of `table`.
        managed: None: an id is its row.
    """
    configs = [EmbeddingBagConfig(**entry, pooling=PoolingType.MEAN) for entry in tables]
    collection = EmbeddingBagCollection(tables=configs, device=META)
    if managed is None:
        return collection
    return ManagedCollisionEmbeddingBagCollection(collection, _managed(configs, managed))


def unpooled(entry: dict[str, Any], managed: ManagedCollision | None = None) -> nn.Module:
    """Builds a table that gives the embedding of every id."""
    configs = [EmbeddingConfig(**entry)]
    collection = EmbeddingCollection(tables=configs, device=META)
    if managed is None:
        return collection
    return ManagedCollisionEmbeddingCollection(collection, _managed(configs, managed))


def _managed(configs: list[Any], managed: ManagedCollision) -> ManagedCollisionCollection:
    modules = {
        entry.name: CountedIds(
            zch_size=entry.num_embeddings,
            device=META,
            eviction_policy=DistanceLFU_EvictionPolicy(),
            eviction_interval=managed.eviction_interval,
            input_hash_size=ID_RANGE,
            buckets=math.gcd(entry.num_embeddings, BUCKETS),
        )
        for entry in configs
    }
    return ManagedCollisionCollection(modules, configs)
