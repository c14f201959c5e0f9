"""An architecture with embedding tables of its own: hashed ids in, logits and a representation out."""

from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits
from torchrec import KeyedJaggedTensor

from config import ManagedCollision, NumEmbeddings
from models.architectures.architecture import Architecture, Inputs, Sizes
from models.foundation import tables
from models.foundation.dense_network import DenseNetwork
from models.foundation.head import FoundationOutput

ITEM = "item_id"
CLICKED = "history_clicked_item_ids"  # pooled; shares the table of item_id
SEQUENCE = "history_item_ids"  # every step, newest first; shares the table of item_id


class FoundationBatch(NamedTuple):
    """B examples as a foundation model takes them."""

    sparse: KeyedJaggedTensor  # one id of each sparse feature, and of CLICKED and SEQUENCE any number
    dense: Tensor  # (B, N)
    history_extras: Tensor  # label and log(1 + age in hours) of each element of SEQUENCE, flat, (elements, 2)


class EmbeddedNetwork(nn.Module):
    """torchrec tables -> tokens and history -> architecture and head.

    An architecture that reads the sequence has its item table in an EmbeddingCollection, as it needs every step; all
    other tables pool, and an update touches only the rows looked up in both.
    """

    def __init__(
        self,
        architecture: type[Architecture],
        hyperparameters: dict[str, Any],
        *,
        sparse: tuple[str, ...],
        num_dense: int,
        num_embeddings: NumEmbeddings,
        embedding_dim: int,
        sequence_length: int,
        first_embeddings: float | None = None,
        managed: ManagedCollision | None = None,
        prefix: str = "",
    ) -> None:
        """Builds the module; the tables stay on the meta device until they are sharded.

        Args:
            architecture: of the network.
            hyperparameters: the architecture's and the head's.
            sparse: names of the one-id features, with item_id; the pooled clicks are added to them.
            num_dense: number of dense features.
            num_embeddings: rows of each table.
            embedding_dim: width of every table.
            sequence_length: most history steps of a row.
            first_embeddings: bound of the tables' first weights; None: 1/√rows.
            managed: which tables assign their rows to ids; their ids are below `tables.ID_RANGE`.
            prefix: of the tables' names; tells the members of an ensemble apart.

        Raises:
            ValueError: a hyperparameter is unknown or wrong.
        """
        super().__init__()
        self.sparse, self.sequence_length = sparse, sequence_length if architecture.reads_sequence else 0
        assigned = set(managed.tables) if managed else set()

        def table(name: str) -> dict[str, Any]:
            features = [name] if name != ITEM else [ITEM, SEQUENCE if architecture.reads_sequence else CLICKED]
            rows = num_embeddings.rows(name)
            return tables.table(prefix + name, features, rows=rows, embedding_dim=embedding_dim, bound=first_embeddings)

        bagged = [name for name in sparse if name != ITEM or not architecture.reads_sequence]
        hashed = [name for name in bagged if name not in assigned]
        by_assignment = [name for name in bagged if name in assigned]
        self.pooled = tables.bags([table(name) for name in hashed]) if hashed else None
        self.managed = tables.bags([table(name) for name in by_assignment], managed) if by_assignment else None
        self.history_table: nn.Module | None = None
        if architecture.reads_sequence:
            self.history_table = tables.unpooled(table(ITEM), managed if ITEM in assigned else None)
        self.network = DenseNetwork(
            architecture,
            hyperparameters,
            Sizes(
                num_sparse=len(sparse) + 1,
                num_dense=num_dense,
                embedding_dim=embedding_dim,
                sequence_length=self.sequence_length,
                target=sparse.index(ITEM),
            ),
        )
        self.hidden_dim = self.network.hidden_dim

    def embed(self, batch: FoundationBatch) -> Inputs:
        """Looks the ids up."""
        embedded: dict[str, Tensor] = {}
        if self.pooled is not None:
            embedded |= self.pooled(batch.sparse).to_dict()
        if self.managed is not None:
            embedded |= self.managed(batch.sparse)[0].to_dict()
        B = batch.dense.shape[0]
        if self.history_table is None:
            sequence, mask = batch.dense.new_zeros(B, 0, 0), batch.dense.new_zeros(B, 0, dtype=torch.bool)
        else:
            looked_up = self.history_table(batch.sparse)
            if isinstance(looked_up, tuple):  # managed tables give the rows they took, too
                looked_up = looked_up[0]
            embedded[ITEM] = looked_up[ITEM].values()
            history = looked_up[SEQUENCE]
            sequence, mask = self._padded(history.values(), batch.history_extras, history.lengths())
            clicked = sequence[..., -2:-1]  # labels, 0 where padded, (B, T, 1)
            count = clicked.sum(dim=1).clamp(min=1)
            embedded[CLICKED] = (sequence[..., :-2] * clicked).sum(dim=1) / count
        tokens = torch.stack([embedded[name] for name in (*self.sparse, CLICKED)], dim=1)  # (B, F, d)
        return Inputs(tokens, batch.dense, sequence, mask)

    def forward(self, batch: FoundationBatch) -> FoundationOutput:
        """Scores a batch."""
        return self.network(self.embed(batch))

    def loss(self, output: FoundationOutput, labels: Tensor) -> Tensor:
        """Computes the loss of each example, (B,); labels: 0 or 1, (B,)."""
        return binary_cross_entropy_with_logits(output.logits, labels, reduction="none")

    def _padded(self, embedded: Tensor, extras: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Returns the padded history, (B, T, d + 2), and its mask, (B, T)."""
        position = torch.arange(self.sequence_length, device=lengths.device)
        mask = position < lengths.unsqueeze(1)  # (B, T)
        values = torch.cat([embedded, extras.to(embedded.dtype)], dim=1)  # (elements, d + 2)
        laid = values.new_zeros(*mask.shape, values.shape[1])
        return laid.masked_scatter(mask.unsqueeze(-1), values), mask
