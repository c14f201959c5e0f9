"""A small online store: what Feast serves of a few users and items."""

from datetime import UTC, datetime, timedelta

import numpy as np
import pandas as pd
from feast import FeatureStore

from config import PlatformConfig
from data.codes import encode
from data.sources import source_schema
from feature_repo.store import open_store, register

USERS, ITEMS = ["7", "8", "nan", "None", "anna"], ["1", "2", "3"]


def filled_store(config: PlatformConfig) -> FeatureStore:
    """Opens the store with USERS and ITEMS online, their features drawn at random."""
    schema = source_schema(config)
    store = open_store(config)
    register(store, config, schema)
    generator = np.random.default_rng(0)
    width, bits = config.served_code_dim, config.transfer.code_bits
    for view in store.list_feature_views():
        (key,) = view.join_keys
        ids = USERS if key == "user_id" else ITEMS
        slots = {name: number + 1 for number, name in enumerate(ids)}  # histories of different lengths
        codes = {name: encode(generator.normal(size=(n, width)).astype(np.float32), bits) for name, n in slots.items()}
        values = {
            "fm_history_codes": [codes[name].tobytes() for name in ids],
            "fm_item_code": [codes[name][:1].tobytes() for name in ids],
            "fm_item_impressions": [1 for _ in ids],
            "fm_history_item_ids": [(ITEMS * 2)[: slots[name]] for name in ids],
            "history_item_ids": [(ITEMS * 2)[: slots[name]] for name in ids],
            "fm_history_labels": [[n % 2 for n in range(slots[name])] for name in ids],
            "history_labels": [[n % 2 for n in range(slots[name])] for name in ids],
            "fm_history_ages_h": [[float(n) for n in range(slots[name])] for name in ids],
            "history_timestamps": [list(range(slots[name])) for name in ids],
        }
        now = datetime.now(UTC) - timedelta(minutes=1)
        frame = {key: ids, "event_timestamp": [now] * len(ids), "created_timestamp": [now] * len(ids)}
        for feature in view.features:
            drawn = generator.exponential(size=len(ids)).astype(np.float32)
            texts = [f"{feature.name}{number}" for number in range(len(ids))]
            is_text = feature.name in schema.categorical
            frame[feature.name] = values.get(feature.name, texts if is_text else list(drawn))
        store.write_to_online_store(view.name, pd.DataFrame(frame))
    return store
