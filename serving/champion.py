"""The champion of a vertical in a running server, replaced when the registry's alias moves."""

import logging
import math
import time
from dataclasses import dataclass

import mlflow
from feast import FeatureStore
from mlflow import MlflowClient

import storage
from config import PlatformConfig
from serving.online_features import OnlineFeatures
from serving.registry import CHAMPION, load_version, version_at
from serving.request_scorer import RequestScorer

LOG = logging.getLogger("headwater.serving")


@dataclass(frozen=True)
class Loaded:
    """A version that is ready to score."""

    version: str
    scorer: RequestScorer


class Champion:
    """Holds the version that the alias names; one load at a time, while requests go on with the one before."""

    def __init__(self, config: PlatformConfig, vertical: str) -> None:
        """Opens nothing yet: a server that starts before the first day waits for it."""
        self.config, self.name = config, storage.registered_model(vertical)
        self.loaded: Loaded | None = None
        self.checked_at = -math.inf  # by time.monotonic: when the alias was last read
        uri = storage.mlflow_tracking_uri(config)
        mlflow.set_tracking_uri(uri)
        mlflow.set_registry_uri(uri)
        self.client = MlflowClient(uri, uri)
        self.store: FeatureStore | None = None

    def refresh(self) -> None:
        """Loads the version that the alias names now, if it is another.

        What fails leaves the version before in place, with a warning: a server that answers is worth more than one
        that is up to date, and the next refresh tries again.
        """
        try:
            version = version_at(self.client, self.name, CHAMPION)
            self.checked_at = time.monotonic()
            if version is None or (self.loaded and self.loaded.version == str(version.version)):
                return
            self.store = self.store or FeatureStore(str(storage.feature_repo_dir(self.config)))
            model = load_version(self.config, version)
            scorer = RequestScorer(model, OnlineFeatures(self.store, model.features.columns))
            self.loaded = Loaded(str(version.version), scorer)
            LOG.info("%s version %s serves", self.name, version.version)
        except Exception as error:
            serves = f"version {self.loaded.version} serves on" if self.loaded else "nothing serves yet"
            LOG.warning("%s: the champion could not be read, %s: %r", self.name, serves, error)
