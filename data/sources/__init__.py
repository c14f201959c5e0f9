"""The data sources: one module each, all with `schema`, `fetch` and `read`."""

from types import ModuleType

from config import PlatformConfig
from data.schema import Schema
from data.sources import complete_journey, synthetic

SOURCES: dict[str, ModuleType] = {
    "complete_journey": complete_journey,
    "synthetic": synthetic,
}


def source_module(config: PlatformConfig) -> ModuleType:
    """The module of the chosen data source.

    A source module has `schema(source) -> Schema`; `fetch(config)`, which makes the source's files available or
    says what is missing; and `read(config, day) -> polars.DataFrame`, the raw rows of a platform day's window
    under the names of the common schema, without `vertical`, not yet checked.

    Raises:
        ValueError: there is no such source.
    """
    if config.data_source not in SOURCES:
        raise ValueError(f"platform.yaml: data_source {config.data_source!r} is none of {', '.join(SOURCES)}")
    return SOURCES[config.data_source]


def source_schema(config: PlatformConfig) -> Schema:
    """The features of the chosen data source."""
    schema: Schema = source_module(config).schema(config.source)
    return schema
