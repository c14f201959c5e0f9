"""feature_store.yaml, which the Feast SDK and CLI open, derived from platform.yaml."""

from pathlib import Path
from typing import Any

import yaml

import storage
from config import PlatformConfig


def write_feature_store_yaml(config: PlatformConfig) -> Path:
    """Writes feature_store.yaml, which the Feast SDK and CLI read, where it differs; returns its path."""
    storage.feast_dir(config).mkdir(parents=True, exist_ok=True)
    content: dict[str, Any] = {
        "project": f"headwater_{config.data_source}",
        "provider": "local",
        "registry": storage.feast_registry(config),
        "offline_store": {"type": "duckdb"},
        "online_store": storage.feast_online(config),
        "entity_key_serialization_version": 3,
    }
    path = storage.feature_repo_dir(config) / "feature_store.yaml"
    text = "# Written from platform.yaml by the platform; change it there.\n" + yaml.safe_dump(content, sort_keys=False)
    if not path.exists() or path.read_text() != text:
        with storage.replace_file(path) as aside:
            aside.write_text(text)
    return path
