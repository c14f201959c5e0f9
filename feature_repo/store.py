"""Opens the Feast store that platform.yaml describes, and registers what it serves."""

import os
from pathlib import Path
from typing import Any

import yaml
from feast import FeatureService, FeatureStore

import storage
from config import PlatformConfig
from data.schema import Schema
from feature_repo.embedding_views import embedding_views
from feature_repo.entities import item, user
from feature_repo.feature_views import activity_views

FEATURE_SERVICE = "vertical_model"


def open_store(config: PlatformConfig) -> FeatureStore:
    """The store of the chosen source; (re)writes feature_store.yaml from platform.yaml first."""
    write_feature_store_yaml(config)
    return FeatureStore(str(storage.feature_repo_dir(config)))


def write_feature_store_yaml(config: PlatformConfig) -> Path:
    """Writes feature_store.yaml, which the Feast SDK and CLI read, where it differs; returns its path."""
    folder = storage.feast_dir(config)
    folder.mkdir(parents=True, exist_ok=True)
    content: dict[str, Any] = {
        "project": "headwater",
        "provider": "local",
        "registry": str(folder / "registry.db"),
        "offline_store": {"type": "duckdb"},
        "online_store": {"type": "sqlite", "path": str(folder / "online.db")},
        "entity_key_serialization_version": 3,
    }
    path = storage.feature_repo_dir(config) / "feature_store.yaml"
    text = "# Written from platform.yaml by the platform; change it there.\n" + yaml.safe_dump(content, sort_keys=False)
    if not path.exists() or path.read_text() != text:
        path.parent.mkdir(parents=True, exist_ok=True)
        aside = path.with_suffix(f".{os.getpid()}.tmp")
        aside.write_text(text)
        os.replace(aside, path)
    return path


def register(store: FeatureStore, config: PlatformConfig, schema: Schema) -> None:
    """Registers entities, views and the feature service of the vertical models."""
    views = {view.name: view for view in [*activity_views(config, schema), *embedding_views(config)]}
    history = [name for name in ("history_item_ids", "history_labels", "history_timestamps")]
    of_user = [f.name for f in views["user_activity"].features if f.name not in history]
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
