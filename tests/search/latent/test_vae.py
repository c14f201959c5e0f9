"""Encoder, decoder and training: each against a computation node by node."""

import numpy as np
import pytest
import torch
from torch import nn

from search.latent.graphs import END, START, Graphs
from search.latent.messages import TypedGRU
from search.latent.vae import BETA, DVAE, NOISE, Fit, trained
from tests.search.latent.random_graphs import random_graphs, relabelled

TYPES, PLACES = 6, 8
SMALL = Fit(hidden=16, latent=5)
KINDS = [Fit(hidden=16, latent=5, vid=vid, bidirectional=both) for vid in (False, True) for both in (False, True)] + [
    Fit(hidden=16, latent=5, families=True)
]


def model(fit, seed=0, groups=None):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return DVAE(TYPES, PLACES, fit, groups).double()


def means(of, graphs):
    with torch.no_grad():
        return of.encoder(Graphs.of(graphs))[0]


def test_a_cell_of_types_is_a_gru_of_one_hot_inputs():
    cell, gru = TypedGRU(3, 4), nn.GRUCell(3, 4)
    with torch.no_grad():
        gru.weight_ih.copy_(cell.of_type.weight.T)
        gru.weight_hh.copy_(cell.of_state.weight)
        gru.bias_hh.copy_(cell.of_state.bias)
        gru.bias_ih.zero_()
    types, heard = torch.tensor([2, 0]), torch.randn(2, 4)
    assert torch.allclose(
        cell(cell.typed(types), heard), gru(nn.functional.one_hot(types, 3).float(), heard), atol=1e-6
    )


@pytest.mark.parametrize("fit", KINDS, ids=str)
def test_the_order_of_writing_matters_only_to_messages_that_tell_their_place(fit):
    rng, of = np.random.default_rng(0), model(fit)
    graphs = random_graphs(40)
    others = [relabelled(graph, rng) for graph in graphs]
    moved = (means(of, graphs) - means(of, others)).abs().amax(1)
    changed = torch.tensor([one != other for one, other in zip(graphs, others, strict=True)])
    assert changed.sum() > 10
    if fit.vid and not fit.families:
        assert moved[changed].max() > 1e-4
    else:
        assert moved.max() < 1e-5


@pytest.mark.parametrize("fit", KINDS, ids=str)
def test_a_batch_of_unlike_sizes_is_encoded_as_one_by_one(fit):
    of, graphs = model(fit), random_graphs(100)
    alone = torch.cat([means(of, [graph]) for graph in graphs])
    assert torch.allclose(means(of, graphs), alone, atol=1e-10)
    batched = of.encode(Graphs.of(graphs), batch=7)
    assert torch.allclose(batched, alone, atol=1e-10)


def test_the_encoder_is_what_loops_over_nodes_compute():
    """From START to END along the edges, and from END to START against them."""
    of = model(Fit(hidden=16, latent=5))
    encoder = of.encoder
    for graph in random_graphs(5, seed=3):
        graphs = Graphs.of([graph])
        size, edges, ends = len(graph.types) + 2, graphs.edges[0], []
        for way, order in enumerate((list(range(size)), list(reversed(range(size))))):
            states, message = {}, encoder.messages[way]
            for v in order:
                heard = torch.zeros(16).double()
                for u in range(size):
                    if edges[u, v] if way == 0 else edges[v, u]:
                        gate = torch.sigmoid(message.gate(states[u]) + message.gate_of_place.weight[u])
                        heard = heard + gate * (message.value(states[u]) + message.value_of_place.weight[u])
                states[v] = encoder.cells[way](encoder.cells[way].typed(graphs.types[0, v]), heard)
            ends.append(states[order[-1]])
        assert torch.allclose(encoder.mean(encoder.both(torch.cat(ends))), means(of, [graph])[0])


