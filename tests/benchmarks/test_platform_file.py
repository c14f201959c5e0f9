"""The platform file of a benchmark."""

import os

from benchmarks.platform_file import forget_settings, platform_file
from config import load_config


def test_a_benchmark_has_a_platform_and_a_state_of_its_own(tmp_path, monkeypatch):
    monkeypatch.setenv("HEADWATER_SOURCE", "movielens")
    monkeypatch.setenv("HEADWATER_DATA_PATH", "elsewhere")
    forget_settings()
    assert not [name for name in os.environ if name.startswith("HEADWATER_")]
    config = load_config(platform_file(tmp_path, 700, runtime={"seed": 5}, storage={"lake": "s3://bucket/lake"}))
    assert (config.data_source, config.source.events_per_day, config.source.bootstrap_days) == ("synthetic", 700, 1)
    assert (config.storage.root, config.storage.lake) == (str(tmp_path / "state"), "s3://bucket/lake")
    assert config.runtime.seed == 5


def test_two_platforms_may_share_a_state(tmp_path):
    one, two = (platform_file(tmp_path, name=name, state=tmp_path / "kept") for name in ("one", "two"))
    assert one.name == "one.yaml" and load_config(one).storage == load_config(two).storage
