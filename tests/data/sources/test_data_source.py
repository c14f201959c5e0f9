"""A data source is added by one `DataSource` in the list."""

from datetime import date

import polars as pl
import pytest

import storage
from config import Source, Vertical, load_config
from data.schema import Schema
from data.sources import SOURCES, chosen_source, source_schema
from data.sources.data_source import DataSource
from jobs import ingest

DAY = date(2026, 1, 2)


def test_a_listed_source_is_fetched_and_read(tmp_path, monkeypatch: pytest.MonkeyPatch):
    calls = []

    def read(config, day):
        row = {"impression_id": "i", "event_timestamp": f"{day}T12:00:00Z", "user_id": "u", "item_id": "a", "label": 1}
        return pl.DataFrame([row | {"brand": config.source.path}])

    avazu = DataSource(
        name="avazu",
        about="Ads.",
        schema=lambda source: Schema(item_categorical=("brand",), crosses=("item_id",)),
        fetch=lambda config: calls.append(config.data_source),
        read=read,
    )
    monkeypatch.setitem(SOURCES, avazu.name, avazu)
    source = Source(path="b", first_day=DAY, last_day=DAY, bootstrap_days=1, verticals={"all": Vertical()})
    config = load_config().changed(
        data_source="avazu", sources={"avazu": source}, storage={"root": str(tmp_path / "state")}
    )
    assert ingest.main(config, day=DAY)["rows"] == 1 and calls == ["avazu"]
    assert storage.read_partition(config, "events", DAY)["brand"].to_pylist() == ["b"]
    assert source_schema(config).item_categorical == ("brand",) and chosen_source(config).about == "Ads."


def test_only_a_generated_log_knows_the_true_probabilities():
    assert [name for name, source in SOURCES.items() if source.true_probability] == ["synthetic"]
