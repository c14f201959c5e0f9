"""Params as graphs: nothing is lost, and what is read is a model."""

from dataclasses import replace

import numpy as np
import pytest

from models.architectures.architecture import Sizes
from search.choices import Categorical, Integer, Real
from search.latent.drawing import Drawing
from search.latent.graphs import Graph, Graphs
from search.space import Space
from search.spaces.ranking import RankingSpace

INPUTS = Sizes(num_sparse=6, num_dense=5, embedding_dim=8, sequence_length=4, target=1)
RANKING = RankingSpace.of(INPUTS, target="foundation", blocks=3)
PLAIN = Space((Categorical("a", tuple("xyz")), Integer("n", 0, 9), Categorical("b", (True, False)), Real("r", 0, 1)))


def beside(drawing, params):
    return {choice.name: params[choice.name] for choice in drawing.beside}


@pytest.mark.parametrize("space", [RANKING, RankingSpace.of(INPUTS, target="vertical", blocks=2), PLAIN])
def test_params_are_read_as_they_were_drawn(space):
    drawing, rng = Drawing(space), np.random.default_rng(0)
    drawn = [space.sample(rng) for _ in range(500)]
    graphs = [drawing.graph(params) for params in drawn]
    stacked = Graphs.of(graphs)
    assert stacked.types.shape[1] <= drawing.places and stacked.types.max() < drawing.types
    assert stacked.single() == graphs
    assert [drawing.params(g, beside(drawing, p)) for g, p in zip(graphs, drawn, strict=True)] == drawn
    structures = {tuple(p[n] for n in p if n not in beside(drawing, p)) for p in drawn}
    assert len(set(graphs)) == len(structures)


def named(drawing, graph):
    """What each node reads, by choice."""
    names = [drawing.kinds[kind][0] for kind in graph.types]
    return {name: {names[u] for u in reads} for name, reads in zip(names, graph.reads, strict=True)}


def test_edges_of_a_ranking_model_go_along_its_data():
    plain = {choice.name: choice.levels(1)[0] for choice in RANKING.choices}
    chosen = {"tokens_1": "lcb+fmb", "pairs_1": "dot", "vector_2": "product", "history": True, "tokens_out": True}
    drawing = Drawing(RANKING)

    def flow(**more):
        return named(drawing, drawing.graph(RANKING.canonical(plain | chosen | more)))

    assert flow() == {
        "history": set(),
        "tokens_1": set(),  # the network's tokens, which are no node
        "pairs_1": {"tokens_1"},
        "vector_2": {"tokens_1", "pairs_1", "history"},
        "tokens_out": {"tokens_1"},
        "head": {"vector_2", "tokens_out"},
    }
    again = flow(reads_2="all", raw_out=True)
    assert again["reads_2"] == again["raw_out"] == set()
    assert again["vector_2"] == {"reads_2", "tokens_1", "pairs_1", "history"}
    assert again["head"] == {
        "vector_2",
        "tokens_out",
        "raw_out",
        "reads_2",
    }  # the tokens of block 2 are the inputs', too
    assert named(drawing, drawing.graph(plain)) == {"head": set()}


def test_every_graph_with_one_node_of_a_choice_is_read_as_a_model_unless_that_is_refused():
    drawing, rng = Drawing(RANKING), np.random.default_rng(3)
    params = RANKING.sample(rng)
    graph, values = drawing.graph(params), beside(drawing, params)
    assert drawing.params(Graph(graph.types, ((),) * len(graph.types)), values) == params  # edges follow from types
    with pytest.raises(ValueError, match="two nodes of one choice"):
        drawing.params(Graph((*graph.types, graph.types[0]), (*graph.reads, ())), values)
    capped = Drawing(replace(RANKING, cap=RANKING.cost(params) - 1))
    assert capped.params(graph, values) is None
    of_group = [[kind for kind, group in enumerate(drawing.groups) if group == n] for n in set(drawing.groups)]
    for _ in range(200):
        kinds = [kinds[rng.integers(len(kinds))] for kinds in of_group if rng.random() < 0.6]
        read = drawing.params(Graph(tuple(rng.permutation(kinds).tolist()), ((),) * len(kinds)), values)
        assert read == RANKING.canonical(read)
        assert drawing.params(drawing.graph(read), beside(drawing, read)) == read


def test_a_space_without_an_unordered_choice_has_no_graphs():
    with pytest.raises(ValueError, match="no unordered choice"):
        Drawing(Space((Real("x", 0, 1),)))
