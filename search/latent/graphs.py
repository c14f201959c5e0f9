"""Labelled directed acyclic graphs: one as plain values, many as dense tensors.

B: batch, n: places of a tensor, START and END among them
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

START, END, PAD = 0, 1, -1  # types of the first and the last node, and of places behind the last
OWN = 2  # the first type of a graph's own nodes


class Graph(NamedTuple):
    """One graph.

    Attributes:
        types: of the nodes, in an order in which none comes before what it reads; from 0.
        reads: of each node, the places of those it reads, ascending.
    """

    types: tuple[int, ...]
    reads: tuple[tuple[int, ...], ...]


@dataclass(frozen=True)
class Graphs:
    """Many graphs, each between a START and an END: nodes that read nothing read START, END reads those nobody reads.

    Attributes:
        types: (B, n) int64; `START`, the nodes' own types from `OWN` on, `END`, then `PAD`.
        edges: (B, n, n) bool; the node in the last dimension reads the one in the dimension before, an earlier one.
    """

    types: Tensor
    edges: Tensor

    @classmethod
    def of(cls, graphs: Sequence[Graph]) -> "Graphs":
        """Stacks graphs.

        Raises:
            ValueError: a node reads itself or a later one.
        """
        n = max(len(graph.types) for graph in graphs) + 2
        types = torch.full((len(graphs), n), PAD)
        edges = torch.zeros(len(graphs), n, n, dtype=torch.bool)
        for row, graph in enumerate(graphs):
            size = len(graph.types)
            types[row, 0], types[row, size + 1] = START, END
            for place, (kind, reads) in enumerate(zip(graph.types, graph.reads, strict=True), start=1):
                types[row, place] = kind + OWN
                for read in reads:
                    if not 0 <= read < place - 1:
                        raise ValueError(f"Node {place - 1} of {graph} reads node {read}; it may read earlier ones")
                    edges[row, read + 1, place] = True
                edges[row, 0, place] = not reads
            edges[row, : size + 1, size + 1] = ~edges[row, : size + 1].any(1)
        return cls(types, edges)

    def single(self) -> list[Graph]:
        """Returns the graphs one by one, without START and END."""
        found = []
        for types, edges in zip(self.types.tolist(), self.edges, strict=True):
            size = types.index(END) - 1
            reads = edges[1 : size + 1, 1 : size + 1].T
            found.append(
                Graph(
                    tuple(kind - OWN for kind in types[1 : size + 1]),
                    tuple(tuple(of.nonzero().flatten().tolist()) for of in reads),
                )
            )
        return found

    @property
    def sizes(self) -> Tensor:
        """How many places each graph takes, (B,)."""
        return (self.types != PAD).sum(1)

    def at(self, rows: Tensor) -> "Graphs":
        """Takes some rows, without the places that none of them needs."""
        types = self.types[rows]
        n = int((types != PAD).sum(1).max())
        return Graphs(types[:, :n], self.edges[rows, :n, :n])

    def __len__(self) -> int:
        return len(self.types)
