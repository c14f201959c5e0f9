"""The MLflow model of a vertical (models-from-code): user and item ids in, click probability out.

`mlflow models serve -m models:/vertical_NAME@champion --env-manager local` runs it. Features are read from Feast's
online store: those of a request's users in one call, those of its items in another, each of them once.
"""

from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pandas as pd
from mlflow.pyfunc.model import PythonModel, PythonModelContext

from data.ids import ids_of_request
from serving.online_features import OnlineFeatures
from serving.vertical_model import VerticalModel


class VerticalScorer(PythonModel):
    """Scores (user_id, item_id) pairs."""

    def load_context(self, context: PythonModelContext) -> None:
        """Loads the network and opens the feature store named in the model's configuration."""
        from feast import FeatureStore  # slow to import, and MLflow runs this file to log the model, too

        self.model = VerticalModel.load(Path(context.artifacts["model"]))
        store = FeatureStore(context.model_config["feature_repo"])
        self.online = OnlineFeatures(store, self.model.features.columns)

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
            ValueError: an id came as a float that cannot hold it.
        """
        (users, user_of), (items, item_of) = (
            _distinct(ids_of_request(model_input[key].tolist(), key)) for key in ("user_id", "item_id")
        )
        of_users, of_items = self.online.read("user_id", users), self.online.read("item_id", items)
        return pd.DataFrame({"probability": self.model.predict_pairs(of_users, of_items, user_of, item_of)})


def _distinct(ids: list[str | None]) -> tuple[list[str | None], np.ndarray]:
    """Returns each id once, in the order of their first places, and the number of each row's id among them."""
    numbers = {name: number for number, name in enumerate(dict.fromkeys(ids))}
    return list(numbers), np.array([numbers[name] for name in ids], np.int64)


mlflow.models.set_model(VerticalScorer())
