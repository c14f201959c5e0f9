"""Graphs as tensors."""

import pytest

from search.latent.graphs import END, PAD, START, Graph, Graphs

FORK = Graph((0, 2, 1), ((), (0,), (0,)))
LONE = Graph((3,), ((),))


def test_graphs_stand_between_start_and_end():
    graphs = Graphs.of([FORK, LONE])
    assert graphs.types.tolist() == [[START, 2, 4, 3, END], [START, 5, END, PAD, PAD]]
    assert [edge.tolist() for edge in graphs.edges[0].nonzero()] == [[0, 1], [1, 2], [1, 3], [2, 4], [3, 4]]
    assert [edge.tolist() for edge in graphs.edges[1].nonzero()] == [[0, 1], [1, 2]]
    assert graphs.single() == [FORK, LONE] and graphs.sizes.tolist() == [5, 3]


def test_rows_are_taken_without_places_that_none_needs():
    graphs = Graphs.of([FORK, LONE])
    one = graphs.at(graphs.sizes == 3)
    assert one.types.shape == (1, 3) and one.edges.shape == (1, 3, 3) and one.single() == [LONE]


@pytest.mark.parametrize("read", [0, 1, -1])
def test_a_node_that_reads_no_earlier_one_is_refused(read):
    with pytest.raises(ValueError, match=f"reads node {read}; it may read earlier ones"):
        Graphs.of([Graph((0, 0), ((read,), ()))])
