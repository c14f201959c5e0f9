"""The operations of an architecture graph: what each takes and gives, what it costs, and its module.

The building blocks are those that Rankitect searches over (arXiv:2311.08430): second-order products of tokens (dot, fm,
fmb), linear compression (lcb), attention, linear layers, crosses, gates, products and sums. The paper's own table was
not at hand, so sizes and details are ours. Beside them: a layer of DHEN, and two ways to read the history.

B: batch, n: tokens of a value, e: embedding width
"""

from typing import Annotated, Any, ClassVar, Literal, NamedTuple

import torch
from pydantic import Field
from torch import Tensor, nn

from config import Section
from models.architectures.architecture import Count, Inputs, Sizes
from models.layers.activation_unit import LocalActivationUnit
from models.layers.attention import SelfAttention, check_heads
from models.layers.dot import PairwiseDots
from models.layers.ensemble import EnsembleLayer
from models.layers.factorization import bi_interaction
from models.layers.history_attention import HistoryAttention
from models.layers.interaction import FactorizationMachineBlock, LinearCompression


class Shape(NamedTuple):
    """Of one example's value: a vector, (width,), or tokens, (tokens, width)."""

    width: int
    tokens: int = 0  # 0: a vector

    @property
    def size(self) -> int:
        """Returns how many numbers it holds."""
        return self.width * max(1, self.tokens)


class Operation(Section):
    """A node of a graph: an operation on the network's inputs and on what other nodes give.

    Where an operation reads tokens, those of all its inputs are put together; where it reads a vector, its inputs are
    laid side by side, tokens flattened.
    """

    reads_tokens: ClassVar[bool] = False  # every input must be tokens
    reads_history: ClassVar[bool] = False
    most_inputs: ClassVar[int | None] = None
    fewest_inputs: ClassVar[int] = 1

    inputs: list[str] = []  # `dense`, `tokens`, or names of earlier nodes
    norm: bool = False  # LayerNorm of the result, tokens one by one

    def shape(self, inputs: list[Shape], sizes: Sizes) -> Shape:
        """Returns the shape of the result.

        Raises:
            ValueError: the inputs do not fit.
        """
        raise NotImplementedError

    def flops(self, inputs: list[Shape], sizes: Sizes) -> int:
        """Counts what the matrix products of one example cost: 2 a multiplication and addition."""
        return 0

    def module(self, inputs: list[Shape], sizes: Sizes) -> nn.Module:
        """Builds what computes the result: takes the values of the inputs, (B, …) each, and gives (B, …).

        Where it reads the history it takes the inputs' tokens put together, the steps and their mask instead.
        """
        raise NotImplementedError


class Linear(Operation):
    """A linear layer, with ReLU unless told otherwise."""

    op: Literal["linear"]
    width: Count
    activation: bool = True

    def shape(self, inputs: list[Shape], sizes: Sizes) -> Shape:
        """Returns a vector."""
        return Shape(self.width)

    def flops(self, inputs: list[Shape], sizes: Sizes) -> int:
        """Counts one product."""
        return 2 * _size(inputs) * self.width

    def module(self, inputs: list[Shape], sizes: Sizes) -> nn.Module:
        """Builds it."""
        layer = nn.Linear(_size(inputs), self.width)
        return _OfVector(nn.Sequential(layer, nn.ReLU()) if self.activation else layer)


class Cross(Operation):
    """x ⊙ (U V x + b) + x, DCN-V2's cross of a vector with itself (arXiv:2008.13535, eq. 2)."""

    op: Literal["cross"]
    rank: Count

    def shape(self, inputs: list[Shape], sizes: Sizes) -> Shape:
        """Returns a vector as wide as all inputs."""
        return Shape(_size(inputs))

    def flops(self, inputs: list[Shape], sizes: Sizes) -> int:
        """Counts two products."""
        return 4 * _size(inputs) * self.rank

    def module(self, inputs: list[Shape], sizes: Sizes) -> nn.Module:
        """Builds it."""
        return _OfVector(_Crossed(_size(inputs), self.rank))


class Gate(Operation):
    """W₂x ⊙ sigmoid(W₁x)."""

    op: Literal["gate"]
    width: Count

    def shape(self, inputs: list[Shape], sizes: Sizes) -> Shape:
        """Returns a vector."""
        return Shape(self.width)

    def flops(self, inputs: list[Shape], sizes: Sizes) -> int:
        """Counts two products."""
        return 4 * _size(inputs) * self.width

    def module(self, inputs: list[Shape], sizes: Sizes) -> nn.Module:
        """Builds it."""
        return _OfVector(nn.Sequential(nn.Linear(_size(inputs), 2 * self.width), nn.GLU(dim=1)))


