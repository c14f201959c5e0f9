"""The data sources: one module each, which makes a `DataSource`."""

from config import PlatformConfig
from data.schema import Schema
from data.sources import (
    amazon_electronics,
    complete_journey,
    files,
    kuairand,
    kuaivideo,
    movielens,
    synthetic,
    taobao_ad,
)
from data.sources.data_source import DataSource

SOURCES: dict[str, DataSource] = {
    source.name: source
    for source in (
        complete_journey.SOURCE,
        kuairand.SOURCE,
        movielens.SOURCE,
        taobao_ad.SOURCE,
        amazon_electronics.SOURCE,
        kuaivideo.SOURCE,
        synthetic.SOURCE,
        files.SOURCE,
    )
}


def chosen_source(config: PlatformConfig) -> DataSource:
    """Returns the chosen data source; one with `columns` is read by `files`, whatever its name.

    Raises:
        ValueError: there is no such source.
    """
    if config.source.columns is not None:
        return files.SOURCE
    if config.data_source not in SOURCES:
        raise ValueError(
            f"platform.yaml: data_source {config.data_source!r} is none of {', '.join(SOURCES)}; "
            "a source of your own files needs `columns`, which maps its columns"
        )
    return SOURCES[config.data_source]


def source_schema(config: PlatformConfig) -> Schema:
    """Returns the features of the chosen data source."""
    return chosen_source(config).schema(config.source)
