import numpy as np
import pytest
import torch
from torchrec import KeyedJaggedTensor

from data.batches.foundation import FoundationFeatures
from models.architectures.graph import Graph, SequenceGraph
from models.foundation.dense_network import DenseNetwork
from models.foundation.embedded_network import CLICKED, SEQUENCE, FoundationBatch
from search.supernet.gates import of_choices, of_modules
from search.supernet.mixture import mix
from tests.search.supernet.networks import (
    FEATURES,
    RECIPE,
    SIZES,
    SMALL,
    SPARSE,
    STEPS,
    examples,
    inputs,
    options,
    supernet,
)

OPTIONS = options(3)
NET = supernet(OPTIONS)


def one_hot(params):
    return {n: torch.tensor([float(v == params[n]) for v in values]) for n, values in OPTIONS.searched.items()}


@torch.no_grad()
def test_a_path_is_the_stand_alone_model_with_its_weights_copied():
    rng, kinds = np.random.default_rng(0), set()
    for _ in range(50):
        params = OPTIONS.sample(rng)
        settings = OPTIONS.space.settings(params)
        architecture = {"graph": Graph, "sequence_graph": SequenceGraph}[settings["architecture"]]
        alone = DenseNetwork(architecture, settings["hyperparameters"], SIZES)
        alone.load_state_dict({name: weight.clone() for name, weight in NET.weights.of(params).items()})
        x = inputs(history=bool(params["history"]))
        assert (NET(x, params) - alone(x).logits).abs().max() < 1e-5
        kinds |= {(name.split("_")[0], value) for name, value in params.items()}
    assert {("tokens", "attention"), ("tokens", "lcb+fmb"), ("vector", "product"), ("reads", "all")} <= kinds


@torch.no_grad()
def test_a_mixture_of_one_model_is_that_model_and_costs_what_it_costs():
    rng = np.random.default_rng(1)
    for _ in range(50):
        params = OPTIONS.sample(rng)
        x = inputs(history=bool(params["history"]))
        mixed = mix(NET.weights, x, of_choices(OPTIONS, one_hot(params)))
        assert (NET(x, params) - mixed.logits).abs().max() < 1e-5
        assert float(mixed.flops) == pytest.approx(OPTIONS.space.cost(params))


def test_models_share_what_they_have_in_common():
    chosen = RECIPE | dict(zip(OPTIONS.searched, (values[0] for values in OPTIONS.searched.values()), strict=True))
    plain = OPTIONS.space.canonical(chosen | {"vector_1": "linear", "width_1": 32})
    wide = OPTIONS.space.canonical(plain | {"width_1": 128, "dense_tokens": 4, "history": True})
    name = "linear_1.inner.0.weight"
    one, other = ({p.name: p for p in NET.weights.parts(params).values()}[name] for params in (plain, wide))
    assert [len(places) for places in one.places] == [32, 3 + 6 * 16]
    assert [len(places) for places in other.places] == [128, 3 + 18 + (6 + 4) * 16]
    assert all(set(a) <= set(b) for a, b in zip(one.places, other.places, strict=True))


def test_a_model_moves_its_own_weights_only():
    net = supernet(options(1))
    params = net.options.complete(
        {n: v[0] for n, v in net.options.searched.items()} | {"vector_1": "gate", "width_1": 32}
    )
    net(inputs(history=False), params).sum().backward()
    moved = {name.split("/")[0] for name, weight in net.weights.tensors.items() if weight.grad is not None}
    assert moved == {"gate_1", "head_1"}
    grad = net.weights["gate_1.inner.0.weight"].grad
    width = len(grad) // 2
    assert grad[:32].abs().sum() > 0 and grad[width : width + 32].abs().sum() > 0
    assert grad[32:width].abs().sum() == 0 and grad[width + 32 :].abs().sum() == 0


def test_independent_operations_may_all_be_there_or_none():
    of = options(1, fixed={name: value for name, value in SMALL.items() if name != "history"})
    net = supernet(of)
    x = inputs(history=False)
    names = ("lcb_1", "fmb_1", "attention_1", "dot_1", "fm_1", "linear_1", "gate_1", "cross_1", "product_1")
    none = of_modules(of, dict.fromkeys((*names, "history"), torch.zeros(())))
    empty = of.complete({"tokens_1": "none", "pairs_1": "none", "vector_1": "none", "history": False})
    torch.testing.assert_close(mix(net.weights, x, none).logits, net(x, empty), atol=1e-5, rtol=1e-5)
    everything = mix(net.weights, x, of_modules(of, dict.fromkeys((*names, "history"), torch.ones(()))))
    assert everything.flops > of.space.cost(of.complete({**empty, "tokens_1": "attention", "vector_1": "gate"}))


def test_ids_of_features_have_rows_of_their_own_and_clicks_share_the_items():
    net = supernet(options(1))
    batch = examples(torch.tensor([[1, 1, 1, 1, 1], [1, 2, 1, 1, 1]]), torch.zeros(2)).batch
    tokens = net.tables(batch, history=False).tokens
    assert tokens.shape == (2, 6, 16)
    assert len({tuple(token.tolist()) for token in tokens[0]}) == 6  # the pooled clicks are zeros
    assert torch.equal(tokens[0, 0], tokens[1, 0]) and not torch.equal(tokens[0, 1], tokens[1, 1])


def test_the_history_is_read_as_the_foundation_model_reads_it():
    net = supernet(options(1))
    lengths = torch.tensor([1, 1] * 5 + [1, 0] + [3, 0])
    values = torch.tensor([0, 1] * 5 + [7] + [5, 7, 9])
    sparse = KeyedJaggedTensor(keys=[*SPARSE, CLICKED, SEQUENCE], values=values, lengths=lengths)
    extras = torch.tensor([[0.0, 0.5], [1.0, 1.5], [0.0, 2.5]])
    batch = FoundationBatch(sparse, torch.zeros(2, 3), extras)
    without, read = net.tables(batch, history=False), net.tables(batch, history=True)
    torch.testing.assert_close(without.tokens, read.tokens)
    assert read.mask.tolist() == [[True, True, True, False], [False] * STEPS]
    torch.testing.assert_close(read.sequence[0, 1, :16], without.tokens[0, 5])
    assert read.sequence[0, :3, 16:].tolist() == extras.tolist()


def test_a_supernet_needs_one_recipe_and_histories():
    with pytest.raises(ValueError, match="one value of learning_rate"):
        type(OPTIONS)(OPTIONS.space, {name: v for name, v in RECIPE.items() if name != "learning_rate"})
    with pytest.raises(ValueError, match="unknown: \\['depth'\\]"):
        options(1, fixed={"depth": 3})
    short = FoundationFeatures(FEATURES.sparse, FEATURES.dense, FEATURES.num_embeddings, None, 0)
    with pytest.raises(ValueError, match="reads histories"):
        type(NET)(options(1), short, seed=0)
