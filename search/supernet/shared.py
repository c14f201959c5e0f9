"""The weights of all operations at their greatest size, and the part of each that a model uses."""

import math
from collections.abc import Iterator
from typing import Literal, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from models.architectures.architecture import STEP_SCALARS
from search.space import Params
from search.spaces.ranking import INTEREST_WIDTH, RANK, graph, hidden
from search.supernet.options import Options
from search.supernet.slots import Axes, Places, Slots

First = Literal["linear", "xavier", "normal", "one", "zero", "quarter"]
TYPICAL = 64  # models whose mean size sets the scale of first weights

# By operation: its parameters, as the module of the graph names them; how they start; their axes.
_LINEAR: dict[str, tuple[First, tuple[str, ...]]] = {
    "inner.0.weight": ("linear", ("width", "both")),
    "inner.0.bias": ("zero", ("width",)),
}
PARAMETERS: dict[str, dict[str, tuple[First, tuple[str, ...]]]] = {
    "linear": _LINEAR,
    "gate": {
        "inner.0.weight": ("linear", ("two widths", "both")),
        "inner.0.bias": ("zero", ("two widths",)),
    },
    "cross": {
        "inner.linear.0.weight": ("linear", ("rank", "both")),
        "inner.linear.1.weight": ("linear", ("both", "rank")),
        "inner.linear.1.bias": ("zero", ("both",)),
    },
    "product": {
        "one.weight": ("linear", ("width", "vectors")),
        "one.bias": ("zero", ("width",)),
        "other.weight": ("linear", ("width", "flat")),
        "other.bias": ("zero", ("width",)),
    },
    "lcb": {"inner.weight": ("xavier", ("count", "tokens"))},
    "fmb": {
        "inner.machine.projection": ("normal", ("tokens", "rank")),
        "inner.norm.weight": ("one", ("products",)),
        "inner.norm.bias": ("zero", ("products",)),
        "inner.mlp.0.weight": ("linear", ("width", "products")),
        "inner.mlp.0.bias": ("zero", ("width",)),
        "inner.mlp.2.weight": ("linear", ("made", "width")),
        "inner.mlp.2.bias": ("zero", ("made",)),
    },
    "attention": {
        "inner.attention.query_key_value.weight": ("linear", ("3e", "e")),
        "inner.attention.output.weight": ("linear", ("e", "e")),
        "inner.attention.output.bias": ("zero", ("e",)),
    },
    "dot": {},
    "fm": {},
    "spread": {"inner.0.weight": ("linear", ("spread", "dense")), "inner.0.bias": ("zero", ("spread",))},
    "interest": {
        "weight.0.weight": ("linear", ("unit", "step")),
        "weight.0.bias": ("zero", ("unit",)),
        "weight.1.weight": ("quarter", ("1",)),
        "weight.2.weight": ("linear", ("1", "unit")),
        "weight.2.bias": ("zero", ("1",)),
    },
}
NORMS = dict.fromkeys(("linear", "gate", "product"), "width") | {"cross": "both", "dot": "pairs"}
NORMS |= dict.fromkeys(("lcb", "fmb", "attention", "fm", "spread"), "e")


class Part(NamedTuple):
    """What a model uses of one shared tensor."""

    name: str  # of the tensor
    first: First
    places: tuple[Places, ...]  # along each axis


