"""What Feast's online store knows of users and items, each read once however many pairs they are in."""

from typing import TYPE_CHECKING, Any

import pyarrow as pa

from data.schema import FEATURE_SERVICE

if TYPE_CHECKING:
    from feast import FeatureStore

# Types that Arrow cannot infer where every value is null or empty.
LISTS = {
    "fm_history_item_ids": pa.list_(pa.string()),
    "fm_history_labels": pa.list_(pa.int32()),
    "fm_history_ages_h": pa.list_(pa.float32()),
}


class OnlineFeatures:
    """Reads the columns of a model's input, those of a user and those of an item apart."""

    def __init__(self, store: "FeatureStore", columns: list[str]) -> None:
        """Finds which entity each column describes.

        Args:
            store: has the feature service of the vertical models.
            columns: of the model's input; item_id is the item's own.

        Raises:
            ValueError: the store does not serve a column.
        """
        self.store, self.columns = store, columns
        self.features: dict[str, dict[str, str]] = {"user_id": {}, "item_id": {}}  # by join key: reference by column
        for projection in store.get_feature_service(FEATURE_SERVICE).feature_view_projections:
            (key,) = store.get_feature_view(projection.name).join_keys
            names = [feature.name for feature in projection.features if feature.name in columns]
            self.features[key] |= {name: f"{projection.name_to_use()}:{name}" for name in names}
        served = {"item_id"}.union(*self.features.values())
        if missing := [name for name in columns if name not in served]:
            raise ValueError(
                f"The model reads {', '.join(missing)}, which Feast's service {FEATURE_SERVICE} lacks: it was trained "
                "on other features than this store serves; open the store of its own source"
            )

    def read(self, key: str, ids: list[str | None]) -> pa.Table:
        """Reads the features of users or items.

        Args:
            key: user_id or item_id.
            ids: different ones; None names nobody, and Feast is not asked.

        Returns:
            A row an id, in their order, with all columns; null in those of the other entity, of ids that Feast does
            not know, and of None.
        """
        known = [{key: name} for name in ids if name is not None]
        values: dict[str, list[Any]] = {}
        if known:
            references = list(self.features[key].values())
            values = self.store.get_online_features(features=references, entity_rows=known).to_dict()
        if None in ids:
            for column in values.values():
                column.insert(ids.index(None), None)
        return self._table(key, ids, values)

    def unknown(self, key: str, ids: list[str | None]) -> pa.Table:
        """Returns what `read` does of users or items that Feast does not know; asks Feast nothing."""
        return self._table(key, ids, {})

    def _table(self, key: str, ids: list[str | None], values: dict[str, list[Any]]) -> pa.Table:
        """Returns all columns: the entity's own where there are values, its id, else nulls."""
        own = {name: values[name] for name in self.features[key] if name in values} | {key: ids}
        nobody = [None] * len(ids)
        return pa.table({name: pa.array(own.get(name, nobody), type=LISTS.get(name)) for name in self.columns})
