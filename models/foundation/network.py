"""What every foundation-model architecture takes and gives.

B: batch, F: sparse features, d: embedding width, N: dense features, T: history steps, H: width of the representation
"""

from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, NamedTuple

from pydantic import Field
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits

Count = Annotated[int, Field(gt=0)]
Widths = Annotated[list[Count], Field(min_length=1)]  # of hidden layers
SEQUENCE_EXTRAS = 2  # a history step has, beside the item's embedding, its label and age


@dataclass(frozen=True)
class Sizes:
    """What a network must know of its input."""

    num_sparse: int  # F
    num_dense: int  # N
    embedding_dim: int  # d
    sequence_length: int  # T
    target: int  # which of the F tokens is the candidate item

    @property
    def step_dim(self) -> int:
        """Width of a history step."""
        return self.embedding_dim + SEQUENCE_EXTRAS


class FoundationInput(NamedTuple):
    """B examples, embedded."""

    sparse: Tensor  # one token a feature, (B, F, d)
    dense: Tensor  # (B, N)
    sequence: Tensor  # item embedding, label, log(1 + age in hours); newest first, zero where padded, (B, T, d + 2)
    mask: Tensor  # True where a step is filled, (B, T); filled steps come first


class FoundationOutput(NamedTuple):
    """What a network says of B examples."""

    logits: Tensor  # (B,)
    hidden: Tensor  # the representation that codes are made of, (B, H)
    members: tuple[Tensor, ...] = ()  # an ensemble's logits, (B,) each


class FoundationNetwork(nn.Module):
    """An architecture: `forward(x: FoundationInput) -> FoundationOutput`.

    A subclass has a nested `Config` and `__init__(config, sizes)`.
    """

    Config: ClassVar[Any]  # a Section
    reads_sequence: ClassVar[bool] = False  # True: x.sequence and x.mask are given; else they are empty, T = 0
    hidden_dim: int  # H

    def loss(self, output: FoundationOutput, labels: Tensor) -> Tensor:
        """Loss of each example, (B,); labels: 0 or 1, (B,)."""
        return binary_cross_entropy_with_logits(output.logits, labels, reduction="none")
