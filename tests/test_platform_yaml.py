"""The shipped platform.yaml describes models that can be built, for every data source."""

import pytest

from config import ROOT, load_config
from data.batches.foundation import FoundationFeatures
from data.batches.vertical import VerticalFeatures
from data.sources import SOURCES, source_schema
from models.foundation.foundation_model import FoundationModel
from serving.vertical_model import VerticalModel

CONFIG = load_config(ROOT / "platform.yaml")


@pytest.mark.parametrize("name", CONFIG.sources)
def test_models_of_every_source_can_be_built(name: str):
    assert name in SOURCES
    config = CONFIG.changed(data_source=name)
    schema = source_schema(config)
    features = FoundationFeatures.of(schema, config.foundation_model, config.features)
    FoundationModel(config.foundation_model, sparse=features.sparse, num_dense=len(features.dense), sequence_length=9)
    VerticalModel.fresh(config.vertical_model, VerticalFeatures.of(schema, config), use_history=True)


def test_unknown_architectures_name_the_known_ones():
    wrong = CONFIG.foundation_model.changed(architecture="wukog")
    with pytest.raises(ValueError, match=r"'wukog' in foundation_model.architecture. Known: .*wukong"):
        FoundationModel(wrong, sparse=("user_id", "item_id"), num_dense=3, sequence_length=9)


def test_vertical_columns_exist_in_the_sources_schema():
    for name in CONFIG.sources:
        config = CONFIG.changed(data_source=name)
        for vertical in config.source.verticals.values():
            assert vertical.column is None or vertical.column in source_schema(config).categorical
