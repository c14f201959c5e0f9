"""The data sources: one module each, all with `ABOUT`, `schema`, `fetch` and `read`."""

from types import ModuleType

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

SOURCES: dict[str, ModuleType] = {
    "complete_journey": complete_journey,
    "kuairand": kuairand,
    "movielens": movielens,
    "taobao_ad": taobao_ad,
    "amazon_electronics": amazon_electronics,
    "kuaivideo": kuaivideo,
    "synthetic": synthetic,
    "files": files,
}


def source_module(config: PlatformConfig) -> ModuleType:
    """The module of the chosen data source; a source with `columns` is read by `files`, whatever its name.

    A source module has `ABOUT`, a sentence shown wherever results are; `schema(source) -> Schema`; `fetch(config)`,
    which makes the source's files available or says what is missing; and `read(config, day) -> polars.DataFrame`,
    the raw rows of a platform day's window under the names of the common schema, without `vertical`, not yet checked.

    Raises:
        ValueError: there is no such source.
    """
    if config.source.columns is not None:
        return files
    if config.data_source not in SOURCES:
        raise ValueError(
            f"platform.yaml: data_source {config.data_source!r} is none of {', '.join(SOURCES)}; "
            "a source of your own files needs `columns`, which maps its columns"
        )
    return SOURCES[config.data_source]


def source_schema(config: PlatformConfig) -> Schema:
    """The features of the chosen data source."""
    schema: Schema = source_module(config).schema(config.source)
    return schema


def about_source(config: PlatformConfig) -> str:
    """What the data are and where they come from, in a sentence; shown wherever results are shown."""
    about: str = source_module(config).ABOUT
    return about
