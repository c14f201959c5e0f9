"""The MLflow model of a vertical (models-from-code): user and item ids in, click probability out.

`mlflow models serve -m models:/vertical_NAME@champion --env-manager local` runs it. Features are read from Feast's
online store, in one call a request.
"""

from pathlib import Path
from typing import Any

import mlflow
import pandas as pd
import pyarrow as pa
from mlflow.pyfunc.model import PythonModel, PythonModelContext

from data.schema import FEATURE_SERVICE
from serving.vertical_model import VerticalModel


class VerticalScorer(PythonModel):
    """Scores (user_id, item_id) pairs."""

    def load_context(self, context: PythonModelContext) -> None:
        """Loads the network and opens the feature store named in the model's configuration."""
        from feast import FeatureStore  # slow to import, and MLflow runs this file to log the model, too

        self.model = VerticalModel.load(Path(context.artifacts["model"]))
        self.store = FeatureStore(context.model_config["feature_repo"])
        self.service = self.store.get_feature_service(FEATURE_SERVICE)

    def predict(self, context: PythonModelContext, model_input: pd.DataFrame, params: dict | None = None) -> Any:
        """Predicts click probabilities.

        Args:
            context: unused; kept by MLflow's interface.
            model_input: columns user_id and item_id, strings; ids Feast does not know are scored as new ones.
            params: unused.

        Returns:
            DataFrame with one column, probability, in the order of the input.
        """
        pairs = [{"user_id": str(u), "item_id": str(i)} for u, i in model_input[["user_id", "item_id"]].to_numpy()]
        features = self.store.get_online_features(features=self.service, entity_rows=pairs).to_dict()
        rows = pa.table({name: pa.array(features[name], **_type(name)) for name in self.model.features.columns})
        return pd.DataFrame({"probability": self.model.predict(rows)})


def _type(name: str) -> dict[str, pa.DataType]:
    """Returns the type of a feature where Arrow cannot infer it, as every value may be null or empty."""
    lists = {
        "fm_history_item_ids": pa.list_(pa.string()),
        "fm_history_labels": pa.list_(pa.int32()),
        "fm_history_ages_h": pa.list_(pa.float32()),
    }
    return {"type": lists[name]} if name in lists else {}


mlflow.models.set_model(VerticalScorer())
