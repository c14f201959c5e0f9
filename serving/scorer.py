"""The MLflow model of a vertical (models-from-code): user and item ids in, click probability out.

`mlflow models serve -m models:/vertical_NAME@champion --env-manager local` runs it. Features are read from Feast's
online store: those of a request's users in one call, those of its items in another, each of them once.
"""

from pathlib import Path
from typing import Any

import mlflow
import pandas as pd
from mlflow.pyfunc.model import PythonModel, PythonModelContext

from serving.online_features import OnlineFeatures
from serving.pair_scorer import PairScorer
from serving.vertical_model import VerticalModel


class VerticalScorer(PythonModel):
    """Scores (user_id, item_id) pairs."""

    def load_context(self, context: PythonModelContext) -> None:
        """Loads the network and opens the feature store named in the model's configuration."""
        from feast import FeatureStore  # slow to import, and MLflow runs this file to log the model, too

        model = VerticalModel.load(Path(context.artifacts["model"]))
        store = FeatureStore(context.model_config["feature_repo"])
        self.scorer = PairScorer(model, OnlineFeatures(store, model.features.columns))

    def predict(self, context: PythonModelContext, model_input: pd.DataFrame, params: dict | None = None) -> Any:
        """Predicts click probabilities.

        Args:
            context: unused; kept by MLflow's interface.
            model_input: columns user_id and item_id, read as ids of a log are; ids that Feast does not know are
                scored as new ones, null as nobody's.
            params: unused.

        Returns:
            DataFrame with one column, probability, in the order of the input.

        Raises:
            UnreadableId: an id came as a float that cannot hold it.
        """
        users, items = model_input["user_id"].tolist(), model_input["item_id"].tolist()
        return pd.DataFrame({"probability": self.scorer.score(users, items)})


mlflow.models.set_model(VerticalScorer())
