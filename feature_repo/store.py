"""Opens the Feast store that platform.yaml describes, and registers what it serves."""

from feast import FeatureService, FeatureStore, FileSource

import storage
from config import PlatformConfig
from data.schema import FEATURE_SERVICE, HISTORY_COLUMNS, Schema
from feature_repo.embedding_views import embedding_views
from feature_repo.entities import item, user
from feature_repo.feature_views import activity_views
from feature_repo.offline import link_snapshots, remove_old_sets, set_of
from feature_repo.store_file import write_feature_store_yaml
from storage.tables import VIEWS


def open_store(config: PlatformConfig) -> FeatureStore:
    """Opens the store of the chosen source; (re)writes feature_store.yaml from platform.yaml first.

    Raises:
        StoreError: a server that platform.yaml names for Feast does not answer.
    """
    storage.check_stores(config, *storage.FEAST_STORES)
    write_feature_store_yaml(config)
    return FeatureStore(str(storage.feature_repo_dir(config)))


def register(store: FeatureStore, config: PlatformConfig, schema: Schema) -> None:
    """Registers entities, views of the days committed by now, and the feature service of the vertical models."""
    registered = [set_of(source.path) for source in store.list_data_sources() if isinstance(source, FileSource)]
    files = link_snapshots(config, VIEWS)
    views = {v.name: v for v in [*activity_views(config, schema, files), *embedding_views(config, files)]}
    of_user = [f.name for f in views["user_activity"].features if f.name not in HISTORY_COLUMNS]
    service = FeatureService(
        name=FEATURE_SERVICE,
        features=[
            views["user_activity"][of_user],
            views["item_activity"],
            views["user_fm_history"],
            views["item_fm_embedding"],
        ],
        description="All that a vertical model reads, in training and in serving.",
    )
    store.apply([user, item, *views.values(), service])
    remove_old_sets(config, files, registered)
