"""What every architecture takes and gives, whoever embeds its tokens and scores its output.

B = U·C: examples of U users, C of each side by side (1 in training), F: sparse features, e: embedding width,
N: dense features, T: history steps
"""

from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, NamedTuple

from pydantic import Field
from torch import Tensor, nn

Count = Annotated[int, Field(gt=0)]
Widths = Annotated[list[Count], Field(min_length=1)]  # of hidden layers
STEP_SCALARS = 2  # a history step has, beside the item's embedding, its label and age


@dataclass(frozen=True)
class Sizes:
    """What a network must know of its input."""

    num_sparse: int  # F
    num_dense: int  # N
    embedding_dim: int  # e
    sequence_length: int  # most history steps, T; 0 where the architecture does not read them
    target: int  # which of the F tokens is the candidate item

    @property
    def features_dim(self) -> int:
        """Returns the width of all features side by side, F·e + N."""
        return self.num_sparse * self.embedding_dim + self.num_dense

    @property
    def step_dim(self) -> int:
        """Returns the width of a history step, e + 2."""
        return self.embedding_dim + STEP_SCALARS


class Inputs(NamedTuple):
    """B examples, embedded; what `Architecture.forward` takes."""

    tokens: Tensor  # one a sparse feature, (B, F, e)
    dense: Tensor  # (B, N)
    sequence: Tensor  # of each user once: item embedding, label, log(1 + age in hours); newest first, (U, T, e + 2)
    mask: Tensor  # True where a step is filled, (U, T); filled steps come first


class Architecture(nn.Module):
    """A network: `__init__(config, sizes)`, `forward(tokens, dense, sequence, mask) -> (B, output_dim)`.

    What masked steps hold does not matter. Tables before it, hidden layers and logits behind it belong to the
    foundation model or the vertical model that it is a part of.
    """

    Config: ClassVar[Any]  # a Section: its hyperparameters
    reads_sequence: ClassVar[bool] = False  # True: sequence and mask are given; else they are empty, T = 0
    activation: ClassVar[type[nn.Module]] = nn.ReLU  # of the hidden layers behind it
    output_dim: int
