"""torchrec's own DLRM_DCN over its fused tables: row-wise Adagrad in the backward pass, fused Adam for the rest."""

from contextlib import ExitStack

import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits
from torchrec import EmbeddingBagConfig, KeyedJaggedTensor
from torchrec.models.dlrm import DLRM_DCN
from torchrec.modules.fused_embedding_modules import FusedEmbeddingBagCollection
from torchrec.optim.rowwise_adagrad import RowWiseAdagrad

from benchmarks.speed.fm_training_contestants import task as sizes
from benchmarks.speed.fm_training_contestants.contestant import Contestant
from benchmarks.speed.fm_training_contestants.task import Batch, Task


def build(task: Task, variant: str, stack: ExitStack) -> Contestant:
    """Makes the contestant; it has one variant, and nothing to close."""
    torch.manual_seed(task.seed)
    device = torch.device(task.device)
    names = [f"field_{index}" for index in range(task.fields)]
    tables = FusedEmbeddingBagCollection(
        tables=[
            EmbeddingBagConfig(
                name=f"table_{name}", embedding_dim=task.dim, num_embeddings=task.rows, feature_names=[name]
            )
            for name in names
        ],
        optimizer_type=RowWiseAdagrad,
        optimizer_kwargs={"lr": sizes.EMBEDDING_LEARNING_RATE},
        device=device,
    )
    for weight in tables.fused_optimizer().params.values():
        torch.nn.init.uniform_(weight, -(task.rows**-0.5), task.rows**-0.5)  # as its sharded tables begin
    model = DLRM_DCN(
        tables,
        dense_in_features=task.dense,
        dense_arch_layer_sizes=[*sizes.MLP[1:], task.dim],
        over_arch_layer_sizes=[*sizes.MLP, 1],
        dcn_num_layers=sizes.CROSS_LAYERS,
        dcn_low_rank_dim=sizes.CROSS_RANK,
    ).to(device)
    fused = {id(p) for p in tables.parameters()}
    dense = [p for p in model.parameters() if id(p) not in fused]
    optimizer = torch.optim.Adam(dense, lr=sizes.LEARNING_RATE, fused=True)

    def prepare(batch: Batch) -> tuple[Tensor, KeyedJaggedTensor, Tensor]:
        values = torch.from_numpy(batch.ids.T.reshape(-1))
        lengths = torch.ones(len(values), dtype=torch.int32)
        sparse = KeyedJaggedTensor(keys=names, values=values, lengths=lengths).to(device)
        return torch.from_numpy(batch.dense).to(device), sparse, torch.from_numpy(batch.labels).to(device)

    def step(prepared: tuple[Tensor, KeyedJaggedTensor, Tensor]) -> None:
        model.train()
        x, sparse, labels = prepared
        loss = binary_cross_entropy_with_logits(model(x, sparse).squeeze(-1), labels)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        loss.item()

    def score(prepared: tuple[Tensor, KeyedJaggedTensor, Tensor]) -> Tensor:
        model.eval()
        return torch.sigmoid(model(prepared[0], prepared[1]).squeeze(-1))

    return Contestant(prepare, step, score, sum(p.numel() for p in dense))
