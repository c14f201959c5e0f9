"""Bayesian networks of eight variables, scored on draws from the Asia network (Lauritzen and Spiegelhalter, 1988)."""

from dataclasses import dataclass
from functools import cached_property
from itertools import product

import numpy as np
import numpy.typing as npt

from search.latent.graphs import Graph

Array = npt.NDArray[np.float64]
VARIABLES = ("asia", "smoke", "tub", "lung", "bronc", "either", "xray", "dysp")
# Of each variable, those it depends on, and the probability of yes for each of their values, all no first.
TABLES: dict[str, tuple[tuple[str, ...], tuple[float, ...]]] = {
    "asia": ((), (0.01,)),
    "smoke": ((), (0.5,)),
    "tub": (("asia",), (0.01, 0.05)),
    "lung": (("smoke",), (0.01, 0.1)),
    "bronc": (("smoke",), (0.3, 0.6)),
    "either": (("tub", "lung"), (0.0, 1.0, 1.0, 1.0)),
    "xray": (("either",), (0.05, 0.98)),
    "dysp": (("bronc", "either"), (0.1, 0.7, 0.8, 0.9)),
}
ROWS = 5_000  # drawn
EDGES = 0.4  # probability of each edge along a random order


def drawn(seed: int, rows: int = ROWS) -> npt.NDArray[np.int64]:
    """Draws observations of the network, (rows, 8), 1 for yes."""
    rng = np.random.default_rng(seed)
    found = np.zeros((rows, len(VARIABLES)), np.int64)
    for n, (parents, table) in enumerate(TABLES.values()):
        place = np.zeros(rows, np.int64)
        for parent in parents:
            place = 2 * place + found[:, VARIABLES.index(parent)]
        found[:, n] = rng.random(rows) < np.array(table)[place]
    return found


@dataclass(frozen=True)
class BIC:
    """The Bayesian information criterion of networks, higher is better: log likelihood - ln(rows) / 2 · parameters.

    It is a sum over families, a variable and its parents; there are 8 · 2^7 of them, and each is scored once.

    Attributes:
        observations: (rows, 8), 0 or 1.
    """

    observations: npt.NDArray[np.int64]

    @cached_property
    def families(self) -> Array:
        """Scores of a variable and its parents, the latter as the bits of a number, (8, 256)."""
        rows, count = self.observations.shape
        scores = np.full((count, 2**count), np.nan)
        for n, bits in product(range(count), range(2**count)):
            parents = [u for u in range(count) if bits >> u & 1]
            if n not in parents:
                place = self.observations[:, parents] @ (2 ** np.arange(len(parents)))
                counts = np.bincount(2 * place + self.observations[:, n], minlength=2 ** (len(parents) + 1))
                pairs = counts.reshape(-1, 2).astype(float)
                shares = pairs / np.maximum(pairs.sum(1, keepdims=True), 1)
                likelihood = (pairs * np.log(np.where(pairs > 0, shares, 1))).sum()
                scores[n, bits] = likelihood - np.log(rows) / 2 * len(pairs)
        return scores

    def score(self, graph: Graph) -> float:
        """Scores a network whose nodes are the eight variables, each once."""
        parents = (sum(1 << graph.types[u] for u in reads) for reads in graph.reads)
        return float(sum(self.families[n, bits] for n, bits in zip(graph.types, parents, strict=True)))


def network(parents: dict[int, set[int]]) -> Graph:
    """Builds the graph of what each variable depends on.

    Its nodes stand in the one order that always puts the lowest variable next, so that equal networks are equal graphs.
    """
    order, left = list[int](), set(parents)
    while left:
        order.append(min(n for n in left if not parents[n] & left))
        left.remove(order[-1])
    place = {n: at for at, n in enumerate(order)}
    return Graph(tuple(order), tuple(tuple(sorted(place[u] for u in parents[n])) for n in order))


def random_networks(count: int, seed: int) -> list[Graph]:
    """Draws different networks: a random order of the variables, and each edge along it by chance."""
    rng, found = np.random.default_rng(seed), dict[Graph, None]()
    while len(found) < count:
        order, chosen = rng.permutation(len(VARIABLES)).tolist(), rng.random((len(VARIABLES),) * 2) < EDGES
        found[network({n: {order[u] for u in range(at) if chosen[u, at]} for at, n in enumerate(order)})] = None
    return list(found)


def is_network(graph: Graph) -> bool:
    """Says whether each variable is there once."""
    return sorted(graph.types) == list(range(len(VARIABLES)))


def bits(graph: Graph) -> list[float]:
    """Returns whether each variable depends on each other one, 0 or 1, (64,)."""
    found = np.zeros((len(VARIABLES),) * 2)
    for n, reads in zip(graph.types, graph.reads, strict=True):
        found[n, [graph.types[u] for u in reads]] = 1
    return found.ravel().tolist()
