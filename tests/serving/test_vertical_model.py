"""What is saved is what is served: the network, and the calibration layer after it."""

from dataclasses import asdict
from pathlib import Path

import numpy as np
import pyarrow as pa
import torch

from config import PlatformConfig
from data.batches.vertical import VerticalFeatures
from data.sources import source_schema
from models.calibration import CalibrationLayer
from serving.vertical_model import VerticalModel


def rows_of(model: VerticalModel, count: int) -> pa.Table:
    """Rows of users without history, as an entity that Feast does not know is."""
    features = model.features
    columns = {name: pa.array([f"{name}-{n}" for n in range(count)]) for name in features.num_embeddings}
    columns |= {name: pa.array(np.arange(count, dtype=np.float32)) for name in features.dense}
    columns |= {
        "fm_history_codes": pa.nulls(count, pa.binary()),
        "fm_history_item_ids": pa.nulls(count, pa.list_(pa.string())),
        "fm_history_labels": pa.nulls(count, pa.list_(pa.int32())),
        "fm_history_ages_h": pa.nulls(count, pa.list_(pa.float32())),
        "fm_item_code": pa.nulls(count, pa.binary()),
    }
    return pa.table(columns)


def test_the_layer_is_saved_loaded_and_applied(tiny_config: PlatformConfig, tmp_path: Path) -> None:
    torch.manual_seed(0)
    features = VerticalFeatures.of(source_schema(tiny_config), tiny_config)
    model = VerticalModel.fresh(tiny_config.vertical_model, features, use_history=True)
    rows = rows_of(model, 9)
    raw = model.predict(rows)
    np.testing.assert_array_equal(raw, model.uncalibrated(rows))
    model.calibration = CalibrationLayer(0.8, -0.6)
    model.save(tmp_path)
    served = VerticalModel.load(tmp_path)
    assert asdict(served.calibration) == {"slope": 0.8, "intercept": -0.6}
    expected = 1 / (1 + np.exp(-(0.8 * np.log(raw / (1 - raw)) - 0.6)))
    np.testing.assert_allclose(served.predict(rows), expected, rtol=1e-5)
    np.testing.assert_array_equal(served.uncalibrated(rows), raw)
