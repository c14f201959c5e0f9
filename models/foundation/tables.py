"""Embedding tables of a foundation model: fixed hashing, or rows handed out to the ids that come."""

import hashlib
import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torchrec import EmbeddingBagCollection, EmbeddingBagConfig, EmbeddingCollection, EmbeddingConfig, PoolingType
from torchrec.modules.mc_embedding_modules import (
    ManagedCollisionEmbeddingBagCollection,
    ManagedCollisionEmbeddingCollection,
)
from torchrec.modules.mc_modules import (
    DistanceLFU_EvictionPolicy,
    ManagedCollisionCollection,
    MCHManagedCollisionModule,
)

from config import ManagedCollision

META = torch.device("meta")  # nothing is allocated before the tables are placed
BUCKETS = 64  # ranges of ids that a table can be cut into: the most ranks it can be shared by
ID_RANGE = 2**63 - 1  # managed tables take ids below this


def table(name: str, features: list[str], *, rows: int, embedding_dim: int) -> dict[str, Any]:
    """One table, as `bags` and `steps` take it."""
    return {
        "name": name,
        "feature_names": features,
        "num_embeddings": rows,
        "embedding_dim": embedding_dim,
        "init_fn": _initializer(name, rows),
    }


def bags(tables: list[dict[str, Any]], managed: ManagedCollision | None = None) -> nn.Module:
    """Tables that give the mean of each row's embeddings.

    Args:
        tables: of `table`.
        managed: None: an id is its row.
    """
    configs = [EmbeddingBagConfig(**entry, pooling=PoolingType.MEAN) for entry in tables]
    collection = EmbeddingBagCollection(tables=configs, device=META)
    if managed is None:
        return collection
    return ManagedCollisionEmbeddingBagCollection(collection, _managed(configs, managed))


def steps(entry: dict[str, Any], managed: ManagedCollision | None = None) -> nn.Module:
    """A table that gives the embedding of every id."""
    configs = [EmbeddingConfig(**entry)]
    collection = EmbeddingCollection(tables=configs, device=META)
    if managed is None:
        return collection
    return ManagedCollisionEmbeddingCollection(collection, _managed(configs, managed))


def _managed(configs: list[Any], managed: ManagedCollision) -> ManagedCollisionCollection:
    modules = {
        entry.name: MCHManagedCollisionModule(
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


def _initializer(name: str, rows: int) -> Callable[[Tensor], Tensor]:
    """Uniform in ±1/√rows, as torchrec's own, from a seed of the table's name and torch's seed.

    So the content of a table depends neither on the others nor on the rank it lies on.
    """
    bound = math.sqrt(1 / rows)
    seed = int.from_bytes(hashlib.sha256(f"{torch.initial_seed()} {name}".encode()).digest()[:7], "big")

    def fill(weight: Tensor) -> Tensor:
        if weight.is_meta:
            return weight
        generator = torch.Generator(weight.device).manual_seed(seed)
        with torch.no_grad():
            return weight.uniform_(-bound, bound, generator=generator)

    return fill
