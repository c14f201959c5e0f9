"""Architecture graphs: known networks as graphs, exact costs, dead nodes, and graphs that cannot be."""

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from config import Section
from models.architectures.dlrm import DLRM
from models.architectures.graph import Graph, SequenceGraph
from models.graphs.operations import Node
from tests.models.architectures.inputs import SIZES, inputs, network
from training.foundation.progressive_log import forward_flops

E = SIZES.embedding_dim
LONG = replace(SIZES, sequence_length=0)

DLRM_AS_GRAPH = {
    "nodes": {
        "hidden": {"op": "linear", "inputs": ["dense"], "width": 16},
        "vector": {"op": "linear", "inputs": ["hidden"], "width": E},
        "token": {"op": "spread", "inputs": ["vector"], "tokens": 1, "linear": False},
        "pairs": {"op": "dot", "inputs": ["token", "tokens"]},
    },
    "outputs": ["vector", "pairs"],
}
WUKONG_AS_GRAPH = {
    "nodes": {
        "fmb": {"op": "fmb", "inputs": ["all"], "tokens": 3, "rank": 2, "width": 16},
        "lcb": {"op": "lcb", "inputs": ["all"], "tokens": 4},
        "both": {"op": "concatenate", "inputs": ["fmb", "lcb"]},
        "residual": {"op": "lcb", "inputs": ["all"], "tokens": 7},
        "layer": {"op": "add", "inputs": ["both", "residual"], "norm": True},
    },
    "outputs": ["layer"],
}
# One of every operation, tokens and vectors mixed.
EVERYTHING: dict[str, dict[str, Any]] = {
    "spread": {"op": "spread", "inputs": ["dense"], "tokens": 2, "norm": True},
    "attention": {"op": "attention", "inputs": ["tokens", "spread"], "norm": True},
    "lcb": {"op": "lcb", "inputs": ["attention"], "tokens": 4},
    "fmb": {"op": "fmb", "inputs": ["attention", "lcb"], "tokens": 4, "rank": 3, "width": 6},
    "added": {"op": "add", "inputs": ["lcb", "fmb"], "norm": True},
    "dot": {"op": "dot", "inputs": ["added"]},
    "fm": {"op": "fm", "inputs": ["added", "tokens"]},
    "interest": {"op": "interest", "width": 7},
    "ask": {"op": "ask", "inputs": ["tokens", "spread"], "tokens": 3, "norm": True},
    "ensemble": {"op": "ensemble", "inputs": ["tokens", "ask"], "tokens": 4, "rank": 3},
    "linear": {"op": "linear", "inputs": ["added", "dense", "interest", "ensemble"], "width": 9},
    "cross": {"op": "cross", "inputs": ["linear", "fm"], "rank": 2},
    "gate": {"op": "gate", "inputs": ["cross", "dot"], "width": 5},
    "product": {"op": "product", "inputs": ["gate", "tokens"], "width": 5},
    "concatenate": {"op": "concatenate", "inputs": ["gate", "product"], "norm": True},
}


def ops() -> set[str]:
    """The names of all operations."""
    union = Node.__args__[0]  # type: ignore[attr-defined]
    kinds: tuple[type[Section], ...] = union.__args__
    return {kind.model_fields["op"].annotation.__args__[0] for kind in kinds}  # type: ignore[union-attr]


def copy(into: nn.Module, weights: list[Tensor]) -> None:
    """Fills the parameters of a module in their order."""
    parameters = list(into.parameters())
    assert [p.shape for p in parameters] == [w.shape for w in weights]
    with torch.no_grad():
        for parameter, weight in zip(parameters, weights, strict=True):
            parameter.copy_(weight)


def test_dlrm_is_a_graph() -> None:
    dlrm = network("dlrm", LONG, bottom=[16])
    graph = network("graph", LONG, seed=1, **DLRM_AS_GRAPH)
    assert isinstance(dlrm, DLRM)
    copy(graph, list(dlrm.bottom[0].parameters()) + list(dlrm.bottom[2].parameters()))
    x = inputs([0, 0, 0], LONG)
    torch.testing.assert_close(graph(*x), dlrm(*x))


def test_a_layer_of_wukong_is_a_graph() -> None:
    wukong = network(
        "wukong", LONG, num_layers=1, num_fmb_tokens=3, num_lcb_tokens=4, rank=2, mlp=[16], num_dense_tokens=1
    )
    nodes = {"bottom": {"op": "linear", "inputs": ["dense"], "width": 16}}
    nodes |= {"dense_token": {"op": "spread", "inputs": ["bottom"], "tokens": 1}}
    nodes |= {"all": {"op": "concatenate", "inputs": ["tokens", "dense_token"]}}
    graph = network("graph", LONG, seed=1, nodes=nodes | WUKONG_AS_GRAPH["nodes"], outputs=["layer"])
    layer = wukong.layers[0]
    parts = (wukong.bottom, layer.fmb, layer.lcb, layer.residual, layer.norm)
    copy(graph, [p for part in parts for p in part.parameters()])
    x = inputs([0, 0, 0], LONG)
    torch.testing.assert_close(graph(*x), wukong(*x))


