"""Gates of a supernet's operations and sizes: of weighted choices, or of operations that are chosen independently."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from search.choices import Value
from search.supernet.options import Options

Chances = Mapping[str, Tensor]  # for each searched choice, one weight a value; they sum to 1
OPERATIONS = ("lcb", "fmb", "attention", "dot", "fm", "linear", "gate", "cross", "product")


@dataclass(frozen=True)
class BlockGates:
    """How much each operation of a block counts, from 0 to 1."""

    operations: Mapping[str, Tensor]  # weights, by name
    same_tokens: Tensor  # of the tokens that came in
    same_vectors: Tensor
    count: Tensor  # of each token that an lcb or an fmb makes, (C,)
    width: Tensor  # of each place of a vector or hidden layer, (W,)
    reads_all: Tensor


@dataclass(frozen=True)
class Gates:
    """How much every part of the maximal network counts, from 0 to 1."""

    dense_tokens: Tensor  # of each, (n,)
    history: Tensor
    tokens_out: Tensor
    raw_out: Tensor
    heads: Mapping[str, Tensor]
    blocks: Mapping[int, BlockGates]


def of_choices(options: Options, chances: Chances) -> Gates:
    """Returns the gates of choices between values.

    Args:
        options: the models.
        chances: of the searched choices.
    """

    def weights(name: str) -> dict[Value, Tensor]:
        allowed = options.allowed(name)
        return dict(zip(allowed, chances[name] if name in chances else torch.ones(1), strict=True))

    def beyond(name: str, length: int) -> Tensor:
        """Returns of each place the weight of the values above it."""
        values = weights(name)
        return torch.stack([_sum(w for value, w in values.items() if int(value) > place) for place in range(length)])

    def true(name: str) -> Tensor:
        return _sum(weight for value, weight in weights(name).items() if value in (True, "all"))

    made = max(options.most(f"count_{n}") for n in range(1, options.blocks + 1))
    blocks = {}
    for n in range(1, options.blocks + 1):
        kinds = {str(k): w for c in ("tokens", "pairs", "vector") for k, w in weights(f"{c}_{n}").items()}
        tokens, vectors = weights(f"tokens_{n}"), weights(f"vector_{n}")
        blocks[n] = BlockGates(
            {op: _sum(w for kind, w in kinds.items() if op in kind.split("+")) for op in OPERATIONS},
            _sum(w for kind, w in tokens.items() if kind == "none"),
            _sum(w for kind, w in vectors.items() if kind == "none"),
            beyond(f"count_{n}", made),
            beyond(f"width_{n}", options.most(f"width_{n}")),
            true(f"reads_{n}") if n > 1 else torch.zeros(()),
        )
    return Gates(
        beyond("dense_tokens", options.most("dense_tokens")) if options.most("dense_tokens") else torch.zeros(0),
        true("history"),
        true("tokens_out"),
        true("raw_out"),
        {str(head): weight for head, weight in weights("head").items()},
        blocks,
    )


def modules(options: Options) -> list[str]:
    """Returns what may be chosen independently: operations of blocks, `dense_tokens`, `history`.

    Args:
        options: the models.
    """
    names = [
        f"{op}_{n}"
        for n in range(1, options.blocks + 1)
        for op in OPERATIONS
        if any(
            op in str(v).split("+") for c in ("tokens", "pairs", "vector") for v in options.searched.get(f"{c}_{n}", ())
        )
    ]
    return names + [name for name in ("dense_tokens", "history") if name in options.searched]


def of_modules(options: Options, weights: Mapping[str, Tensor]) -> Gates:
    """Returns the gates of operations that are chosen independently; several of one kind may be.

    Sizes that are searched stand at their greatest, reading stays at `previous`, and what the head reads at no more
    than the last block's vectors and tokens.

    Args:
        options: the models.
        weights: of `modules`.
    """
    largest = {
        name: torch.eye(len(values))[-1 if name.split("_")[0] in ("count", "width", "head") else 0]
        for name, values in options.searched.items()
    }
    if "tokens_out" in largest:
        largest["tokens_out"] = torch.tensor([float(value is True) for value in options.allowed("tokens_out")])
    base = of_choices(options, largest)
    blocks = {}
    for n, block in base.blocks.items():
        own = {op: weights.get(f"{op}_{n}", block.operations[op]) for op in OPERATIONS}
        blocks[n] = BlockGates(
            own,
            _none([own[op] for op in ("lcb", "fmb", "attention")]),
            _none([own[op] for op in ("linear", "gate", "cross", "product")]),
            block.count,
            block.width,
            block.reads_all,
        )
    tokens = options.most("dense_tokens")
    dense_tokens = weights["dense_tokens"].expand(tokens) if "dense_tokens" in weights else base.dense_tokens
    return Gates(dense_tokens, weights.get("history", base.history), base.tokens_out, base.raw_out, base.heads, blocks)


def _none(chosen: list[Tensor]) -> Tensor:
    return torch.stack([1 - weight for weight in chosen]).prod()


def _sum(weights: Iterable[Tensor]) -> Tensor:
    found = list(weights)
    return torch.stack(found).sum() if found else torch.zeros(())
