"""What a search is compared with: chosen as it was, and without a look at later days."""

import json

import numpy as np
import pytest

from benchmarks.report import RESULTS
from benchmarks.studies.search_end_to_end.boosting import Table, boosted
from benchmarks.studies.search_end_to_end.results import figures
from benchmarks.studies.search_end_to_end.rivals import FOUNDATION_RATES, SHIPPED, rivals
from config import ROOT, load_config
from models.vertical import build_vertical
from quality.metrics import evaluate
from search.foundation_trials import foundation_inputs
from search.spaces.ranking import RankingSpace

RNG = np.random.default_rng(0)
QUICK = {"learning_rate": 0.1, "max_leaf_nodes": 7}


def table(labels: np.ndarray) -> Table:
    dense = RNG.standard_normal((600, 2)).astype(np.float32)
    return Table(dense, RNG.integers(0, 9, (600, 1)), labels, np.repeat([-1, 0, 1], 200))


def test_a_day_is_predicted_from_earlier_days_alone() -> None:
    rows = table(np.zeros(600, np.float32))
    labels = (rows.dense[:, 0] > 0).astype(np.float32)
    first = boosted(Table(rows.dense, rows.ids, labels, rows.days), QUICK, seed=0)
    assert evaluate(labels[200:], first.astype(np.float32)).auc > 0.95
    other = labels.copy()
    other[400:] = 1 - other[400:]  # of the last day
    again = boosted(Table(rows.dense, rows.ids, other, rows.days), QUICK, seed=0)
    np.testing.assert_array_equal(first, again)
    other[200:400] = 1 - other[200:400]  # of the day before, which the last day's model learns
    third = boosted(Table(rows.dense, rows.ids, other, rows.days), QUICK, seed=0)
    np.testing.assert_array_equal(first[:200], third[:200])
    assert not np.allclose(first[200:], third[200:], atol=0.05)


def test_the_found_model_is_compared_with_each_other_one() -> None:
    labels = RNG.integers(0, 2, 2000).astype(np.float32)
    users = RNG.integers(0, 300, 2000).astype(str)

    def predicted(skill: float) -> list[np.ndarray]:
        return [0.5 + (labels - 0.5) * (skill + 0.001 * seed) for seed in range(3)]

    found = figures(
        labels,
        users,
        {"found 1": predicted(0.5), "shipped": predicted(0.3), "wukong": predicted(0.4), "din": predicted(0.6)},
        found="found 1",
        shipped="shipped",
        by_hand=["wukong", "din"],
    )
    ne = {name: [evaluate(labels, one).ne for one in predicted(skill)] for name, skill in (("f", 0.5), ("s", 0.3))}
    assert found["relative_gain_over_shipped"] == pytest.approx(1 - np.mean(ne["f"]) / np.mean(ne["s"]), abs=1e-5)
    assert found["goal_met"]
    less = found["models"]["wukong"]["found_less_this"]
    assert less["over_seeds"]["high"] < 0 and less["over_users"]["high"] < 0
    assert found["no_worse_than_by_hand_chosen"]
    assert found["by_hand_best_on_later_days"] == "din" and not found["no_worse_than_by_hand_best"]


def test_every_rival_can_be_built() -> None:
    config = load_config(ROOT / "platform.yaml")
    of_foundation = rivals("foundation")
    own = [one for one in of_foundation if one.name == SHIPPED]
    assert [one.rates for one in own[:2]] == [(None, rate) for rate in FOUNDATION_RATES] and len(own) == 22
    tuned = config.foundation_model.changed(**own[-1].changed)
    assert (tuned.architecture, tuned.optimizer.learning_rate) == (config.foundation_model.architecture, 0.004)
    assert len({one.name for one in of_foundation}) == 8
    for one in of_foundation:
        config.foundation_model.changed(**one.changed)
    for one in rivals("grocery"):
        settings = config.vertical_model.changed(**one.changed)
        build_vertical(
            settings,
            num_embeddings={"user_id": 8, "item_id": 8},
            num_dense=3,
            history_length=4,
            code_dim=8,
            history_ids=("item_id",),
        )


def test_the_model_that_was_found_is_that_of_its_source(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HEADWATER_SOURCE", "kuairand")
    config = load_config(ROOT / "platform.yaml")
    found = json.loads((RESULTS / "search_end_to_end.json").read_text())["figures"]["found_models"][0]
    space = RankingSpace.of(foundation_inputs(config), target="foundation", blocks=3)
    assert space.cost(found["params"]) == found["flops"]
    assert config.foundation_model == config.foundation_model.changed(**space.settings(found["params"]))
