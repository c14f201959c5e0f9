import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from benchmarks.studies.architectures.comparison import (
    DIRECTIONS,
    MEAN_OF_MEMBERS,
    Model,
    auc_influence,
    difference,
    figures,
    ne_influence,
    outcome,
    standard_error_over_users,
)
from benchmarks.studies.architectures.plan import HYPERPARAMETERS, runs
from models.architectures import ARCHITECTURES
from quality.metrics import evaluate
from training.foundation.progressive_log import ProgressiveLog


@pytest.fixture
def scored():
    draw = np.random.default_rng(0)
    chance = draw.beta(1, 3, 400)
    labels = (draw.random(400) < chance).astype(np.float32)
    return labels, chance.round(2), draw.integers(0, 60, 400)  # rounded: ties


def test_every_architecture_but_the_plain_ones_is_compared():
    assert HYPERPARAMETERS.keys() == {*ARCHITECTURES, "cetnet"} - {"dnn", "fm", "deepfm", "graph", "sequence_graph"}
    assert {d.better for d in DIRECTIONS} | {d.worse for d in DIRECTIONS} <= {*HYPERPARAMETERS, MEAN_OF_MEMBERS}


def test_the_first_seed_comes_first_for_everything():
    planned = list(runs(["a", "b"], seeds=2))
    assert [run.seed for run in planned] == [0] * 14 + [1] * 14
    assert len(set(planned)) == 28


def test_ne_influences_sum_to_ne(scored):
    labels, chance, _ = scored
    assert ne_influence(labels, chance).sum() == pytest.approx(evaluate(labels, chance).ne)


def test_auc_influences_give_delongs_variance(scored):
    labels, chance, _ = scored
    ours = auc_influence(labels, chance)
    # DeLong et al. (1988), by its double sum over pairs.
    pairs = np.sign(chance[labels == 1][:, None] - chance[labels == 0][None, :]) / 2 + 0.5
    assert pairs.mean() == pytest.approx(roc_auc_score(labels, chance))
    of_positives, of_negatives = pairs.mean(axis=1), pairs.mean(axis=0)
    variance = of_positives.var() / len(of_positives) + of_negatives.var() / len(of_negatives)
    assert (ours**2).sum() == pytest.approx(variance)
    assert ours.sum() == pytest.approx(0)


def test_standard_error_over_users_is_that_of_resampled_users(scored):
    labels, chance, users = scored
    influence = ne_influence(labels, chance) - ne_influence(labels, np.full(400, labels.mean()))
    draw = np.random.default_rng(1)
    sums = np.bincount(users, influence)
    resampled = [sums[draw.integers(0, len(sums), len(sums))].sum() for _ in range(4000)]
    assert standard_error_over_users(influence, users) == pytest.approx(np.std(resampled), rel=0.05)


def test_differences_are_paired_by_seed():
    # Seeds differ by far more than the models: paired, the difference is 0.01 with no spread at all.
    one = Model({seed: {"gauc": seed + 0.01} for seed in range(3)}, {})
    other = Model({seed: {"gauc": float(seed)} for seed in (0, 1, 2, 7)}, {})
    assert difference(one, other, "gauc", np.zeros(0)) == {"mean": 0.01, "seeds": 3, "low": 0.01, "high": 0.01}


@pytest.mark.parametrize(
    ("bounds", "margin", "expected"),
    [
        ((0.1, 0.2, 0.05, 0.3), 0.0, "holds"),
        ((0.1, 0.2, -0.05, 0.3), 0.0, "not separated"),  # over users
        ((-0.1, 0.2, 0.05, 0.3), 0.0, "not separated"),  # over seeds
        ((-0.2, -0.1, -0.3, -0.05), 0.0, "fails"),
        ((0.1, 0.2, 0.05, 0.3), 0.15, "not separated"),
        ((-0.01, 0.02, -0.01, 0.02), -0.02, "holds"),
    ],
)
def test_a_direction_holds_only_beyond_both_intervals(bounds, margin, expected):
    found = dict(zip(("low", "high", "users_low", "users_high"), bounds, strict=True))
    assert outcome(found, margin=margin) == expected


def test_one_seed_decides_nothing():
    assert outcome({"mean": 1.0, "users_low": 0.9, "users_high": 1.1}) == "one seed"


def test_the_mean_of_members_is_that_of_their_probabilities(scored):
    labels, chance, users = scored
    said = {"interformer": chance, "dhen": 1 - chance, "dlrm": chance}
    rows = [
        {"data_set": "x", "architecture": name, "seed": seed, "rows_learnt": 9}
        | evaluate(labels, np.clip(p, 0.01, 0.99), users=users).as_dict()
        for name, p in said.items()
        for seed in range(2)
    ]
    log = ProgressiveLog(None, None, 1, labels, users, None)  # type: ignore[arg-type]
    found = figures(rows, lambda row: np.clip(said[row["architecture"]], 0.01, 0.99), {"x": log})["x"]
    assert found["architectures"][MEAN_OF_MEMBERS]["auc"]["mean"] == 0.5  # ½ everywhere
    claims = {d["claim"]: d for d in found["directions"]}
    assert claims["interformer above dhen"]["by_auc"] == "holds"
    assert claims["interformer above dhen"]["by_ne"] == "holds"
    assert found["difference_to_best_other"]["dhen"]["auc"]["mean"] < 0
