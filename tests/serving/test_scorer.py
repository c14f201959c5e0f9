"""The served model: ids in, probabilities out, against what the online store holds and the way rows are scored."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import torch
from feast import FeatureStore
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from mlflow.pyfunc.model import PythonModelContext
from mlflow.utils.proto_json_utils import dataframe_from_parsed_json

from config import load_config
from data.batches.vertical import VerticalFeatures
from data.schema import FEATURE_SERVICE
from data.sources import source_schema
from serving.online_features import LISTS, OnlineFeatures
from serving.registry import SIGNATURE
from serving.scorer import VerticalScorer
from serving.vertical_model import VerticalModel
from tests.online_store import ITEMS, USERS, filled_store


@dataclass
class Served:
    """A model with its online store."""

    store: FeatureStore
    scorer: VerticalScorer

    def scores(self, users: list, items: list) -> np.ndarray:
        """Scores pairs as a request in JSON has them, (n,)."""
        records = [{"user_id": user, "item_id": item} for user, item in zip(users, items, strict=True)]
        frame = dataframe_from_parsed_json(records, "records", SIGNATURE.inputs)
        return self.scorer.predict(None, frame)["probability"].to_numpy()

    def row_by_row(self, users: list[str], items: list[str]) -> np.ndarray:
        """Scores pairs from a row of the whole feature service each, (n,)."""
        rows = [{"user_id": user, "item_id": item} for user, item in zip(users, items, strict=True)]
        service = self.store.get_feature_service(FEATURE_SERVICE)
        read = self.store.get_online_features(features=service, entity_rows=rows).to_dict()
        model = self.scorer.scorer.model
        table = pa.table({name: pa.array(read[name], type=LISTS.get(name)) for name in model.features.columns})
        return model.predict(table)


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Served:
    """A store that knows USERS and ITEMS by features drawn at random, and a model of random weights on it."""
    root = tmp_path_factory.mktemp("served")
    config = load_config(Path(__file__).parents[2] / "platform.yaml").changed(
        data_source="synthetic", storage={"root": str(root / "state"), "feature_repo": str(root / "feature_repo")}
    )
    schema = source_schema(config)
    store = filled_store(config)
    torch.manual_seed(0)
    model = VerticalModel.fresh(config.vertical_model, VerticalFeatures.of(schema, config), use_history=True)
    (root / "model").mkdir()
    model.save(root / "model")
    scorer = VerticalScorer()
    repo = {"feature_repo": str(root / "feature_repo")}
    scorer.load_context(PythonModelContext({"model": str(root / "model")}, model_config=repo))
    return Served(store, scorer)


def test_scores_equal_those_of_rows_read_one_by_one(served: Served) -> None:
    generator = np.random.default_rng(1)
    users = list(generator.choice([*USERS, "stranger", "other"], 200))
    items = list(generator.choice([*ITEMS, "new"], 200))
    scores = served.scores(users, items)
    assert len(set(scores.round(6))) == 6 * 4  # both strangers are one: nothing is known of them
    # To the last bit a product of matrices depends on where in memory it lies.
    np.testing.assert_allclose(scores, served.row_by_row(users, items), rtol=1e-6)


def test_a_request_reads_each_user_and_item_once(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []
    read = served.store.__class__.get_online_features

    def recorded(store: FeatureStore, features: list[str], entity_rows: list[dict]) -> object:
        asked.append(entity_rows)
        return read(store, features=features, entity_rows=entity_rows)

    monkeypatch.setattr(FeatureStore, "get_online_features", recorded)
    served.scores(["7"] * 6, ["1", "2", "3", "1", "2", None])
    assert asked == [[{"user_id": "7"}], [{"item_id": "1"}, {"item_id": "2"}, {"item_id": "3"}]]


def test_numbers_are_the_ids_of_the_log_beside_null_too(served: Served) -> None:
    expected = served.row_by_row(["7", "8", "7"], ["1", "2", "2"])
    np.testing.assert_array_equal(served.scores([7, 8, 7.0], [1, 2, "2"]), expected)
    beside_null = served.scores([7, None, 8], [1, 1, 2])  # floats in the data frame that MLflow makes
    np.testing.assert_allclose(beside_null[[0, 2]], expected[:2], rtol=1e-6)


@pytest.mark.parametrize("nobody", [None, float("nan"), "", " "])
def test_null_is_nobody_though_the_log_has_users_of_that_name(served: Served, nobody: object) -> None:
    nan, none, unknown, scored = served.scores(["nan", "None", "stranger", nobody], ["1"] * 4)
    assert scored == unknown and scored not in (nan, none)
    assert list(served.scores([nobody], [nobody])) == pytest.approx([served.scores(["stranger"], [None])[0]])


def test_an_item_that_is_null_is_no_item_of_the_name(served: Served) -> None:
    assert len(set(served.scores(["7", "7"], [None, "nan"]))) == 2


def test_an_id_that_a_float_cannot_hold_is_refused(served: Served) -> None:
    with pytest.raises(ValueError, match=r"user_id 9007199254740992\.0 came as a float"):
        served.scores([2**53 + 1, None], ["1", "1"])


def test_a_request_without_rows_has_no_scores(served: Served) -> None:
    assert len(served.scorer.predict(None, pd.DataFrame({"user_id": [], "item_id": []}))) == 0


def test_a_model_of_other_features_is_refused(served: Served) -> None:
    with pytest.raises(ValueError, match="reads colour, which Feast's service vertical_model lacks"):
        OnlineFeatures(served.store, ["item_id", "colour"])


USER = st.one_of(st.none(), st.sampled_from([*USERS, 7, 8, 7.0, "stranger", "", True]))
ITEM = st.one_of(st.none(), st.sampled_from([*ITEMS, 1, 2.0, "new"]))


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(pairs=st.lists(st.tuples(USER, ITEM), min_size=1, max_size=12))
def test_a_score_does_not_depend_on_the_other_rows(served: Served, pairs: list[tuple]) -> None:
    together = served.scores(*map(list, zip(*pairs, strict=True)))
    alone = [served.scores([user], [item])[0] for user, item in pairs]
    np.testing.assert_allclose(together, alone, rtol=1e-5)  # the last bits depend on how a product is summed up
