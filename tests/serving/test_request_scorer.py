"""Scores of requests: as pairs are scored, whatever else is in the batch."""

from pathlib import Path

import numpy as np
import pytest
import torch
from feast import FeatureStore
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from config import ROOT, load_config
from data.batches.vertical import VerticalFeatures
from data.sources import source_schema
from models.calibration import CalibrationLayer
from serving.online_features import OnlineFeatures
from serving.pair_scorer import PairScorer
from serving.request_scorer import Asked, RequestScorer
from serving.vertical_model import VerticalModel
from tests.online_store import ITEMS, USERS, filled_store


@pytest.fixture(scope="module")
def online(tmp_path_factory: pytest.TempPathFactory) -> OnlineFeatures:
    return _online(tmp_path_factory.mktemp("online"))


def _config(root: Path):
    return load_config(ROOT / "platform.yaml").changed(
        data_source="synthetic", storage={"root": str(root / "state"), "feature_repo": str(root / "feature_repo")}
    )


def _online(root: Path) -> OnlineFeatures:
    config = _config(root)
    return OnlineFeatures(filled_store(config), VerticalFeatures.of(source_schema(config), config).columns)


def model_of(architecture: str = "dnn", **hyperparameters) -> VerticalModel:
    """A model of random weights, on the features of the store."""
    config = _config(Path("/nowhere")).changed(
        vertical_model={"architecture": architecture, "hyperparameters": hyperparameters}
    )
    torch.manual_seed(0)
    model = VerticalModel.fresh(config.vertical_model, _features(config), use_history=True)
    model.calibration = CalibrationLayer(0.8, -0.6)
    return model


def _features(config) -> VerticalFeatures:
    return VerticalFeatures.of(source_schema(config), config)


MODEL = model_of()
USER = st.sampled_from([None, *USERS, "stranger"])
REQUEST = st.builds(Asked, USER, st.lists(st.sampled_from([None, *ITEMS, "new", "newer"]), max_size=8))


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(requests=st.lists(REQUEST, min_size=1, max_size=6))
def test_a_request_is_scored_as_its_pairs_are_whatever_it_is_batched_with(
    online: OnlineFeatures, requests: list[Asked]
) -> None:
    together = RequestScorer(MODEL, online).score(requests)
    for asked, scores in zip(requests, together, strict=True):
        (alone,) = RequestScorer(MODEL, online).score([asked])
        pairs = PairScorer(MODEL, online).score([asked.user] * len(asked.candidates), asked.candidates)
        np.testing.assert_allclose(scores, alone, atol=1e-6)
        np.testing.assert_allclose(scores, pairs, atol=1e-6)


@pytest.mark.parametrize(
    ("architecture", "hyperparameters"),
    [("dnn", {"history_encoder": "multi_interest"}), ("din", {}), ("interformer", {"history_encoder": "sum"})],
)
def test_other_models_score_requests_as_rows_too(online: OnlineFeatures, architecture: str, hyperparameters) -> None:
    model, items = model_of(architecture, **hyperparameters), [*ITEMS, "new", ITEMS[0]]
    together = RequestScorer(model, online).score([Asked(user, items) for user in USERS[:3]])
    of_items = online.read("item_id", items)
    for user, scores in zip(USERS, together, strict=False):
        rows = online.read("user_id", [user]).take([0] * len(items))
        for name in rows.column_names:
            if of_items[name].null_count < len(items):
                rows = rows.set_column(rows.column_names.index(name), name, of_items[name])
        np.testing.assert_allclose(scores, model.predict(rows), atol=1e-6)
        assert len(set(scores)) == 4  # the last item is the first again


def test_users_are_read_for_each_batch_and_items_once(online: OnlineFeatures, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []
    read = FeatureStore.get_online_features

    def recorded(store: FeatureStore, features: list[str], entity_rows: list[dict]) -> object:
        asked.append([next(iter(row.values())) for row in entity_rows])
        return read(store, features=features, entity_rows=entity_rows)

    monkeypatch.setattr(FeatureStore, "get_online_features", recorded)
    scorer = RequestScorer(MODEL, online)
    scorer.score([Asked("7", ["1", "2"]), Asked("8", ["2"]), Asked("7", ["1"])])
    scorer.score([Asked("7", ["1", "3"])])
    assert asked == [["7", "8"], ["1", "2"], ["7"], ["3"]]


def test_unread_features_are_those_of_strangers_and_are_not_kept(online: OnlineFeatures) -> None:
    scorer = RequestScorer(MODEL, online)
    (unread,) = scorer.score([Asked("7", ["1"])], read_features=False)
    (read,) = scorer.score([Asked("7", ["1"])])
    assert not np.allclose(unread, read)
    np.testing.assert_allclose(unread, PairScorer(MODEL, online).score(["7"], ["1"], read_features=False), atol=1e-6)