def test_every_operation_costs_what_torch_counts() -> None:
    assert {node["op"] for node in EVERYTHING.values()} == ops()
    config = SequenceGraph.Config.model_validate({"nodes": EVERYTHING, "outputs": ["concatenate", "dot"]})
    model, x = SequenceGraph(config, SIZES), inputs([6, 2])
    assert config.flops(SIZES) == forward_flops(_Taking(model), x) > 0
    assert model(*x).shape == (2, model.output_dim)


@pytest.mark.parametrize("name", [name for name, node in EVERYTHING.items() if node["op"] != "interest"])
def test_an_operation_alone_costs_what_torch_counts(name: str) -> None:
    config = SequenceGraph.Config.model_validate({"nodes": EVERYTHING, "outputs": [name, "interest"]})
    assert config.flops(SIZES) == forward_flops(_Taking(SequenceGraph(config, SIZES)), inputs([6, 2]))


def test_nodes_that_reach_no_output_are_not_built() -> None:
    dead = {"dead": {"op": "linear", "inputs": ["hidden"], "width": 4}}
    with_dead = network("graph", LONG, nodes=DLRM_AS_GRAPH["nodes"] | dead, outputs=DLRM_AS_GRAPH["outputs"])
    without = network("graph", LONG, **DLRM_AS_GRAPH)
    x = inputs([0, 0], LONG)
    torch.testing.assert_close(with_dead(*x), without(*x), atol=0, rtol=0)
    assert sum(p.numel() for p in with_dead.parameters()) == sum(p.numel() for p in without.parameters())


def test_a_node_may_be_called_as_a_method_of_a_module() -> None:
    nodes = {"forward": {"op": "linear", "inputs": ["dense"], "width": 4}}
    assert network("graph", LONG, nodes=nodes, outputs=["forward"]).output_dim == 4


@pytest.mark.parametrize(
    ("nodes", "outputs", "said"),
    [
        ({"a": {"op": "dot", "inputs": ["b"]}}, ["a"], "node a reads b; what is there before it: dense, tokens"),
        ({}, ["c"], "outputs reads c"),
        ({"a": {"op": "dot", "inputs": ["tokens", "tokens"]}}, ["a"], "reads one value twice"),
        ({"dense": {"op": "dot", "inputs": ["tokens"]}}, ["tokens"], "dense is an input of the network"),
        ({"a": {"op": "product", "inputs": ["dense"], "width": 3}}, ["a"], "node a needs 2 inputs, found 1"),
        ({"a": {"op": "linear", "inputs": [], "width": 3}}, ["a"], "node a needs 1 inputs or more, found 0"),
        ({"a": {"op": "conv", "inputs": ["dense"]}}, ["a"], "conv"),
        ({"a": {"op": "linear", "inputs": ["dense"], "width": 0}}, ["a"], "greater than 0"),
    ],
)
def test_a_graph_that_cannot_be_is_refused(nodes: dict[str, Any], outputs: list[str], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        Graph.Config.model_validate({"nodes": nodes, "outputs": outputs})


@pytest.mark.parametrize(
    ("nodes", "said"),
    [
        ({"a": {"op": "dot", "inputs": ["tokens", "dense"]}}, "node a reads tokens, but dense is a vector"),
        ({"a": {"op": "add", "inputs": ["tokens", "dense"]}}, "node a: add needs inputs of one shape, found 5 tokens"),
        ({"a": {"op": "spread", "inputs": ["dense"], "tokens": 1, "linear": False}}, "needs the width of 1 tokens"),
        ({"a": {"op": "attention", "inputs": ["tokens"], "heads": 3}}, "need an embedding width that 6 divides"),
        ({"i": {"op": "interest", "width": 3}, "a": {"op": "linear", "inputs": ["i"], "width": 2}}, "sequence_graph"),
    ],
)
def test_a_graph_that_does_not_fit_its_input_is_refused(nodes: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        network("graph", LONG, nodes=nodes, outputs=["a"])


def test_a_sequence_graph_reads_the_sequence() -> None:
    with pytest.raises(ValueError, match="no output depends on the history: the architecture is graph"):
        network("sequence_graph", nodes=DLRM_AS_GRAPH["nodes"], outputs=["pairs"])


class _Taking(nn.Module):
    """Takes what an architecture reads as one argument."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, x: Any) -> Tensor:
        result: Tensor = self.inner(*x)
        return result
