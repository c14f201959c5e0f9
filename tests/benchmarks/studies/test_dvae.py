"""The study of the latent space of graphs: scores, validity, and what each figure counts."""

from collections import Counter
from itertools import product
from math import log

import numpy as np
import pytest
import torch

from benchmarks.studies.dvae.__main__ import METHODS, Effort, figures, measured, of_searches, of_table, predicted
from benchmarks.studies.dvae.asia import BIC, VARIABLES, bits, drawn, is_network, network, random_networks
from benchmarks.studies.dvae.data import Scored, WiredTable, architecture
from benchmarks.studies.search_tabular.replay import searched
from search.choices import Categorical
from search.latent.drawing import Drawing
from search.latent.embedding import Learning
from search.latent.graphs import Graph
from search.latent.vae import Fit
from search.samplers.latent import Latent


def of_names(**parents):
    return network({n: {VARIABLES.index(p) for p in parents.get(v, ())} for n, v in enumerate(VARIABLES)})


TRUE = of_names(
    tub=("asia",),
    lung=("smoke",),
    bronc=("smoke",),
    either=("tub", "lung"),
    xray=("either",),
    dysp=("bronc", "either"),
)


def test_draws_follow_the_tables():
    rows = dict(zip(VARIABLES, drawn(0, 200_000).T, strict=True))
    assert rows["asia"].mean() == pytest.approx(0.01, abs=0.002)
    assert rows["lung"][rows["smoke"] == 1].mean() == pytest.approx(0.1, abs=0.005)
    assert (rows["either"] == (rows["tub"] | rows["lung"])).all()
    short = rows["dysp"][(rows["bronc"] == 0) & (rows["either"] == 1)]
    assert short.mean() == pytest.approx(0.7, abs=0.02)
    assert rows["dysp"][(rows["bronc"] == 1) & (rows["either"] == 0)].mean() == pytest.approx(0.8, abs=0.02)


def test_a_bic_is_the_likelihood_less_half_the_logarithm_of_the_rows_for_each_parameter():
    observations = drawn(1, 400)
    expected = 0.0
    for n, reads in zip(TRUE.types, TRUE.reads, strict=True):
        parents = [TRUE.types[u] for u in reads]
        counts = Counter((*row[parents], row[n]) for row in observations)
        for values in product((0, 1), repeat=len(parents)):
            total = counts[(*values, 0)] + counts[(*values, 1)]
            expected += sum(c * log(c / total) for x in (0, 1) if (c := counts[(*values, x)]))
            expected -= log(400) / 2
    assert BIC(observations).score(TRUE) == pytest.approx(expected)


def test_the_true_network_scores_better_than_random_ones():
    bic, networks = BIC(drawn(0)), random_networks(200, 1)
    assert bic.score(TRUE) > max(bic.score(graph) for graph in networks)


def test_equal_networks_are_equal_graphs_in_an_order_in_which_parents_come_first():
    networks = random_networks(300, 0)
    assert len(set(networks)) == 300 and all(is_network(graph) for graph in networks)
    assert all(u < n for graph in networks for n, reads in enumerate(graph.reads) for u in reads)
    for graph in networks[:20]:
        chosen = np.array(bits(graph)).reshape(8, 8)
        assert network({n: set(np.flatnonzero(chosen[n]).tolist()) for n in range(8)}) == graph
    assert not is_network(Graph((0,) * 8, ((),) * 8)) and not is_network(Graph((0,), ((),)))


def test_a_wiring_says_what_each_operation_reads():
    graph = architecture(("0012", "gcn", "fc", "gcn", "gat"), ["gat", "gcn", "fc"])
    assert graph == Graph((1, 2, 1, 0), ((), (), (0,), (1,)))


def test_a_process_predicts_what_is_linear():
    x = torch.rand(120, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    y = x[:, 0] - x[:, 1]
    found = predicted(x, y, np.arange(60), np.arange(60, 120))
    assert found["r"] > 0.99 and found["rmse"] < 0.1 * float(y.std())


def test_figures_of_a_small_run_are_shares_and_the_same_again():
    graphs = random_networks(60, 2)
    scores = BIC(drawn(0, 500))
    data = Scored(
        graphs,
        np.array([scores.score(g) for g in graphs]),
        np.array([bits(g) for g in graphs])[:, :4],
        8,
        is_network,
        True,
    )
    effort = Effort(epochs=1, told=20, subsets=2, points=5)
    one, other = (measured(data, effort, seed=0) for _ in range(2))
    seconds = one.pop("train_cpu_seconds"), other.pop("train_cpu_seconds")
    assert one == other
    row = one | {"data": "bayesian_networks", "seed": 0, "train_cpu_seconds": seconds[0]}
    found = figures([row])["bayesian_networks"]
    assert 0 <= found["reconstruction"] <= 100 and 0 <= found["validity"] <= 100
    assert found["raw"]["r"]["subsets"] == 2 and found["graphs"] == 60


def small_table():
    """All wirings of four operations of two kinds; what reads the input is good."""
    choices = (
        Categorical("wiring", ("0000", "0012")),
        *(Categorical(f"operation_{n}", ("gat", "gcn")) for n in range(4)),
    )
    values = list(product(*(choice.values for choice in choices)))
    return WiredTable(
        choices, values, [[float(v.count("gat") + (v[0] == "0012"))] for v in values], [1.0] * len(values)
    )


def test_a_search_sees_the_edges_of_a_wiring():
    table = small_table()
    drawing = Drawing(table.space)
    graph = drawing.graph({"wiring": "0012", **{f"operation_{n}": "gat" for n in range(4)}})
    assert graph.reads == ((), (0,), (0,), (1,), (2,))


def test_searches_are_compared_on_the_same_seeds():
    ranks = {"latent": (4, 2, 9), "random": (40, 30, 9), "evolution": (4, 2, 9), "predictor": (1, 1, 1)}
    rows = [
        {"method": m, "seed": s, "ranks": [99, r], "combinations": 1000, "fallbacks": 1, "cpu_seconds": 2.0}
        for m, of in ranks.items()
        for s, r in enumerate(of)
    ]
    found = of_searches(rows)
    assert found["latent"] == {
        "median_best_rank": 4.0,
        "top_02pct": 0.33,  # one of the best two of 1000
        "top_002pct": 0.0,
        "fallbacks": 3,
        "cpu_seconds": 2.0,
    }
    against = found["latent_against_random"]
    assert (against["seeds"], against["better"], against["worse"]) == (3, 2, 0) and against["p"] == 0.5
    assert found["latent_against_evolution"]["p"] == 1.0 and found["latent_against_predictor"]["worse"] == 3
    assert "latent_against_latent" not in found


def test_a_search_of_a_table_tries_nothing_twice():
    learning = Learning(models=100, steps=40, fit=Fit(hidden=16, latent=4, batch=32, learning_rate=1e-2))
    found = searched(small_table(), Latent(learning=learning), 1, seed=0, trials=14)
    assert len(found["ranks"]) == 14 and found["fallbacks"] == 0
    assert [one.method for one in of_table(2)] == [*METHODS] * 2