@pytest.mark.parametrize(("vid", "groups"), [(False, None), (True, None), (True, (0, 0, 1, 2))])
def test_the_taught_likelihood_is_what_a_decoder_accumulates_step_by_step(vid, groups):
    of = model(Fit(hidden=16, latent=5, vid=vid), groups=groups)
    z = 3 * torch.randn(200, 5, generator=torch.Generator().manual_seed(1)).double()
    graphs, log_p = of.decoder.draw(z, torch.Generator().manual_seed(2))
    assert len(set(graphs.sizes.tolist())) > 3 and graphs.sizes.max() == (5 if groups else PLACES)
    with torch.no_grad():
        assert torch.allclose(of.decoder.log_likelihood(z, graphs), log_p, atol=1e-9)
    alone = [of.decoder.log_likelihood(z[n : n + 1], graphs.at(torch.tensor([n]))) for n in range(30)]
    assert torch.allclose(torch.cat(alone), log_p[:30], atol=1e-9)


def test_the_probabilities_of_all_graphs_of_one_node_and_none_are_what_is_drawn():
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        of = DVAE(4, 4, SMALL).double()  # two own types, two nodes at most
    z = torch.zeros(20_000, 5).double()
    drawn, log_p = of.decoder.draw(z, torch.Generator().manual_seed(0))
    by_graph = {}
    for graph, p in zip(drawn.single(), log_p.exp().tolist(), strict=True):
        by_graph.setdefault(graph, []).append(p)
    assert len(by_graph) == 1 + 2 + 2 * 2 * 2
    assert sum(of_graph[0] for of_graph in by_graph.values()) == pytest.approx(1)
    for of_graph in by_graph.values():
        assert len(of_graph) / 20_000 == pytest.approx(of_graph[0], abs=0.02)


def test_whatever_is_drawn_is_acyclic_and_whole():
    of = model(SMALL)
    graphs, _ = of.decoder.draw(5 * torch.randn(300, 5).double(), torch.Generator().manual_seed(0))
    again = Graphs.of(graphs.single())  # refuses cycles; sets the edges of START and END by rule
    assert torch.equal(again.types, graphs.types[:, : again.types.shape[1]])
    assert torch.equal(again.edges, graphs.edges[:, : again.edges.shape[1], : again.edges.shape[1]])
    assert (graphs.types == START).sum(1).eq(1).all() and (graphs.types == END).sum(1).eq(1).all()


def test_a_graph_has_one_node_of_a_group():
    of, z = model(SMALL, groups=(0, 0, 1, 2)), 5 * torch.randn(300, 5).double()
    for graph in of.decoder.draw(z, torch.Generator().manual_seed(0))[0].single():
        groups = [(0, 0, 1, 2)[kind] for kind in graph.types]
        assert len(set(groups)) == len(groups)


def test_the_loss_weighs_the_divergence_lightly():
    of, graphs = model(SMALL), Graphs.of(random_graphs(10))
    with torch.no_grad():
        mean, log_variance = of.encoder(graphs)
        noise = torch.randn(mean.shape, generator=torch.Generator().manual_seed(4), dtype=torch.float64)
        z = mean + NOISE * noise * log_variance.exp().sqrt()
        taught = of.decoder.log_likelihood(z, graphs)
        posterior = torch.distributions.Normal(mean, log_variance.exp().sqrt())
        prior = torch.distributions.Normal(torch.zeros_like(mean), torch.ones_like(mean))
        divergence = torch.distributions.kl_divergence(posterior, prior).sum(1)
        expected = (BETA * divergence - taught).mean()
        assert of.loss(graphs, torch.Generator().manual_seed(4)) == pytest.approx(float(expected))


@pytest.mark.parametrize("families", [False, True])
def test_training_learns_to_give_graphs_back_and_is_the_same_again(families):
    graphs = Graphs.of(random_graphs(16, most=3))
    fit = Fit(hidden=32, latent=8, batch=8, learning_rate=5e-3, families=families)
    state, losses = torch.get_rng_state(), []
    of = trained(graphs, TYPES, 5, fit, epochs=100, seed=0, told=lambda epoch, loss: losses.append(loss))
    assert torch.equal(state, torch.get_rng_state()) and losses[-1] < losses[0] / 5
    z = of.encode(graphs)
    given_back = of.decoder.draw(z, torch.Generator().manual_seed(0))[0].single()
    right = [one == other for one, other in zip(given_back, graphs.single(), strict=True)]
    assert np.mean(right) > (0.5 if families else 0.8)  # families of equal sums cannot be told apart
    one, other = (trained(graphs, TYPES, 5, fit, epochs=2, seed=1).encode(graphs) for _ in range(2))
    assert torch.equal(one, other)
