"""Random graphs for tests of the latent space."""

import numpy as np

from search.latent.graphs import Graph


def random_graphs(count, *, most=6, kinds=4, edges=0.4, seed=0):
    rng = np.random.default_rng(seed)
    found = []
    for _ in range(count):
        size = int(rng.integers(1, most + 1))
        reads = tuple(tuple(u for u in range(v) if rng.random() < edges) for v in range(size))
        found.append(Graph(tuple(rng.integers(kinds, size=size).tolist()), reads))
    return found


def relabelled(graph, rng):
    """The same graph with its nodes in another order in which none comes before what it reads."""
    order, left = [], list(range(len(graph.types)))
    while left:
        ready = [v for v in left if all(u in order for u in graph.reads[v])]
        order.append(ready[rng.integers(len(ready))])
        left.remove(order[-1])
    place = {v: n for n, v in enumerate(order)}
    reads = tuple(tuple(sorted(place[u] for u in graph.reads[v])) for v in order)
    return Graph(tuple(graph.types[v] for v in order), reads)
