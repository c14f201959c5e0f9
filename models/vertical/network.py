"""A vertical model: small embeddings, an encoder of the FM history, trunk and head around any architecture."""

from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

from config import Section
from models.architectures.architecture import Architecture, Count, Inputs, Sizes
from models.architectures.hyperparameters import split_hyperparameters
from models.layers.history import HISTORY_ENCODERS, HistoryEncoder
from models.layers.mlp import mlp
from models.vertical.batch import VerticalBatch, VerticalOutput

# Standard deviations from the mean. What Feast does not know is 0, and a price of 0 is far below all that was ever
# learnt: a new item would be scored by a line drawn on into nowhere.
FARTHEST = 5.0


@dataclass(frozen=True)
class VerticalSizes:
    """What a vertical network must know of its input."""

    # Rows of each sparse feature's table, in the order of a batch's columns; has item_id.
    num_embeddings: dict[str, int]
    num_dense: int
    embedding_dim: int  # width of every table
    history_length: int  # slots of `batch.history`
    code_dim: int  # width of the FM's codes in `batch.history`; 0: the network reads none
    history_ids: tuple[str, ...]  # sparse features whose ids a history slot holds and the network reads

    @property
    def use_history(self) -> bool:
        """Says whether the network reads the FM's history; False: the baseline, which takes nothing of the FM."""
        return bool(self.code_dim or self.history_ids)

    def of(self, architecture: type[Architecture]) -> Sizes:
        """Returns what the architecture must know of its input."""
        return Sizes(
            num_sparse=len(self.num_embeddings),
            num_dense=self.num_dense,
            embedding_dim=self.embedding_dim,
            sequence_length=self.history_length if architecture.reads_sequence else 0,
            target=list(self.num_embeddings).index("item_id"),
        )