class SharedWeights(nn.Module):
    """One tensor for each parameter of each operation of each block, at its greatest size."""

    def __init__(self, options: Options, *, seed: int) -> None:
        """Draws first weights, at the scale of models of the mean size.

        Args:
            options: the models.
            seed: of the weights.
        """
        super().__init__()
        self.slots = Slots(options)
        parts = {part.name: part for part in self._everything()}
        fan_in: dict[str, list[int]] = {}
        rng = np.random.default_rng([seed, 1])
        for _ in range(TYPICAL):
            for part in self.parts(options.sample(rng)).values():
                fan_in.setdefault(part.name, []).append(len(part.places[-1]))
        generator = torch.Generator().manual_seed(seed)
        self.tensors = nn.ParameterDict()
        for name, part in parts.items():
            shape = tuple(len(places) for places in part.places)
            self.tensors[_key(name)] = nn.Parameter(
                _first(part.first, shape, float(np.mean(fan_in.get(name, [shape[-1]]))), generator)
            )

    def __getitem__(self, name: str) -> Tensor:
        """Returns a whole tensor, such as `linear_1.inner.0.weight`."""
        return self.tensors[_key(name)]

    def parts(self, params: Params) -> dict[str, Part]:
        """Returns what a model uses, by the name of its parameter in the stand-alone `DenseNetwork`.

        Args:
            params: canonical.
        """
        axes, outputs = self.slots.of(params)
        nodes, _ = graph(params)
        found: dict[str, Part] = {}
        for number, (name, node) in enumerate(nodes.items()):
            if node["op"] == "concatenate":
                continue
            block = _block(name)
            known = self._axes(axes.get(block), dense_tokens=int(params["dense_tokens"]))
            for local, part in self._operation(node["op"], block, known):
                module = "norms" if local.startswith("norm.") else "operations"
                found[f"architecture.{module}.{number}.{local.removeprefix('norm.')}"] = part
        found |= dict(self._head(hidden(params), outputs))
        return found

    def of(self, params: Params) -> dict[str, Tensor]:
        """Returns a model's weights, by their names in the stand-alone `DenseNetwork`; gradients reach the shared."""
        taken = {}
        for name, part in self.parts(params).items():
            tensor = self[part.name]
            for axis, places in enumerate(part.places):
                if len(places) < tensor.shape[axis]:
                    tensor = tensor.index_select(axis, torch.from_numpy(places))
            taken[name] = tensor
        return taken

    def _everything(self) -> Iterator[Part]:
        options = self.slots.options
        for op in ("spread", "interest"):
            yield from (part for _, part in self._operation(op, 0, self._axes(None, options.most("dense_tokens"))))
        for n in self.slots.blocks:
            axes = self._axes(self.slots.whole(n), 0)
            for op in self.operations(n):
                yield from (part for _, part in self._operation(op, n, axes))
        for head in options.allowed("head"):
            widths = [int(width) for width in str(head).split("-")]
            yield from (part for _, part in self._head(widths, np.arange(self.slots.outputs), whole=True))

    def operations(self, block: int) -> list[str]:
        """Returns the operations that a block may have, in their order in it."""
        kinds = [str(v) for c in ("tokens", "pairs", "vector") for v in self.slots.options.allowed(f"{c}_{block}")]
        return list(dict.fromkeys(op for kind in kinds for op in kind.split("+") if op != "none"))

    def _axes(self, of_block: Axes | None, dense_tokens: int) -> dict[str, Places]:
        sizes = self.slots.sizes
        e = sizes.embedding_dim
        lengths = {"e": e, "3e": 3 * e, "rank": RANK, "1": 1, "unit": INTEREST_WIDTH, "step": 4 * e + STEP_SCALARS}
        lengths |= {"dense": sizes.num_dense, "spread": dense_tokens * e}
        whole = {name: np.arange(length) for name, length in lengths.items()}
        return whole | (of_block.by_name if of_block else {})

    def _operation(self, op: str, block: int, axes: dict[str, Places]) -> Iterator[tuple[str, Part]]:
        prefix = f"{op}_{block}."
        for local, (first, names) in PARAMETERS[op].items():
            yield local, Part(prefix + local, first, tuple(axes[name] for name in names))
        if op in NORMS:
            yield "norm.weight", Part(prefix + "norm.weight", "one", (axes[NORMS[op]],))
            yield "norm.bias", Part(prefix + "norm.bias", "zero", (axes[NORMS[op]],))

    def _head(self, widths: list[int], outputs: Places, *, whole: bool = False) -> Iterator[tuple[str, Part]]:
        """Yields a head's layers; heads of equally many layers share them."""
        alike = [
            [int(width) for width in str(head).split("-")]
            for head in self.slots.options.allowed("head")
            if str(head).count("-") == len(widths) - 1
        ]
        greatest = [max(of_layer) for of_layer in zip(*alike, strict=True)] if whole else widths
        before = outputs
        for n, (name, width) in enumerate(
            zip(
                ["head.hidden.0", *(f"head.logit.{2 * n}" for n in range(len(widths)))],
                [*greatest, 1],
                strict=True,
            )
        ):
            rows = np.arange(width)
            shared = f"head_{len(widths)}.{n}"
            yield f"{name}.weight", Part(f"{shared}.weight", "linear", (rows, before))
            yield f"{name}.bias", Part(f"{shared}.bias", "zero", (rows,))
            before = rows


def _block(node: str) -> int:
    end = node.rsplit("_", 1)[-1]
    return int(end) if end.isdigit() else 0


def _key(name: str) -> str:
    return name.replace(".", "/")  # a ParameterDict's keys have no dots


def _first(first: First, shape: tuple[int, ...], fan_in: float, generator: torch.Generator) -> Tensor:
    if first in ("one", "zero", "quarter"):
        return torch.full(shape, {"one": 1.0, "zero": 0.0, "quarter": 0.25}[first])
    drawn = torch.rand(shape, generator=generator) * 2 - 1
    if first == "normal":
        return torch.randn(shape, generator=generator) / math.sqrt(shape[0])
    bound = math.sqrt(6 / (fan_in + shape[0])) if first == "xavier" else 1 / math.sqrt(fan_in)
    return drawn * bound
