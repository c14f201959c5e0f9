"""What every vertical model takes and gives."""

from dataclasses import dataclass
from typing import Annotated, NamedTuple

from pydantic import Field
from torch import Tensor, nn

Count = Annotated[int, Field(gt=0)]
Widths = Annotated[list[Count], Field(min_length=1)]  # of hidden layers


@dataclass(frozen=True)
class Sizes:
    """What a vertical network must know of its input."""

    num_embeddings: dict[
        str, int
    ]  # rows of each sparse feature's table, in the order of a batch's columns; has item_id
    num_dense: int
    embedding_dim: int  # width of every table
    code_dim: int  # width of the FM's codes in `batch.history`; 0: the network reads none
    history_ids: tuple[str, ...]  # sparse features whose ids a history slot holds and the network reads

    @property
    def use_history(self) -> bool:
        """False: the baseline, which takes nothing of the FM from `batch.history`."""
        return bool(self.code_dim or self.history_ids)

    @property
    def num_sparse(self) -> int:
        """Number of sparse features."""
        return len(self.num_embeddings)

    @property
    def item(self) -> int:
        """Which of the sparse features is the candidate item."""
        return list(self.num_embeddings).index("item_id")


class History(NamedTuple):
    """A user's newest impressions with the FM's codes; B: batch, L: slots, d: code width, A: ids a slot."""

    codes: Tensor  # (B, L, d)
    ids: Tensor  # hashed, (B, L, A), int64; the first is the item
    labels: Tensor  # 0 or 1, (B, L)
    ages: Tensor  # log(1 + hours) between the impression and the history's snapshot, (B, L)
    mask: Tensor  # True where a slot is filled, (B, L)
    item_code: Tensor  # mean code of the candidate item, zeros where unknown, (B, d)


class VerticalBatch(NamedTuple):
    """B examples of a vertical; F: sparse features, N: dense features."""

    dense: Tensor  # (B, N)
    sparse: Tensor  # hashed ids, (B, F), int64
    history: History

    def part(self, start: int, size: int) -> "VerticalBatch":
        """Examples start to start + size of the batch."""
        rows = slice(start, start + size)
        return VerticalBatch(self.dense[rows], self.sparse[rows], History(*(values[rows] for values in self.history)))


class VerticalOutput(NamedTuple):
    """What a vertical model says of B examples; H: width of the trunk's output."""

    logits: Tensor  # (B,)
    hidden: Tensor  # (B, H)


class VerticalNetwork(nn.Module):
    """A student: `forward(batch: VerticalBatch) -> VerticalOutput`; its tables lie in `embeddings`."""

    hidden_dim: int  # width of the trunk's output
    embeddings: nn.ModuleDict  # one nn.Embedding a sparse feature, by name
