"""Fixtures shared by all tests."""

import os
from pathlib import Path

import pytest

from config import PlatformConfig, load_config

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # as python -m jobs sets it; before torch is imported


@pytest.fixture
def tiny_config(tmp_path: Path) -> PlatformConfig:
    """The shipped platform on a small synthetic log, kept in a temporary folder."""
    config = load_config(Path(__file__).parent.parent / "platform.yaml")
    source = config.sources["synthetic"].model_copy(update={"events_per_day": 600, "bootstrap_days": 2})
    return config.model_copy(
        update={
            "data_source": "synthetic",
            "sources": {**config.sources, "synthetic": source},
            "storage": config.storage.model_copy(
                update={"root": str(tmp_path / "state"), "feature_repo": str(tmp_path / "feature_repo")}
            ),
        }
    )
