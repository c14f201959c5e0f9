"""The generated log as somebody's own files: their columns, named as the platform names them."""

from config import ColumnMapping
from data.schema import Schema

CORE = ("impression_id", "event_timestamp", "user_id", "item_id", "label")


def mapping_of(schema: Schema) -> ColumnMapping:
    """Returns the mapping under which files with a source's own column names have its features."""
    return ColumnMapping(
        **{name: name for name in CORE},
        user_categorical=list(schema.user_categorical),
        user_dense=list(schema.user_dense),
        item_categorical=list(schema.item_categorical),
        item_dense=list(schema.item_dense),
        context_categorical=list(schema.context_categorical),
        context_dense=list(schema.context_dense),
    )
