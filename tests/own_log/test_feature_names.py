"""A feature whose name would fail a later job is refused when platform.yaml is read, at its line."""

import re
from pathlib import Path

import pytest
import torch
import yaml

from config import MODULE_ATTRIBUTES, ROOT, ConfigError, load_config

COLUMNS = {"impression_id": "id", "event_timestamp": "ts", "user_id": "user", "item_id": "ad", "label": "clicked"}


def read(folder: Path, **features: list[str]) -> None:
    tree = yaml.safe_load((ROOT / "platform.yaml").read_text())
    source = {"path": "log", "first_day": "2026-03-01", "last_day": "2026-03-05", "bootstrap_days": 2}
    tree["sources"]["mine"] = source | {"verticals": {"all": {}}, "columns": COLUMNS | features}
    path = folder / "platform.yaml"
    path.write_text(yaml.safe_dump(tree))
    load_config(path)


@pytest.mark.parametrize(
    "name",
    ["type", "values", "forward", "device.os", "user_clicks_7d", "created_timestamp", "row", "soft_label", "Label",
     "history_item_ids", "user_brand_clicks", "fm_item_code", "_hidden", "code", "utm:source", 'a"b', "*", "a`b",
     "a\\b"],
)  # fmt: skip
def test_a_name_that_the_platform_needs_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(
        ConfigError, match=rf"platform.yaml:\d+: sources.mine.columns: .* called {re.escape(name)} .*rename"
    ):
        read(tmp_path, item_categorical=["brand", name])


@pytest.mark.parametrize("name", ["", " "])
def test_a_feature_without_a_name_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(ConfigError, match=rf"may not be called '{name}' \(an empty name\): rename"):
        read(tmp_path, item_dense=[name])


def test_names_that_differ_in_case_only_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="Category and another feature differ in upper and lower case only"):
        read(tmp_path, item_categorical=["Category"], context_categorical=["category"])


@pytest.mark.parametrize("name", ["Device OS", "ad-format", "country", "clicks", "types", "user_age", "Größe"])
def test_other_names_are_taken(tmp_path: Path, name: str) -> None:
    read(tmp_path, item_categorical=[name])


def test_every_name_that_torch_keeps_for_itself_is_known() -> None:
    modules = torch.nn.ModuleDict()
    kept = {name for name in {*dir(modules), *vars(modules)} if not name.startswith("_")} - {"T_destination"}
    assert kept <= MODULE_ATTRIBUTES
    for name in sorted(MODULE_ATTRIBUTES - kept):  # and none is refused for nothing
        with pytest.raises(KeyError):
            modules[name] = torch.nn.Identity()
