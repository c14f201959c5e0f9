from types import SimpleNamespace

import numpy as np
import pytest
from scipy.stats import kendalltau, spearmanr

from benchmarks.studies import dist_dnas, search_methods, sigeo
from benchmarks.studies.rank_agreement import agreement, difference
from benchmarks.studies.ranking_table import cells
from benchmarks.studies.search_methods import PROPOSAL, SearchedSpace, Study, front, hypervolume
from search.supernet.proposal import Proposal, Proposed
from search.supernet.screen import Terms
from search.trials import execute, finished
from tests.search.supernet.networks import SMALL, options


def test_agreement_is_scipys_and_a_better_score_is_told_apart():
    rng = np.random.default_rng(0)
    truth = rng.normal(size=80)
    good, bad = (truth + 0.3 * rng.normal(size=80)).round(1), rng.normal(size=80)
    found = agreement(good, truth, np.exp(bad))
    assert found["kendall"]["mean"] == pytest.approx(kendalltau(good, truth).statistic, abs=1e-3)
    assert found["spearman"]["mean"] == pytest.approx(spearmanr(good, truth).statistic, abs=1e-3)
    assert found["kendall"]["low"] < found["kendall"]["mean"] < found["kendall"]["high"]
    assert difference(good, bad, truth)["low"] > 0
    assert difference(-good, bad, truth)["high"] < 0  # the wrong way round is worse than none
    assert agreement(good[:3], truth[:3]) is None


def test_what_only_flops_explain_is_left_out():
    rng = np.random.default_rng(0)
    flops = np.exp(rng.normal(size=200))
    score, truth = (np.log(flops) + 0.5 * rng.normal(size=200) for _ in range(2))
    found = agreement(score, truth, flops)
    assert found["spearman"]["low"] > 0.5
    assert found["partial_spearman"]["low"] < 0 < found["partial_spearman"]["high"]


def test_the_hypervolume_is_the_area_of_the_front():
    points = [(0.2, 0.5), (0.5, 0.25), (0.6, 0.6), (2.0, 0.0)]  # one is dominated, one beyond the reference
    assert hypervolume(points, (1.0, 1.0)) == pytest.approx(0.8 * 0.5 + 0.5 * 0.25)
    assert hypervolume([], (1.0, 1.0)) == 0
    rows = [{"flops": f, "ne": n} for f, n in ((3, 0.9), (1, 1.0), (2, 1.0), (2, 0.95))]
    assert [(row["flops"], row["ne"]) for row in front(rows)] == [(1, 1.0), (2, 0.95), (3, 0.9)]


def test_samplers_see_the_searched_choices_and_the_whole_models_costs():
    of = options(1, fixed=SMALL)
    space = SearchedSpace.of(of)
    params = space.sample(np.random.default_rng(0))
    assert set(params) == {"tokens_1", "pairs_1", "vector_1"}
    assert space.cost(params) == of.space.cost(of.complete(params))
    assert sum(1 for _ in space.everything()) == space.size() == 5 * 3 * 5


def test_a_search_with_a_supernet_trains_what_is_left_of_the_budget(tmp_path, monkeypatch):
    of = options(1, fixed=SMALL)
    study = Study(SimpleNamespace(options=of, days=[[SimpleNamespace(size=10)]]), tmp_path / "runs.jsonl", trainings=4)
    models = [of.sample(np.random.default_rng(n)) for n in range(20)]
    costs = [3 * 10 * of.space.cost(params) for params in models]
    proposal = Proposal(tuple(Proposed(params, 0.0) for params in models), compute=study.budget - sum(costs[:3]) - 1)
    monkeypatch.setitem(search_methods.PROPOSERS, "dnas", lambda options, log, *, count, seed: proposal)
    monkeypatch.setattr(Study, "of_log", None)
    monkeypatch.setattr(search_methods, "SAMPLERS", {})
    monkeypatch.setattr(search_methods, "PROPOSERS", {"dnas": search_methods.PROPOSERS["dnas"]})
    monkeypatch.setattr(search_methods, "train", lambda log, space, params, *, seed: {"ne": 0.9})
    study.log.judged = None
    assert not study.complete(1)
    execute(study.planned(1), study.path, study.run, total=4, describe=str)
    rows = finished(study.path)
    assert [row["number"] for row in rows] == [PROPOSAL, 0, 1, 2] and rows[0]["ranked"] == models[:3]
    assert sum(row["spent"] for row in rows) == study.budget - 1
    assert study.complete(1) and not study.complete(2)


def test_a_models_truth_is_free_of_its_recipes():
    space = options(2).space
    grid = [cell | {"history": False} for cell in cells(space)[:2]]
    rows = [
        {"cell": cell | {"embedding_learning_rate": rate}, "ne": 0.9 + offset + worse, "ne_later": 0.9 + offset + worse}
        for cell, worse in zip(grid, (0.0, 0.02), strict=True)
        for rate, offset in ((0.01, 0.1), (0.05, 0.0))
    ]
    recipe = {row["cell"]["first_embeddings"] for row in rows}
    truth = sigeo.final_ne([row | {"cell": row["cell"] | {"first_embeddings": min(recipe)}} for row in rows], space)
    assert sorted(truth.values()) == [pytest.approx([-0.01, -0.01]), pytest.approx([0.01, 0.01])]


