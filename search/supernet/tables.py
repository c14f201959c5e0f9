"""The supernet's embedding table: the ids of all features, hashed as for the foundation model, in one table.

B: batch, F: sparse features with the pooled clicks, e: embedding width, T: history steps
"""

import torch
from torch import Tensor, nn

from data.batches.foundation import FoundationFeatures
from models.architectures.architecture import Inputs
from models.foundation.embedded_network import CLICKED, ITEM, SEQUENCE, FoundationBatch


class Tables(nn.Module):
    """Plain look-ups with sparse gradients; shared by all models."""

    def __init__(self, features: FoundationFeatures, *, embedding_dim: int, bound: float, seed: int) -> None:
        """Draws first weights.

        Args:
            features: that the examples were encoded with; histories among them, and no managed tables.
            embedding_dim: width of a row.
            bound: of a first weight's size.
            seed: of the weights.

        Raises:
            ValueError: a table assigns its rows, or the examples have no histories.
        """
        super().__init__()
        if features.managed is not None:
            raise ValueError("A supernet hashes its ids; take foundation_model.managed_collision away")
        if not features.sequence_length:
            raise ValueError("A supernet reads histories: encode the examples for an architecture that does")
        self.sparse, self.sequence_length = features.sparse, features.sequence_length
        rows = [features.num_embeddings.rows(name) for name in self.sparse]
        self.starts = [sum(rows[:n]) for n in range(len(rows))]
        weight = torch.rand(sum(rows), embedding_dim, generator=torch.Generator().manual_seed(seed)) * 2 - 1
        self.table = nn.Embedding.from_pretrained(weight * bound, freeze=False, sparse=True)

    def forward(self, batch: FoundationBatch, *, history: bool) -> Inputs:
        """Looks the ids up.

        Args:
            batch: examples.
            history: whether the sequence is wanted; else it has no steps.
        """
        B, by_name = len(batch.dense), batch.sparse.to_dict()
        item = self.starts[self.sparse.index(ITEM)]
        ids = torch.cat([by_name[n].values() + start for n, start in zip(self.sparse, self.starts, strict=True)])
        steps = by_name[SEQUENCE if history else CLICKED]
        looked_up = self.table(torch.cat([ids, steps.values() + item]))
        tokens = looked_up[: len(ids)].unflatten(0, (len(self.sparse), B)).transpose(0, 1)  # (B, F − 1, e)
        of_steps, lengths = looked_up[len(ids) :], steps.lengths()
        owners = torch.repeat_interleave(torch.arange(B), lengths)
        clicked = batch.history_extras[:, 0] if history else torch.ones(len(of_steps))
        count = torch.zeros(B).index_add(0, owners, clicked).clamp(min=1).unsqueeze(1)
        pooled = tokens.new_zeros(B, tokens.shape[2]).index_add(0, owners, of_steps * clicked.unsqueeze(1)) / count
        tokens = torch.cat([tokens, pooled.unsqueeze(1)], dim=1)
        if not history:
            return Inputs(tokens, batch.dense, tokens.new_zeros(B, 0, 0), torch.zeros(B, 0, dtype=torch.bool))
        mask = torch.arange(self.sequence_length) < lengths.unsqueeze(1)  # (B, T)
        values = torch.cat([of_steps, batch.history_extras], dim=1)
        laid: Tensor = values.new_zeros(*mask.shape, values.shape[1])
        return Inputs(tokens, batch.dense, laid.masked_scatter(mask.unsqueeze(-1), values), mask)
