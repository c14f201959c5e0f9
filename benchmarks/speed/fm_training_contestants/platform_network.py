"""Ours: tables sharded by training.foundation.parallel with row-wise Adagrad in the backward pass, fused Adam.

Variants that end in _bf16 do the dense arithmetic in half precision (`precision: bf16`). The platform's network has one
token more than the peers', the pooled click history, here empty.
"""

from contextlib import ExitStack
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits
from torchrec import KeyedJaggedTensor

from benchmarks.speed.fm_training_contestants import task as sizes
from benchmarks.speed.fm_training_contestants.contestant import Contestant
from benchmarks.speed.fm_training_contestants.task import Batch, Task
from config import NumEmbeddings, Runtime
from models.architectures import ARCHITECTURES
from models.foundation.embedded_network import CLICKED, EmbeddedNetwork, FoundationBatch
from training.foundation.parallel import dense_parameters, process_group, shard

DCNV2 = {"num_cross_layers": sizes.CROSS_LAYERS, "structure": "stacked", "deep": sizes.MLP[:1], "head": sizes.MLP[1:]}
# By variant: architecture and its hyperparameters.
NETWORKS: dict[str, tuple[str, dict[str, Any]]] = {
    "dcnv2": ("dcnv2", DCNV2 | {"rank": sizes.CROSS_RANK}),
    "dcnv2_full_rank": ("dcnv2", DCNV2 | {"rank": None}),
    "wukong": (
        "wukong",
        {
            "num_layers": sizes.WUKONG_LAYERS,
            "num_dense_tokens": sizes.WUKONG_DENSE_TOKENS,
            "num_fmb_tokens": sizes.WUKONG_TOKENS,
            "num_lcb_tokens": sizes.WUKONG_TOKENS,
            "rank": sizes.WUKONG_RANK,
            "mlp": sizes.WUKONG_HIDDEN,
            "head": sizes.MLP,
        },
    ),
}
HALF = "_bf16"
GRADIENT_CLIP_NORM = 10.0


def build(task: Task, variant: str, stack: ExitStack) -> Contestant:
    """Makes the contestant; its process group ends with the stack."""
    device = stack.enter_context(process_group(Runtime(device=task.device, torch_threads=1)))
    torch.manual_seed(task.seed)
    names = feature_names(task)
    rows = NumEmbeddings(user_id=task.rows, item_id=task.rows, other=task.rows)
    name, hyperparameters = NETWORKS[variant.removesuffix(HALF)]
    network = EmbeddedNetwork(
        ARCHITECTURES[name],
        hyperparameters,
        sparse=names,
        num_dense=task.dense,
        num_embeddings=rows,
        embedding_dim=task.dim,
        sequence_length=0,
    )
    model = shard(network, device, embedding_learning_rate=sizes.EMBEDDING_LEARNING_RATE)
    dense = dense_parameters(model)
    optimizer = torch.optim.Adam(dense, lr=sizes.LEARNING_RATE, fused=True)

    def prepare(batch: Batch) -> tuple[FoundationBatch, Tensor]:
        features = foundation_batch(batch, names)
        return FoundationBatch(*(part.to(device) for part in features)), torch.from_numpy(batch.labels).to(device)

    def logits(batch: FoundationBatch) -> Tensor:
        with torch.autocast(device.type, dtype=torch.bfloat16, enabled=variant.endswith(HALF)):
            return model(batch).logits.float()

    def step(prepared: tuple[FoundationBatch, Tensor]) -> None:
        model.train()
        batch, labels = prepared
        loss = binary_cross_entropy_with_logits(logits(batch), labels)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(dense, GRADIENT_CLIP_NORM)
        optimizer.step()
        loss.item()

    def score(prepared: tuple[FoundationBatch, Tensor]) -> Tensor:
        model.eval()
        return torch.sigmoid(logits(prepared[0]))

    return Contestant(prepare, step, score, sum(p.numel() for p in dense))


def feature_names(task: Task) -> tuple[str, ...]:
    """Returns the names of the fields; the platform's networks want an item among them."""
    return ("item_id", *(f"field_{index}" for index in range(1, task.fields)))


def foundation_batch(batch: Batch, names: tuple[str, ...]) -> FoundationBatch:
    """Returns the batch as the platform's networks take it."""
    B, F = batch.ids.shape
    lengths = torch.ones(F + 1, B, dtype=torch.int32)
    lengths[F] = 0  # no click history
    sparse = KeyedJaggedTensor(
        keys=[*names, CLICKED], values=torch.from_numpy(batch.ids.T.reshape(-1)), lengths=lengths.flatten()
    )
    return FoundationBatch(sparse, torch.from_numpy(batch.dense), torch.zeros(0, 2))