class Product(Operation):
    """W₁x ⊙ W₂y of two inputs."""

    op: Literal["product"]
    width: Count
    fewest_inputs: ClassVar[int] = 2
    most_inputs: ClassVar[int | None] = 2

    def shape(self, inputs: list[Shape], sizes: Sizes) -> Shape:
        """Returns a vector."""
        return Shape(self.width)

    def flops(self, inputs: list[Shape], sizes: Sizes) -> int:
        """Counts a product an input."""
        return 2 * _size(inputs) * self.width

    def module(self, inputs: list[Shape], sizes: Sizes) -> nn.Module:
        """Builds it."""
        return _Multiplied([shape.size for shape in inputs], self.width)


class Add(Operation):
    """The sum of values of one shape: a residual connection, or branches that are joined."""

    op: Literal["add"]
    fewest_inputs: ClassVar[int] = 2

    def shape(self, inputs: list[Shape], sizes: Sizes) -> Shape:
        """Returns the shape that all inputs have."""
        if len(set(inputs)) > 1:
            raise ValueError(f"add needs inputs of one shape, found {', '.join(map(_described, inputs))}")
        return inputs[0]

    def module(self, inputs: list[Shape], sizes: Sizes) -> nn.Module:
        """Builds it."""
        return _Added()


class Concatenate(Operation):
    """Tokens put together; values of which one is a vector laid side by side."""

    op: Literal["concatenate"]

    def shape(self, inputs: list[Shape], sizes: Sizes) -> Shape:
        """Returns tokens where every input is tokens, else a vector."""
        return _joined(inputs) if all(shape.tokens for shape in inputs) else Shape(_size(inputs))

    def module(self, inputs: list[Shape], sizes: Sizes) -> nn.Module:
        """Builds it."""
        identity = nn.Identity()
        return _OfTokens(identity) if all(shape.tokens for shape in inputs) else _OfVector(identity)


class Spread(Operation):
    """Vectors become tokens by a linear map; without one where `linear` is false and the width fits."""

    op: Literal["spread"]
    tokens: Count
    linear: bool = True

    def shape(self, inputs: list[Shape], sizes: Sizes) -> Shape:
        """Returns tokens."""
        if not self.linear and _size(inputs) != self.tokens * sizes.embedding_dim:
            wanted = f"{self.tokens} tokens of {sizes.embedding_dim}"
            raise ValueError(f"spread without a linear map needs the width of {wanted}, found {_size(inputs)}")
        return Shape(sizes.embedding_dim, self.tokens)

    def flops(self, inputs: list[Shape], sizes: Sizes) -> int:
        """Counts one product."""
        return 2 * _size(inputs) * self.tokens * sizes.embedding_dim if self.linear else 0

    def module(self, inputs: list[Shape], sizes: Sizes) -> nn.Module:
        """Builds it."""
        width = self.tokens * sizes.embedding_dim
        mapped = nn.Linear(_size(inputs), width) if self.linear else nn.Identity()
        return _OfVector(nn.Sequential(mapped, nn.Unflatten(1, (self.tokens, sizes.embedding_dim))))


