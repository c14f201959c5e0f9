"""A small space, its supernet, and logs whose labels depend on what we say."""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import torch
from torch import Tensor
from torchrec import KeyedJaggedTensor

from config import NumEmbeddings
from data.batches.foundation import Examples, FoundationFeatures
from models.architectures.architecture import Inputs, Sizes
from models.foundation.embedded_network import CLICKED, SEQUENCE, FoundationBatch
from search.spaces.ranking import RankingSpace
from search.supernet.options import Options
from search.supernet.proposal import Log
from search.supernet.supernet import Supernet

STEPS, ROWS = 4, 40  # of a history; of every table
SPARSE = ("user_id", "item_id", "vertical", "brand", "color")
SIZES = Sizes(num_sparse=len(SPARSE) + 1, num_dense=3, embedding_dim=16, sequence_length=STEPS, target=1)
FEATURES = FoundationFeatures(
    SPARSE, ("a", "b", "c"), NumEmbeddings(user_id=ROWS, item_id=ROWS, other=ROWS), None, STEPS
)
RECIPE = {
    "embedding_dim": 16,
    "learning_rate": 0.001,
    "embedding_learning_rate": 0.05,
    "warmup_steps": 0,
    "weight_decay": 0.0,
    "first_embeddings": 0.05,
    "asks": 0,
}
SMALL = RECIPE | {
    "tokens_out": True,
    "raw_out": False,
    "head": "64",
    "count_1": 4,
    "width_1": 32,
    "dense_tokens": 0,
    "history": False,
}


def options(blocks: int = 2, *, cap: float | None = None, fixed: dict | None = None) -> Options:
    """The whole space, but for the recipe and what else is fixed."""
    return Options(RankingSpace.of(SIZES, target="foundation", blocks=blocks, cap=cap), RECIPE | (fixed or {}))


def supernet(of: Options, *, seed: int = 0) -> Supernet:
    """A supernet all of whose weights differ, norms' and biases', too."""
    net = Supernet(of, FEATURES, seed=seed)
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for weight in net.weights.tensors.values():
            weight += 0.05 * torch.randn(weight.shape, generator=generator)
    return net


def inputs(count: int = 8, *, history: bool, seed: int = 0) -> Inputs:
    """Embedded examples; histories of different lengths, an empty one among them."""
    generator = torch.Generator().manual_seed(seed)
    tokens = torch.randn(count, SIZES.num_sparse, 16, generator=generator)
    dense = torch.randn(count, SIZES.num_dense, generator=generator)
    if not history:
        return Inputs(tokens, dense, torch.zeros(count, 0, 0), torch.zeros(count, 0, dtype=torch.bool))
    mask = torch.arange(STEPS) < (torch.arange(count) % (STEPS + 1)).unsqueeze(1)
    return Inputs(tokens, dense, torch.randn(count, STEPS, 18, generator=generator), mask)


def examples(ids: Tensor, labels: Tensor, dense: Tensor | None = None) -> Examples:
    """A batch without histories: ids of the features, (B, 5)."""
    B = len(ids)
    lengths = torch.cat([torch.ones(len(SPARSE) * B, dtype=torch.int64), torch.zeros(2 * B, dtype=torch.int64)])
    sparse = KeyedJaggedTensor(keys=[*SPARSE, CLICKED, SEQUENCE], values=ids.T.flatten(), lengths=lengths)
    dense = torch.zeros(B, SIZES.num_dense) if dense is None else dense
    return Examples(FoundationBatch(sparse, dense, torch.zeros(0, 2)), labels, pa.RecordBatch.from_pylist([]), B)


@dataclass(frozen=True)
class Planted:
    """Clicks that depend on products of two features' factors, and on nothing else."""

    seed: int
    strength: float = 4.0
    ids: int = 6  # of each feature; few, so that a small log tells

    def batches(self, count: int, *, size: int = 256, part: int = 0) -> list[Examples]:
        """Draws batches; those of another part are others of the same truth."""
        factors = np.random.default_rng([self.seed, 0]).choice([-1.0, 1.0], size=(len(SPARSE), self.ids, 3))
        rng, made = np.random.default_rng([self.seed, 1, part]), []
        for _ in range(count):
            ids = rng.integers(self.ids, size=(size, len(SPARSE)))
            v = factors[np.arange(len(SPARSE)), ids]  # (B, F, 3)
            pairs = (v.sum(1) ** 2 - (v**2).sum(1)).sum(1) / 2
            chance = 1 / (1 + np.exp(-self.strength * pairs / 3))
            clicked = (rng.random(size) < chance).astype(np.float32)
            made.append(examples(torch.from_numpy(ids), torch.from_numpy(clicked)))
        return made


def log(count: int = 6, *, seed: int = 0) -> Log:
    """A log of two days and a validation batch."""
    planted = Planted(seed)
    batches = planted.batches(count, size=64)
    return Log([batches[: count // 2], batches[count // 2 :]], planted.batches(2, size=64, part=1), FEATURES)
