import json
import pickle
from itertools import product
from pathlib import Path

import numpy as np
import pytest

from benchmarks.studies.search_tabular.__main__ import runs
from benchmarks.studies.search_tabular.page import page
from benchmarks.studies.search_tabular.plots import plot
from benchmarks.studies.search_tabular.ranking import PREDICTORS, held_out_tau
from benchmarks.studies.search_tabular.replay import METHODS, batches, replay
from benchmarks.studies.search_tabular.results import figures, paired_bootstrap
from benchmarks.studies.search_tabular.tables import NUMPY_SCALARS, Table, own, unpickled
from search.choices import Categorical
from tests.docs.test_figures import wrong


@pytest.fixture(scope="module")
def table():
    """The further from (0, 0, 0) the worse; two trainings, which differ; (3, 3, x) is missing."""
    choices = tuple(Categorical(name, tuple(range(6)), ordered=True) for name in "abc")
    values = [v for v in product(range(6), repeat=3) if v[:2] != (3, 3)]
    return Table(choices, values, [[sum(v), sum(v) + 0.5] for v in values], [float(1 + v[0]) for v in values])


def test_a_table_ranks_by_the_mean_and_shows_one_training(table):
    assert table.ranks[table.row[0, 0, 0]] == 1
    assert [table.ranks[table.row[v]] for v in ((0, 0, 1), (0, 1, 0), (2, 0, 0))] == [2, 2, 5]  # ties share the best
    seen = table.observed(3)
    assert set(np.round(seen - table.means, 2)) == {-0.25, 0.25}
    assert (seen == table.observed(3)).all() and (seen != table.observed(4)).any()
    assert "lacks" in table.space.refusal({"a": 3, "b": 3, "c": 0})
    assert table.space.cost({"a": 4, "b": 0, "c": 0}) == 5.0


@pytest.mark.parametrize("method", METHODS)
def test_a_search_of_a_table(table, method):
    found = replay(table, method, seed=1, trials=40)
    assert len(found["ranks"]) == 40 and min(found["ranks"]) <= found["chosen_rank"] <= 216
    assert found["fallbacks"] <= 1
    again = replay(table, method, seed=1, trials=40)
    assert {**found, "cpu_seconds": 0} == {**again, "cpu_seconds": 0}


def test_methods_that_ask_for_several_begin_with_thirty():
    assert list(batches(10, 55)) == [30, 10, 10, 5] and list(batches(1, 3)) == [1, 1, 1]


@pytest.mark.parametrize("predictor", PREDICTORS)
def test_networks_rank_the_rows_that_they_have_not_seen(table, predictor):
    assert 0.6 < held_out_tau(table, predictor, seed=0) < 1


def rows(best):
    """Searches of two seeds whose best rank, or τ, is given by method."""
    for method, of_seed in best.items():
        for seed, value in enumerate(of_seed):
            if method in PREDICTORS:
                yield {"study": "ranking", "table": "t", "method": method, "seed": seed, "tau": value}
            else:
                yield {
                    "study": "search",
                    "table": "t",
                    "method": method,
                    "seed": seed,
                    "ranks": [900, value, 800],
                    "chosen_rank": 800,
                    "repeated": seed,
                    "fallbacks": 0,
                    "cpu_seconds": 1.0,
                }


def test_figures_are_those_of_the_runs(tmp_path):
    best = {
        "predictor": [2, 3],
        "tpe": [2, 30],
        "tpe_univariate": [50, 60],
        "ten_ranking": [0.7, 0.8],
        "one_mse": [0.5, 0.7],
    }
    found = figures(list(rows(best)), {"t": 10_000, "absent": 5})
    # of 10 000 the best 0.02 % are 2, the best 0.2 % are 20
    assert (found["hit_top002pct"], found["tpe_hit_top002pct"], found["better_tpe"]) == (0.5, 0.5, "tpe")
    predictor = found["tables"]["t"]["methods"]["predictor"]
    assert predictor["best_rank"] == {"lower_quartile": 2.25, "median": 2.5, "upper_quartile": 2.75}
    assert predictor["top_02pct"]["share"] == 1.0 and predictor["chosen_top_02pct"]["share"] == 0.0
    assert predictor["best_rank_by_trial"] == [900, 2.5, 2.5] and predictor["repeated"] == 0.5
    assert found["differences"]["top_02pct"]["predictor_less_tpe_best"]["mean"] == 0.5
    assert found["tau_differences"]["ten_ranking_less_one_mse"]["t"]["mean"] == pytest.approx(0.15)
    assert list(found["tables"]) == ["t"]
    plot(found, tmp_path / "plot.svg")
    assert (tmp_path / "plot.svg").read_text().count("<!-- predictor -->") == 1


