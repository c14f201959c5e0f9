"""What the foundation model left behind: a user's history of codes, an item's mean code (LoopFM, arXiv:2605.29280)."""

from pathlib import Path

from feast import FeatureView, Field
from feast.types import Array, Bytes, Float32, Int32, Int64, String

from config import PlatformConfig
from feature_repo.entities import item, user
from feature_repo.feature_views import snapshot_source, snapshot_ttl

CODES = {8: "INT8: value / 127", 4: "INT4, two a byte, the lower half first: value / 8"}  # by bits


def embedding_views(config: PlatformConfig, files: Path) -> list[FeatureView]:
    """Returns the views `user_fm_history` and `item_fm_embedding` of a set of files."""
    width = {"code_dim": str(config.served_code_dim), "code_bits": str(config.transfer.code_bits)}
    codes = CODES[config.transfer.code_bits]
    return [
        FeatureView(
            name="user_fm_history",
            entities=[user],
            schema=[
                Field(name="user_id", dtype=String),
                Field(name="fm_history_codes", dtype=Bytes, description=f"(slots x code_dim) {codes}", tags=width),
                Field(name="fm_history_item_ids", dtype=Array(String), description="Oldest first."),
                Field(name="fm_history_labels", dtype=Array(Int32), description="1 where it was clicked."),
                Field(name="fm_history_ages_h", dtype=Array(Float32), description="Hours before the snapshot."),
            ],
            source=snapshot_source(files, "user_fm_history"),
            ttl=snapshot_ttl(config),
            description="The FM's codes of a user's newest impressions, at the end of a day.",
        ),
        FeatureView(
            name="item_fm_embedding",
            entities=[item],
            schema=[
                Field(name="item_id", dtype=String),
                Field(name="fm_item_code", dtype=Bytes, description=f"(code_dim) {codes}", tags=width),
                Field(name="fm_item_impressions", dtype=Int64, description="Impressions the mean is over."),
            ],
            source=snapshot_source(files, "item_fm_embedding"),
            ttl=snapshot_ttl(config),
            description="Mean of the FM's codes of an item's impressions, at the end of a day.",
        ),
    ]