def test_sigeo_reports_what_its_scores_tell():
    names = [str(n) for n in range(12)]
    rng = np.random.default_rng(0)

    def scores(noise):
        terms = [dict.fromkeys(Terms._fields, 0.0) | {"loss": n + noise * rng.normal()} for n in range(12)]
        return {
            name: one
            | {"validation": one["loss"], "flops": 1.0 + n, "parameters": n, "synflow": n}
            | {"zico of an own network": n}
            for n, (name, one) in enumerate(zip(names, terms, strict=True))
        }

    spent = {"warming": 10.0, "scoring": 1.0, "validation": 30.0}
    rows = [
        {"share": share, "seed": 0, "scores": scores(noise)} | spent | {"warming": 100 * share}
        for share, noise in ((0.0, 1e3), (0.1, 0.1), (1.0, 0.1))
    ]
    found = sigeo.figures(rows, {name: [float(n), n + 0.5] for n, name in enumerate(names)})
    assert found["warm"]["10%"]["loss"]["of_seeds_mean"]["kendall"]["mean"] > 0.9
    assert found["warm"]["10%"]["loss"]["best_tenth_found"] == 1
    assert found["directions"]["the loss ranks better after 10 % of the log than cold"] == "holds"
    shares = {"compute_share": pytest.approx(11 / 130, abs=1e-3), "of_it_warming": pytest.approx(10 / 130, abs=1e-3)}
    assert found["one_shot"]["10%"] == {"sigeo_picked_ne": 2.25, "by_chance": pytest.approx(1 / 792, abs=2e-3)} | shares
    assert found["truth_between_recipes"] == pytest.approx(
        np.corrcoef([n + d for n in range(12) for d in (0, 0.5)], [n + d for n in range(12) for d in (0.5, 0)])[0, 1],
        abs=1e-3,
    )
    assert found["directions"]["SiGeo picks as well as one-shot at 40 % of its compute"] == "holds"
    assert found["needs_no_warming"]["flops"]["kendall"]["mean"] == -1


def test_days_side_by_side_are_compared_with_days_one_after_another():
    of = options(2)
    names = dist_dnas.modules(of)
    low, high = dict.fromkeys(names, 0.2), dict.fromkeys(names, 0.9)
    kept = high | {names[0]: 0.2}
    runs = [
        {
            "kind": "day",
            "cost_weight": 0.01,
            "seed": 0,
            "day": day,
            "probabilities": found,
            "spent": 5.0,
            "cpu_seconds": 2.0,
        }
        for day, found in enumerate((kept, kept | {names[1]: 0.3}))
    ]
    sequence = {"kind": "sequence", "cost_weight": 0.01, "seed": 0, "day": -1, "probabilities": low | {names[2]: 0.9}}
    runs.append(sequence | {"spent": 10.0, "cpu_seconds": 4.0})
    models = [("densest", 0.0, 100.0, 0.9), ("model", 0.0, 100.0, 0.91), ("model", 0.01, 30.0, 0.9)]
    for kind, weight, flops, ne in models:
        runs.append(
            {"kind": kind, "cost_weight": weight, "seed": 0, "day": -1, "flops": flops, "ne": ne, "ne_later": ne}
        )
    found = dist_dnas.figures(runs, of)
    assert found["speed_up_by_workers"]["2"]["mean"] == 2.0 and found["flops_over_sequence"]["mean"] == 1.0
    assert found["module_agreement"]["mean"] == pytest.approx(2 / len(names), abs=1e-4)  # dropped by both; kept by both
    assert found["cut_at_equal_ne"] == {"cost_weight": 0.01, "cut": 0.7, "published": 0.6}
    assert found["seeds_whose_flops_never_rise"] == 1
    assert found["weights"]["0.0"]["seeds_no_worse"] == 0


def test_workers_take_the_next_day_when_they_are_free():
    assert dist_dnas._makespan([3.0, 1.0, 1.0, 2.0], 2) == 4.0
    assert dist_dnas._makespan([3.0, 1.0, 1.0, 2.0], 4) == 3.0


def test_dist_dnas_runs_name_their_models_before_they_are_compared():
    kinds = [(run.kind, run.cost_weight, run.day) for run in dist_dnas.runs((0.0, 0.01), seeds=1, days=2)]
    assert kinds == [
        ("densest", 0.0, -1),
        *[("day", 0.0, 0), ("day", 0.0, 1), ("model", 0.0, -1)],
        *[("day", 0.01, 0), ("day", 0.01, 1), ("model", 0.01, -1)],
        ("sequence", 0.01, -1),
    ]
    of = options(2)
    dense = dist_dnas.densest(of)
    rng = np.random.default_rng(0)
    assert of.space.cost(dense) >= max(of.space.cost(of.sample(rng)) for _ in range(100))


def test_a_pick_that_is_no_better_than_chance_proves_nothing():
    names = [str(n) for n in range(12)]
    of_model = dict.fromkeys(Terms._fields, 0.0) | dict.fromkeys(sigeo.OF_SHAPE, 1.0)
    spent = {"seed": 0, "warming": 10.0, "scoring": 1.0, "validation": 30.0}
    rows = [
        {"share": share, "scores": {name: of_model | {"validation": -n} for n, name in enumerate(names)}} | spent
        for share in (0.0, 0.1, 1.0)
    ]
    found = sigeo.figures(rows, {name: [float(n)] for n, name in enumerate(names)})  # one-shot picks the worst
    assert found["one_shot"]["picked_ne"] == 9 and found["one_shot"]["by_chance"] == 1
    assert found["directions"]["SiGeo picks as well as one-shot at 40 % of its compute"].startswith("not told")
