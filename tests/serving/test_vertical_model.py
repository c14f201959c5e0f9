"""A vertical model on disk."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from config import VerticalModel as VerticalConfig
from data.batches.vertical import VerticalFeatures
from models.architectures import ARCHITECTURES
from serving.vertical_model import WEIGHTS_FILE, VerticalModel

FEATURES = VerticalFeatures({"item_id": 9}, ("ctr",), code_dim=4, code_bits=8, history_length=3)


def saved(architecture: str, folder: Path, **hyperparameters) -> VerticalModel:
    settings = VerticalConfig.model_validate(
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
