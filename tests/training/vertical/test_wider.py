"""The wider vertical model that an explanation compares with the one that ships."""

import pytest
import torch

from config import VerticalSettings
from models.architectures import ARCHITECTURES
from models.vertical import build_vertical
from training.vertical.explanation import _wider


@pytest.mark.parametrize("hyperparameters", [{}, {"hidden": [6], "history_dim": 4}], ids=["defaults", "given"])
@pytest.mark.parametrize("name", ARCHITECTURES)
def test_history_encoder_and_trunk_are_twice_as_wide_and_the_architecture_stays(name, hyperparameters):
    settings = VerticalSettings.model_validate(
        {
            "architecture": name,
            "hyperparameters": hyperparameters,
            "embedding_dim": 8,
            "optimizer": {"batch_size": 8, "learning_rate": 0.01, "embedding_learning_rate": 0.1},
        }
    )

    def shapes(settings: VerticalSettings) -> dict[str, torch.Size]:
        network = build_vertical(
            settings, num_embeddings={"item_id": 5}, num_dense=2, history_length=3, code_dim=4, history_ids=("item_id",)
        )
        return {key: value.shape for key, value in network.state_dict().items()}

    shipped, wider = shapes(settings), shapes(_wider(settings))
    assert shipped.keys() == wider.keys()
    for key in ("history.query.weight", "trunk.0.weight"):
        assert wider[key][0] == 2 * shipped[key][0]
    inner = [key for key in shipped if key.startswith(("architecture.", "embeddings."))]
    assert [shipped[key] for key in inner] == [wider[key] for key in inner]
