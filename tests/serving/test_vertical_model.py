"""A vertical model on disk: what is saved is what is served, the network and the calibration layer after it."""

from dataclasses import asdict
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import torch
from safetensors.torch import load_file, save_file

from config import PlatformConfig, VerticalSettings
from data.batches.vertical import VerticalFeatures
from data.sources import source_schema
from models.architectures import ARCHITECTURES
from models.calibration import CalibrationLayer
from serving.vertical_model import WEIGHTS_FILE, VerticalModel

FEATURES = VerticalFeatures({"item_id": 9}, ("ctr",), code_dim=4, code_bits=8, history_length=3)


def saved(architecture: str, folder: Path, **hyperparameters) -> VerticalModel:
    settings = VerticalSettings.model_validate(
        {
            "architecture": architecture,
            "hyperparameters": hyperparameters,
            "embedding_dim": 8,
            "optimizer": {"batch_size": 8, "learning_rate": 0.01, "embedding_learning_rate": 0.1},
        }
    )
    model = VerticalModel.fresh(settings, FEATURES, use_history=True)
    model.save(folder)
    return model


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_a_saved_model_is_read_back(architecture: str, tmp_path: Path):
    model, loaded = saved(architecture, tmp_path), VerticalModel.load(tmp_path)
    before, after = model.network.state_dict(), loaded.network.state_dict()
    assert before.keys() == after.keys() and all(torch.equal(before[name], after[name]) for name in before)


def test_weights_of_another_version_are_refused_with_what_to_do(tmp_path: Path):
    saved("dlrm", tmp_path)
    weights = load_file(tmp_path / WEIGHTS_FILE)
    # As it was saved when the bottom MLP lay in the network itself.
    save_file({name.removeprefix("architecture."): tensor for name, tensor in weights.items()}, tmp_path / WEIGHTS_FILE)
    with pytest.raises(RuntimeError, match=r"weights are of dlrm as another version .* storage\.root"):
        VerticalModel.load(tmp_path)


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