class VerticalNetwork(nn.Module):
    """An architecture makes one vector of an example's features; an MLP reads it beside the encoded FM history.

    An architecture that reads the sequence is given the items of the history in the model's own embeddings, with
    labels and ages. They are the log's, not the FM's, so the baseline reads them, too.

    A batch may hold several candidates of each user, as a request does: his history is then read once for all of them.

    B = U·C: examples, C of each of U users (1 in training), F: sparse features, e: embedding width, N: dense features,
    d: code width, L: history slots, A: ids a slot
    """

    class Config(Section):
        """Hyperparameters of what lies around the architecture."""

        hidden: list[Count] = [64, 32]  # layers of the trunk; []: the head reads what the trunk would
        history_encoder: Literal["activation_unit", "mean", "multi_interest", "sum", "target_attention"] = (
            "target_attention"
        )
        history_dim: Count = 32  # width of the encoder
        attention_heads: Count = 2

    def __init__(self, architecture: type[Architecture], hyperparameters: dict[str, Any], sizes: VerticalSizes) -> None:
        """Builds the network.

        Args:
            architecture: of what reads the features.
            hyperparameters: the architecture's and those of Config.
            sizes: of the input.

        Raises:
            ValueError: a hyperparameter is unknown or wrong.
        """
        super().__init__()
        inner, config = split_hyperparameters(
            hyperparameters, architecture, VerticalNetwork.Config, model="vertical model"
        )
        self.sizes = sizes
        self.embeddings = nn.ModuleDict(
            {name: nn.Embedding(rows, sizes.embedding_dim) for name, rows in sizes.num_embeddings.items()}
        )
        for weight in self.embeddings.parameters():
            nn.init.normal_(weight, std=0.05)
        self.norm = nn.BatchNorm1d(sizes.num_dense) if sizes.num_dense else nn.Identity()
        self.history: HistoryEncoder | None = None
        history_dim = 0
        if sizes.use_history:
            ids = len(sizes.history_ids)
            self.history = HISTORY_ENCODERS[config.history_encoder](
                sizes.code_dim + max(1, ids) * sizes.embedding_dim,
                sizes.code_dim + ids * (sizes.embedding_dim + 1) + (3 if sizes.code_dim else 2),
                model_dim=config.history_dim,
                num_heads=config.attention_heads,
            )
            history_dim = self.history.output_dim + sizes.code_dim
        self.architecture = architecture(inner, sizes.of(architecture))
        width = self.architecture.output_dim + history_dim
        self.trunk = mlp(width, config.hidden, activation=architecture.activation)
        self.hidden_dim = [width, *config.hidden][-1]
        self.head = nn.Linear(self.hidden_dim, 1)

    def forward(self, batch: VerticalBatch) -> VerticalOutput:
        """Scores a batch; logits, not probabilities."""
        embedded = self.embed(batch)
        inputs = [self.architecture(*embedded)]
        if self.history is not None:
            candidate = self._candidate(batch, embedded.tokens)
            inputs.append(self.history(candidate, self._slots(batch), batch.history.mask, self._shared(batch)))
            if self.sizes.code_dim:
                inputs.append(batch.history.item_code)
        hidden = self.trunk(torch.cat(inputs, dim=1))
        return VerticalOutput(self.head(hidden).squeeze(-1), hidden)

    def embed(self, batch: VerticalBatch) -> Inputs:
        """Looks the ids up and normalises the dense features: what the architecture reads."""
        embedded = [table(ids) for table, ids in zip(self.embeddings.values(), batch.sparse.T, strict=True)]
        tokens = torch.stack(embedded, dim=1)  # (B, F, e)
        dense = self.norm(batch.dense).clamp(-FARTHEST, FARTHEST)  # (B, N)
        history = batch.history
        if not self.architecture.reads_sequence:
            return Inputs(tokens, dense, dense.new_zeros(len(dense), 0, 0), history.mask[:, :0])
        items = self.embeddings["item_id"](history.ids[..., 0])  # (U, L, e)
        sequence = torch.cat([items, torch.stack([history.labels, history.ages], dim=-1)], dim=-1)
        return Inputs(tokens, dense, sequence, history.mask)

    def _candidate(self, batch: VerticalBatch, tokens: Tensor) -> Tensor:
        """Returns what the history is asked about, (B, d + max(1, A)·e): the item's mean code and its embeddings."""
        names = list(self.sizes.num_embeddings)
        embeddings = [tokens[:, names.index(name)] for name in self.sizes.history_ids or ("item_id",)]
        return torch.cat([batch.history.item_code, *embeddings] if self.sizes.code_dim else embeddings, dim=-1)

    def _slots(self, batch: VerticalBatch) -> Tensor:
        """Returns what a user's history holds, (U, L, K): code, embeddings of the ids, label, age."""
        history = batch.history
        vectors = [history.codes] if self.sizes.code_dim else []
        vectors += [self.embeddings[name](history.ids[..., i]) for i, name in enumerate(self.sizes.history_ids)]
        return torch.cat([*vectors, torch.stack([history.labels, history.ages], dim=-1)], dim=-1)

    def _shared(self, batch: VerticalBatch) -> Tensor:
        """Returns what slots and candidates share, (B, L, P): how close their codes are, and which ids are the same.

        A small model cannot learn that comparison from few clicks, so it is told.
        """
        history, names = batch.history, list(self.sizes.num_embeddings)
        U, values = len(history.mask), []
        if self.sizes.code_dim:
            slots, items = (normalize(codes, dim=-1, eps=1e-8) for codes in (history.codes, history.item_code))
            values.append(items.unflatten(0, (U, -1)) @ slots.mT)  # cosines, (U, C, L)
        for index, name in enumerate(self.sizes.history_ids):
            asked = batch.sparse[:, names.index(name)].view(U, -1, 1)  # (U, C, 1)
            values.append((history.ids[..., index].unsqueeze(1) == asked).to(history.labels.dtype))
        return torch.stack(values, dim=-1).flatten(0, 1)
