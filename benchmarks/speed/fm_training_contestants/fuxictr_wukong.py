"""FuxiCTR's WuKong, which is in its repository's model zoo and not in its package: $FUXICTR_HOME names a checkout."""

import importlib.util
import os
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import torch
from fuxictr.features import FeatureMap
from torch import Tensor, nn

from benchmarks.speed.fm_training_contestants import task as sizes
from benchmarks.speed.fm_training_contestants.contestant import Contestant, dense_adam, outside_tables
from benchmarks.speed.fm_training_contestants.task import Batch, Task


class _Probabilities(nn.Module):
    """The model, giving its probabilities alone."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, x: dict[str, Tensor]) -> Tensor:
        return self.model(x)["y_pred"]


def build(task: Task, variant: str, stack: ExitStack) -> Contestant:
    """Makes the contestant; it has one variant, and nothing to close."""
    torch.manual_seed(task.seed)
    features = FeatureMap("benchmark", "")
    for index in range(task.fields):
        features.features[f"field_{index}"] = {"type": "categorical", "source": "", "vocab_size": task.rows}
    for index in range(task.dense):
        features.features[f"dense_{index}"] = {"type": "numeric", "source": ""}
    features.labels = ["label"]
    features.num_fields = task.fields + task.dense
    features.default_emb_dim = task.dim
    model = _Probabilities(
        _wukong()(
            features,
            embedding_dim=task.dim,
            num_layers=sizes.WUKONG_LAYERS,
            compression_dim=sizes.WUKONG_TOKENS * task.dim,
            fmb_dim=sizes.WUKONG_TOKENS * task.dim,
            fmb_units=sizes.WUKONG_HIDDEN,
            project_dim=sizes.WUKONG_RANK,
            mlp_hidden_units=sizes.MLP,
            dropout_rate=0,
            learning_rate=sizes.DENSE_LEARNING_RATE,
            optimizer="adam",
            loss="binary_crossentropy",
            metrics=[],
            model_root="",
            verbose=0,
        )
    )

    def prepare(batch: Batch) -> tuple[dict[str, Tensor], Tensor]:
        columns = {f"field_{index}": torch.from_numpy(ids.copy()) for index, ids in enumerate(batch.ids.T)}
        columns |= {f"dense_{index}": torch.from_numpy(values.copy()) for index, values in enumerate(batch.dense.T)}
        return columns, torch.from_numpy(batch.labels)

    return dense_adam(model, prepare, dense_parameters=outside_tables(model))


def _wukong() -> Any:
    path = Path(os.environ["FUXICTR_HOME"]) / "model_zoo/WuKong/src/WuKong.py"
    spec = importlib.util.spec_from_file_location("fuxictr_model_zoo_wukong", path)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.WuKong
