"""A network given as a graph of operations: what the search over architectures finds, and what a person may write."""

from collections.abc import Iterable

import torch
from pydantic import Field, field_validator, model_validator
from torch import Tensor, nn

from config import Name, Section
from models.architectures.architecture import Architecture, Inputs, Sizes
from models.graphs.operations import Node, Operation, Shape, compute, given

GIVEN = ("dense", "tokens")


class Graph(Architecture):
    """Nodes computed in their order; the outputs side by side are what the head reads.

    Embedded features are `tokens`, (B, F, e), dense ones `dense`, (B, N). `sequence_graph` has the operations
    `interest` and `ask`, which read the history, too.
    """

    class Config(Section):
        """Hyperparameters."""

        nodes: dict[Name, Node] = Field(default={}, validate_default=True)
        outputs: list[str] = Field(default=list(GIVEN), min_length=1)

        @field_validator("nodes")
        @classmethod
        def _nodes_read_what_is_there(cls, nodes: dict[str, Operation]) -> dict[str, Operation]:
            known = list(GIVEN)
            for name, node in nodes.items():
                if name in GIVEN:
                    raise ValueError(f"{name} is an input of the network; call the node otherwise")
                _known(f"node {name}", node.inputs, known)
                most = float("inf") if node.most_inputs is None else node.most_inputs
                if not node.fewest_inputs <= len(node.inputs) <= most:
                    wanted = f"{node.fewest_inputs} inputs" + ("" if node.fewest_inputs == most else " or more")
                    raise ValueError(f"node {name} needs {wanted}, found {len(node.inputs)}")
                known.append(name)
            return nodes

        @model_validator(mode="after")
        def _outputs_are_there(self) -> "Graph.Config":
            _known("outputs", self.outputs, [*GIVEN, *self.nodes])
            return self

        @property
        def live(self) -> dict[str, Operation]:
            """Returns the nodes that reach an output, in their order."""
            wanted = reaching(self.outputs, {name: node.inputs for name, node in self.nodes.items()})
            return {name: node for name, node in self.nodes.items() if name in wanted}

        def shapes(self, sizes: Sizes) -> dict[str, Shape]:
            """Returns the shapes of the inputs and of all live nodes.

            Raises:
                ValueError: an operation cannot read what it is given.
            """
            shapes = {name: shape for name in GIVEN if (shape := given(name, sizes)) is not None}
            for name, node in self.live.items():
                inputs = [shapes[i] for i in node.inputs]
                if node.reads_tokens and not all(shape.tokens for shape in inputs):
                    vectors = [i for i, shape in zip(node.inputs, inputs, strict=True) if not shape.tokens]
                    raise ValueError(f"node {name} reads tokens, but {', '.join(vectors)} is a vector: spread it first")
                try:
                    shapes[name] = node.shape(inputs, sizes)
                except ValueError as error:
                    raise ValueError(f"node {name}: {error}") from None
            return shapes

        def flops(self, sizes: Sizes) -> int:
            """Counts the matrix products of one example's forward pass, 2 a multiplication and addition.

            Raises:
                ValueError: see `shapes`.
            """
            shapes = self.shapes(sizes)
            return sum(node.flops([shapes[i] for i in node.inputs], sizes) for node in self.live.values())

    def __init__(self, config: Config, sizes: Sizes) -> None:
        super().__init__()
        self.outputs, self.nodes, self.target = config.outputs, config.live, sizes.target
        if not self.reads_sequence and any(node.reads_history for node in self.nodes.values()):
            raise ValueError("an output depends on the history: the architecture is sequence_graph")
        shapes = config.shapes(sizes)
        inputs = {name: [shapes[i] for i in node.inputs] for name, node in self.nodes.items()}
        # Names of nodes are the user's: as keys of a ModuleDict some would hide its methods.
        self.operations = nn.ModuleList(node.module(inputs[name], sizes) for name, node in self.nodes.items())
        self.norms = nn.ModuleList(
            nn.LayerNorm(shapes[name].width) if node.norm else nn.Identity() for name, node in self.nodes.items()
        )
        self.output_dim = sum(shapes[name].size for name in self.outputs)

    def forward(self, tokens: Tensor, dense: Tensor, sequence: Tensor, mask: Tensor) -> Tensor:
        """Returns (B, output_dim)."""
        values = {"tokens": tokens, "dense": dense}
        x = Inputs(tokens, dense, sequence, mask)
        for (name, node), module, norm in zip(self.nodes.items(), self.operations, self.norms, strict=True):
            values[name] = norm(compute(node, module, [values[i] for i in node.inputs], x, self.target))
        return torch.cat([values[name].flatten(1) for name in self.outputs], dim=1)


class SequenceGraph(Graph):
    """A graph whose nodes may read the history."""

    reads_sequence = True

    class Config(Graph.Config):
        """Hyperparameters."""

        nodes: dict[Name, Node] = Field(
            default={"interest": {"op": "interest", "width": 32}}, min_length=1, validate_default=True
        )
        outputs: list[str] = Field(default=[*GIVEN, "interest"], min_length=1)

        @model_validator(mode="after")
        def _reads_the_history(self) -> "SequenceGraph.Config":
            if not any(node.reads_history for node in self.live.values()):
                raise ValueError("no output depends on the history: the architecture is graph")
            return self


def reaching(outputs: Iterable[str], inputs: dict[str, list[str]]) -> set[str]:
    """Returns the names of the outputs and of all that they are computed from.

    Args:
        outputs: names.
        inputs: of each node, every node after those that it reads.
    """
    wanted = set(outputs)
    for name, read in reversed(inputs.items()):
        if name in wanted:
            wanted.update(read)
    return wanted


def _known(reader: str, names: list[str], known: list[str]) -> None:
    if unknown := [name for name in names if name not in known]:
        raise ValueError(f"{reader} reads {', '.join(unknown)}; what is there before it: {', '.join(known)}")
    if len(set(names)) < len(names):
        raise ValueError(f"{reader} reads one value twice: {', '.join(names)}")