@pytest.mark.parametrize(
    ("plain", "told"),
    [([3, 9, 9, 9], "more often than"), ([1, 1, 1, 1], "is not shown"), ([1, 9, 1, 9], "is not shown")],
)
def test_the_page_says_what_reinforce_adds_and_every_figure_is_traced(tmp_path, monkeypatch, plain, told):
    best = {"predictor": [1, 2, 1, 2], "predictor_top_k": plain, "random": [99] * 4, "tpe": [7] * 4}
    taus = {"ten_ranking": [0.7, 0.8], "one_mse": [0.5, 0.7], "one_mse_on_ranks": [0.7, 0.79]}
    found = figures(list(rows(best | taus)), {"t": 10_000})
    (tmp_path / "search_tabular.json").write_text(json.dumps({"figures": found}))
    monkeypatch.setattr("tests.docs.test_figures.RESULTS", tmp_path)
    written = page(found)
    assert told in written and "ranks in place of the objective" in written and wrong(written) == []


def test_a_paired_interval_draws_seeds_within_tables():
    alike = paired_bootstrap([[0.2] * 5, [0.4] * 5])
    assert alike == {"mean": 0.3, "low": 0.3, "high": 0.3, "pairs": 10}  # nothing varies within a table
    found = paired_bootstrap([[1.0, 0.0, 1.0, 0.0, 1.0, 0.0]])
    assert found["mean"] == 0.5 and found["low"] < 0.2 and found["high"] > 0.8
    assert paired_bootstrap([[], []]) is None


def test_the_own_table_may_be_absent(tmp_path):
    assert own(tmp_path / "ranking.csv") is None


def test_the_own_table_s_choices_are_its_columns_before_ne(tmp_path):
    path = tmp_path / "ranking.csv"
    path.write_text(
        "kind,width,rate,same,ne,flops,seconds\n"
        "dcn,8,0.1,1,0.9,10,3\ndcn,8,0.1,1,0.8,10,3\ndnn,32,0.01,1,0.7,40,3\ndnn,16,0.01,1,0.6,20,3\n"
    )
    assert own(path, least=1000) is None
    table = own(path)
    assert table.choices == (
        Categorical("kind", ("dcn", "dnn")),
        Categorical("width", (8, 16, 32), ordered=True),
        Categorical("rate", (0.01, 0.1), ordered=True),
    )
    assert table.objectives == [[0.9, 0.8], [0.7], [0.6]] and table.costs == [10, 40, 20]
    assert table.ranks.tolist() == [3, 2, 1]


def test_a_table_that_names_a_class_is_refused():
    plain = {"00": {"val_acc": [1.0, 2.0]}}
    assert unpickled(pickle.dumps(plain)) == plain
    with pytest.raises(pickle.UnpicklingError, match="names pathlib"):
        unpickled(pickle.dumps(Path("x")), allowed=NUMPY_SCALARS)
    with pytest.raises(pickle.UnpicklingError, match=r"names (posix|nt|os)\.system"):
        unpickled(b"cposix\nsystem\n(S'true'\ntR.", allowed=NUMPY_SCALARS)
    old_numpy = b"\x80\x03" + pickle.dumps(np.float64(2.5), 3)[2:].replace(b"numpy._core", b"numpy.core")
    assert unpickled(old_numpy, allowed=NUMPY_SCALARS) == 2.5


def test_a_part_of_the_study_is_a_study():
    planned = list(runs(["t", "own"], seeds=2))
    assert len(planned) == 2 * 2 * (len(METHODS) + len(PREDICTORS)) and {one.seed for one in planned[:22]} == {0}
