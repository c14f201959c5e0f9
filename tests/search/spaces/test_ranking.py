"""The space of ranking models: every point trains, costs what it says, and equal models have equal params."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from models.architectures import ARCHITECTURES
from models.architectures.architecture import Sizes
from models.foundation.dense_network import DenseNetwork
from search.spaces.ranking import RankingSpace, graph, reads_history
from tests.models.architectures.inputs import inputs
from training.foundation.progressive_log import forward_flops

INPUTS = Sizes(num_sparse=6, num_dense=5, embedding_dim=8, sequence_length=4, target=1)
SPACE = RankingSpace.of(INPUTS, target="foundation", blocks=2)


def network(params: dict[str, Any]) -> tuple[DenseNetwork, Sizes]:
    settings = SPACE.settings(params)
    steps = INPUTS.sequence_length if reads_history(params) else 0
    sizes = replace(INPUTS, embedding_dim=settings["embedding_dim"], sequence_length=steps)
    return DenseNetwork(ARCHITECTURES[settings["architecture"]], settings["hyperparameters"], sizes), sizes


def test_random_models_train_and_cost_what_torch_counts() -> None:
    rng = np.random.default_rng(0)
    for _ in range(150):
        params = SPACE.sample(rng)
        model, sizes = network(params)
        x = inputs([sizes.sequence_length, 0], sizes)
        assert forward_flops(model, x) == SPACE.cost(params), params
        model(x).logits.square().sum().backward()
        assert all(p.grad is not None and torch.isfinite(p.grad).all() for p in model.parameters()), params


def test_params_are_canonical_where_choices_change_nothing() -> None:
    rng = np.random.default_rng(1)
    plain = {c.name: c.levels(1)[0] for c in SPACE.choices}
    # Without operations, neither their sizes nor what a block reads matter.
    assert SPACE.canonical(plain | {"count_1": 16, "width_2": 256}) == plain
    assert SPACE.key(plain | {"reads_2": "all"}) == SPACE.key(plain)
    # A block of tokens that nobody reads is no block.
    unread = plain | {"vector_1": "linear", "width_1": 64, "tokens_2": "fmb", "count_2": 8}
    assert SPACE.canonical(unread)["tokens_2"] == "none"
    assert SPACE.canonical(unread | {"tokens_out": True})["tokens_2"] == "fmb"
    # Nor do dense tokens and a history that nobody reads, or inputs that are read anyway.
    unread = plain | {"raw_out": True, "dense_tokens": 4}
    assert SPACE.canonical(unread)["dense_tokens"] == 0
    assert SPACE.canonical(unread | {"tokens_out": True})["dense_tokens"] == 4
    none_reads = plain | {"history": True, "vector_1": "none", "tokens_out": True}
    assert SPACE.canonical(none_reads)["history"] is ("interest" in graph(none_reads)[0])
    # An ensemble has no width.
    ensemble = plain | {"tokens_1": "ensemble", "vector_1": "linear"}
    assert SPACE.key(ensemble | {"count_1": 8}) != SPACE.key(ensemble)
    assert SPACE.canonical(ensemble | {"tokens_2": "ensemble", "width_2": 256, "tokens_out": True})["width_2"] == 32
    for _ in range(100):
        params = SPACE.sample(rng)
        other = SPACE.mutate(params, rng)
        assert SPACE.canonical(params) == params
        same_recipe = all(other[c] == params[c] for c in ("learning_rate", "warmup_steps", "head", "embedding_dim"))
        recipe = ("embedding_learning_rate", "weight_decay", "first_embeddings")
        if same_recipe and all(other[c] == params[c] for c in recipe):
            assert graph(other) != graph(params)


def test_nothing_dearer_than_the_cap_is_tried() -> None:
    cap = 20_000
    capped = replace(SPACE, cap=cap)
    rng = np.random.default_rng(2)
    drawn = [capped.sample(rng) for _ in range(50)]
    assert all(capped.cost(params) <= cap for params in drawn)
    assert any(SPACE.refusal(SPACE.sample(rng)) is None and SPACE.cost(SPACE.sample(rng)) > cap for _ in range(20))
    dear = next(params for params in (SPACE.sample(rng) for _ in range(1000)) if SPACE.cost(params) > cap)
    assert capped.refusal(dear) == "it costs more than the cap of 20,000 FLOPs an example"


def test_a_cap_that_nothing_meets_is_refused() -> None:
    with pytest.raises(ValueError, match="the cost cap of 10 FLOPs is below the smallest model's"):
        replace(SPACE, cap=10)


def test_tokens_that_ask_the_history_are_read_by_the_first_block_and_by_the_head():
    plain = {c.name: c.levels(1)[0] for c in SPACE.choices} | {"asks": 4}
    nodes, outputs = graph(plain)
    assert nodes == {"asks": {"op": "ask", "inputs": ["tokens"], "tokens": 4}}
    assert outputs == ["dense", "asks"]
    assert SPACE.settings(plain)["architecture"] == "sequence_graph" and SPACE.canonical(plain) == plain
    nodes, outputs = graph(plain | {"dense_tokens": 1, "tokens_1": "ensemble", "tokens_out": True, "history": True})
    assert nodes["asks"]["inputs"] == ["tokens", "dense_tokens"]
    reads = ["tokens", "dense_tokens", "asks"]
    assert nodes["ensemble_1"] == {"op": "ensemble", "inputs": reads, "norm": False, "tokens": 4, "rank": 16}
    assert outputs == ["dense", "interest", "ensemble_1", "asks"]
    assert graph(plain | {"tokens_out": True})[1].count("asks") == 1
    # The head reads them beside what the blocks give; that is no reading of the inputs again.
    again = plain | {"tokens_1": "lcb", "reads_2": "all", "vector_2": "linear", "tokens_out": True}
    assert graph(again)[1] == ["vector_2", "lcb_1", "tokens", "asks"]
    assert SPACE.flow(SPACE.canonical(again))["head"] == ["vector_2", "reads_2", "tokens_out"]
    linear = again | {"tokens_2": "lcb"}
    assert SPACE.flow(SPACE.canonical(linear))["head"] == ["vector_2", "tokens_out"]


def test_settings_of_a_model_are_those_of_the_platform() -> None:
    params = {c.name: c.levels(1)[0] for c in SPACE.choices}
    params |= {"history": True, "head": "128-64", "first_embeddings": 0.05, "warmup_steps": 50}
    settings = SPACE.settings(params)
    assert settings["architecture"] == "sequence_graph" and settings["first_embeddings"] == 0.05
    assert settings["hyperparameters"]["head"] == [128, 64]
    assert settings["optimizer"]["warmup_steps"] == 50
    assert SPACE.settings(params | {"history": False})["architecture"] == "graph"
    assert SPACE.settings(params | {"first_embeddings": 0.0})["first_embeddings"] is None
    of_vertical = RankingSpace.of(INPUTS, target="vertical", blocks=2)
    assert "first_embeddings" not in of_vertical.settings(params)
    assert of_vertical.settings(params)["hyperparameters"]["hidden"] == [128, 64]


def shape(params: dict[str, Any]) -> tuple[Any, ...]:
    """Returns a graph with its nodes named by their operation and place."""
    nodes, outputs = graph(params)
    names = {name: f"{node['op']} {place}" for place, (name, node) in enumerate(nodes.items())}
    told = {names[n]: node | {"inputs": [names.get(i, i) for i in node.get("inputs", [])]} for n, node in nodes.items()}
    return told, [names.get(name, name) for name in outputs]


def test_an_empty_block_is_nowhere_but_at_the_end() -> None:
    space = RankingSpace.of(INPUTS, target="foundation", blocks=3, cap=20_000)  # many blocks are empty under it
    plain = {choice.name: choice.levels(1)[0] for choice in space.choices}
    block = {"tokens_1": "lcb", "count_1": 8, "pairs_1": "dot", "vector_1": "linear", "width_1": 64}
    second = {name.replace("_1", "_2"): value for name, value in block.items()}
    third = {name.replace("_1", "_3"): value for name, value in block.items()}
    assert space.canonical(plain | third | {"reads_2": "all"}) == plain | block
    read_again = space.canonical(plain | block | third | {"reads_2": "all"})
    assert read_again == plain | block | second | {"reads_2": "all"} != space.canonical(plain | block | third)
    keys: dict[str, str] = {}
    rng = np.random.default_rng(3)
    for _ in range(300):
        drawn = plain | {c.name: c.sample(rng) for c in space.choices if "rate" not in c.name}
        params = space.canonical(drawn)
        assert shape(params) == shape(drawn) and space.canonical(params) == params
        assert space.cost(params) == space.cost(drawn)
        recipe = [
            params[name] for name in ("warmup_steps", "weight_decay", "first_embeddings", "head", "embedding_dim")
        ]
        assert keys.setdefault(str((shape(params), recipe)), space.key(params)) == space.key(params)