class Dot(Operation):
    """Dot products of all pairs of tokens (DLRM, arXiv:1906.00091, section 2.1.3)."""

    op: Literal["dot"]
    reads_tokens: ClassVar[bool] = True

    def shape(self, inputs: list[Shape], sizes: Sizes) -> Shape:
        """Returns a vector."""
        n = _joined(inputs).tokens
        if n < 2:
            raise ValueError("dot needs two tokens at least")
        return Shape(n * (n - 1) // 2)

    def flops(self, inputs: list[Shape], sizes: Sizes) -> int:
        """Counts one product."""
        return 2 * _joined(inputs).tokens ** 2 * sizes.embedding_dim

    def module(self, inputs: list[Shape], sizes: Sizes) -> nn.Module:
        """Builds it."""
        return _OfTokens(PairwiseDots(_joined(inputs).tokens))


class FM(Operation):
    """Σ_{i<j} v_i ⊙ v_j over tokens (Rendle, ICDM 2010, eq. 5)."""

    op: Literal["fm"]
    reads_tokens: ClassVar[bool] = True

    def shape(self, inputs: list[Shape], sizes: Sizes) -> Shape:
        """Returns a vector as wide as a token."""
        return Shape(sizes.embedding_dim)

    def module(self, inputs: list[Shape], sizes: Sizes) -> nn.Module:
        """Builds it."""
        return _OfTokens(_Pairs())


class LCB(Operation):
    """A linear map over the token axis (Wukong, arXiv:2403.02545, section 3.5)."""

    op: Literal["lcb"]
    tokens: Count
    reads_tokens: ClassVar[bool] = True

    def shape(self, inputs: list[Shape], sizes: Sizes) -> Shape:
        """Returns tokens."""
        return Shape(sizes.embedding_dim, self.tokens)

    def flops(self, inputs: list[Shape], sizes: Sizes) -> int:
        """Counts one product."""
        return 2 * self.tokens * _joined(inputs).size

    def module(self, inputs: list[Shape], sizes: Sizes) -> nn.Module:
        """Builds it."""
        return _OfTokens(LinearCompression(_joined(inputs).tokens, self.tokens))


class FMB(Operation):
    """Wukong's factorization machine block (arXiv:2403.02545, section 3.4)."""

    op: Literal["fmb"]
    tokens: Count
    rank: Count
    width: Count  # of its hidden layer
    reads_tokens: ClassVar[bool] = True

    def shape(self, inputs: list[Shape], sizes: Sizes) -> Shape:
        """Returns tokens."""
        return Shape(sizes.embedding_dim, self.tokens)

    def flops(self, inputs: list[Shape], sizes: Sizes) -> int:
        """Counts XᵀY, X(XᵀY) and the two layers of the MLP."""
        n, e = _joined(inputs).tokens, sizes.embedding_dim
        return 4 * n * e * self.rank + 2 * self.width * (n * self.rank + self.tokens * e)

    def module(self, inputs: list[Shape], sizes: Sizes) -> nn.Module:
        """Builds it."""
        n, e = _joined(inputs).tokens, sizes.embedding_dim
        return _OfTokens(FactorizationMachineBlock(n, e, num_outputs=self.tokens, rank=self.rank, hidden=[self.width]))


class Ensemble(Operation):
    """A layer of DHEN (arXiv:2203.11014): dots and a cross, each mapped to the new tokens, beside a shortcut."""

    op: Literal["ensemble"]
    tokens: Count
    rank: Count  # of the cross
    reads_tokens: ClassVar[bool] = True

    def shape(self, inputs: list[Shape], sizes: Sizes) -> Shape:
        """Returns tokens."""
        if _joined(inputs).tokens < 2:
            raise ValueError("ensemble needs two tokens at least")
        return Shape(sizes.embedding_dim, self.tokens)

    def flops(self, inputs: list[Shape], sizes: Sizes) -> int:
        """Counts the dots, the cross, the map of each to the new tokens, and that of the shortcut."""
        n, e = _joined(inputs).tokens, sizes.embedding_dim
        mapped = 2 * (n * (n - 1) // 2 + n * e) * self.tokens * e
        shortcut = 2 * self.tokens * n * e if n != self.tokens else 0
        return 2 * n * n * e + 4 * n * e * self.rank + mapped + shortcut

    def module(self, inputs: list[Shape], sizes: Sizes) -> nn.Module:
        """Builds it."""
        n, e = _joined(inputs).tokens, sizes.embedding_dim
        return _OfTokens(EnsembleLayer(n, e, num_outputs=self.tokens, branches=("dot", "dcn"), rank=self.rank))


class Attention(Operation):
    """Multi-head self-attention over tokens, beside a residual connection."""

    op: Literal["attention"]
    heads: Count = 2
    reads_tokens: ClassVar[bool] = True

    def shape(self, inputs: list[Shape], sizes: Sizes) -> Shape:
        """Returns as many tokens."""
        check_heads(sizes.embedding_dim, self.heads)
        return _joined(inputs)

    def flops(self, inputs: list[Shape], sizes: Sizes) -> int:
        """Counts projections, scores and sums of values."""
        n, e = _joined(inputs).tokens, sizes.embedding_dim
        return 8 * n * e * e + 4 * n * n * e

    def module(self, inputs: list[Shape], sizes: Sizes) -> nn.Module:
        """Builds it."""
        return _OfTokens(_Attended(sizes.embedding_dim, self.heads))


class Interest(Operation):
    """The history weighted by how each step goes with the target item (DIN, arXiv:1706.06978, section 4.3)."""

    op: Literal["interest"]
    width: Count  # of the activation unit's hidden layer
    reads_history: ClassVar[bool] = True
    fewest_inputs: ClassVar[int] = 0
    most_inputs: ClassVar[int | None] = 0

    def shape(self, inputs: list[Shape], sizes: Sizes) -> Shape:
        """Returns a vector as wide as a step of the history."""
        return Shape(sizes.step_dim)

    def flops(self, inputs: list[Shape], sizes: Sizes) -> int:
        """Counts the activation unit's two layers, of the item once and of each step, and the weighted sum of steps."""
        e, steps = sizes.embedding_dim, sizes.sequence_length
        return 2 * self.width * (e + steps * (sizes.step_dim + e + 1)) + 2 * steps * sizes.step_dim

    def module(self, inputs: list[Shape], sizes: Sizes) -> nn.Module:
        """Builds it; takes the target item, for want of inputs, and the history."""
        e = sizes.embedding_dim
        return LocalActivationUnit(e, num_scalars=sizes.step_dim - e, hidden=[self.width])


class Ask(Operation):
    """Tokens ask the history: queries made of them attend over its steps (InterFormer, arXiv:2411.09852, section 3)."""

    op: Literal["ask"]
    tokens: Count  # queries, and what they become
    heads: Count = 2
    reads_tokens: ClassVar[bool] = True
    reads_history: ClassVar[bool] = True

    def shape(self, inputs: list[Shape], sizes: Sizes) -> Shape:
        """Returns tokens."""
        check_heads(sizes.embedding_dim, self.heads)
        return Shape(sizes.embedding_dim, self.tokens)

    def flops(self, inputs: list[Shape], sizes: Sizes) -> int:
        """Counts the queries, keys and values, scores, sums of values, and the last projection, of one candidate."""
        n, e, steps = _joined(inputs).tokens, sizes.embedding_dim, sizes.sequence_length
        of_steps = 2 * steps * (sizes.step_dim * e + 2 * e * e)
        return of_steps + 2 * self.tokens * (n * e + 2 * e * e + 2 * (steps + 1) * e)

    def module(self, inputs: list[Shape], sizes: Sizes) -> nn.Module:
        """Builds it."""
        return HistoryAttention(
            _joined(inputs).tokens,
            sizes.embedding_dim,
            step_dim=sizes.step_dim,
            num_queries=self.tokens,
            num_heads=self.heads,
        )


Node = Annotated[
    Linear
    | Cross
    | Gate
    | Product
    | Add
    | Concatenate
    | Spread
    | Dot
    | FM
    | LCB
    | FMB
    | Ensemble
    | Attention
    | Ask
    | Interest,
    Field(discriminator="op"),
]


def given(name: str, sizes: Sizes) -> Shape | None:
    """Returns the shape of one of the network's inputs, `dense` or `tokens`; None for another name."""
    return {"dense": Shape(sizes.num_dense), "tokens": Shape(sizes.embedding_dim, sizes.num_sparse)}.get(name)


def compute(node: Operation, module: nn.Module, values: list[Tensor], x: Inputs, target: int) -> Tensor:
    """Runs a node's module.

    Args:
        node: what the module is of.
        module: of `node.module`.
        values: of the node's inputs.
        x: the network's input.
        target: which token is the candidate item.
    """
    read = values
    if node.reads_history:
        read = [torch.cat(values, dim=1) if values else x.tokens[:, target], x.sequence, x.mask]
    result: Tensor = module(*read)
    return result


def _size(inputs: list[Shape]) -> int:
    return sum(shape.size for shape in inputs)


def _joined(inputs: list[Shape]) -> Shape:
    return Shape(inputs[0].width, sum(shape.tokens for shape in inputs))


def _described(shape: Shape) -> str:
    return f"{shape.tokens} tokens" if shape.tokens else f"a vector of {shape.width}"


class _OfVector(nn.Module):
    """Lays its inputs side by side for a module that reads a vector."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, *values: Tensor) -> Any:
        return self.inner(torch.cat([value.flatten(1) for value in values], dim=1))


class _OfTokens(nn.Module):
    """Puts its inputs together for a module that reads tokens."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, *values: Tensor) -> Any:
        return self.inner(torch.cat(values, dim=1))


class _Crossed(nn.Module):
    def __init__(self, width: int, rank: int) -> None:
        super().__init__()
        self.linear = nn.Sequential(nn.Linear(width, rank, bias=False), nn.Linear(rank, width))

    def forward(self, x: Tensor) -> Tensor:
        return x * self.linear(x) + x


class _Multiplied(nn.Module):
    def __init__(self, widths: list[int], width: int) -> None:
        super().__init__()
        self.one, self.other = (nn.Linear(inputs, width) for inputs in widths)

    def forward(self, one: Tensor, other: Tensor) -> Tensor:
        product: Tensor = self.one(one.flatten(1)) * self.other(other.flatten(1))
        return product


class _Added(nn.Module):
    def forward(self, *values: Tensor) -> Tensor:
        return torch.stack(values).sum(dim=0)


class _Pairs(nn.Module):
    def forward(self, tokens: Tensor) -> Tensor:
        return bi_interaction(tokens)


class _Attended(nn.Module):
    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.attention = SelfAttention(width, num_heads=heads)

    def forward(self, tokens: Tensor) -> Tensor:
        mask = torch.ones(tokens.shape[:2], dtype=torch.bool, device=tokens.device)
        return tokens + self.attention(tokens, mask)
