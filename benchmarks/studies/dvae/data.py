"""The two sets of scored graphs of the study."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import numpy.typing as npt

from benchmarks.studies.dvae.asia import BIC, VARIABLES, bits, drawn, is_network, random_networks
from benchmarks.studies.search_tabular.tables import Table, TableSpace, nas_bench_graph
from search.choices import Value
from search.latent.graphs import Graph
from search.space import Params

Array = npt.NDArray[np.float64]
NETWORKS = 20_000
SEED = 0  # of networks and draws


@dataclass(frozen=True)
class Scored:
    """Graphs and what each is worth.

    Attributes:
        graphs: N different ones.
        scores: (N,), higher is better.
        raw: of each graph, the plain numbers that a control predicts from, (N, p) in [0, 1].
        types: of their nodes, without START and END.
        valid: says whether a graph belongs to the set's space.
        families: scores are sums over families, and so is the encoder.
    """

    graphs: list[Graph]
    scores: Array
    raw: Array
    types: int
    valid: Callable[[Graph], bool]
    families: bool


def bayesian_networks(work: Path) -> Scored:
    """Returns random networks of the Asia variables, scored by BIC; raw: the adjacency between variables."""
    graphs, bic = random_networks(NETWORKS, SEED), BIC(drawn(SEED))
    scores = np.array([bic.score(graph) for graph in graphs])
    raw = np.array([bits(graph) for graph in graphs])
    return Scored(graphs, scores, raw, len(VARIABLES), is_network, families=True)


def graph_networks(work: Path) -> Scored:
    """Returns the architectures of NAS-Bench-Graph on arxiv; raw: one-hot wiring and operations."""
    table = nas_bench_graph(work, "arxiv")
    operations = list(table.choices[1].values)
    graphs = [architecture(values, operations) for values in table.values]
    known = set(graphs)
    return Scored(graphs, -table.means, table.codes, len(operations), known.__contains__, families=False)


def architecture(values: tuple[Value, ...], operations: list[Value]) -> Graph:
    """Draws an architecture: a digit of its wiring says what an operation reads, 0 the input, 1 the first operation."""
    wiring, *chosen = values
    reads = tuple((int(digit) - 1,) if int(digit) else () for digit in str(wiring))
    return Graph(tuple(operations.index(one) for one in chosen), reads)


@dataclass(frozen=True)
class WiredSpace(TableSpace):
    """The architectures of NAS-Bench-Graph, as a search draws them."""

    def flow(self, params: Params) -> dict[str, list[str]]:
        """Returns what each operation reads: the one that the wiring says, or the wiring itself, as the input."""
        reads = [f"operation_{int(digit) - 1}" if int(digit) else "wiring" for digit in str(params["wiring"])]
        return {"wiring": []} | {f"operation_{n}": [name] for n, name in enumerate(reads)}


@dataclass(frozen=True)
class WiredTable(Table):
    """NAS-Bench-Graph with its edges."""

    @cached_property
    def space(self) -> WiredSpace:
        """The architectures that the table has."""
        return WiredSpace(self.choices, dict(zip(self.values, self.costs, strict=True)))


DATA: dict[str, Callable[[Path], Scored]] = {"bayesian_networks": bayesian_networks, "nas_bench_graph": graph_networks}
