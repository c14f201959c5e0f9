"""A vertical model on disk: safetensors weights and a JSON description, no pickle."""

import json
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import torch
from safetensors.torch import load_file, save_file

from config import VerticalSettings
from data.batches.vertical import HISTORY_IDS, VerticalFeatures
from models.calibration import CalibrationLayer
from models.vertical import build_vertical
from models.vertical.batch import Items, VerticalBatch, pairs
from models.vertical.network import VerticalNetwork

WEIGHTS_FILE = "model.safetensors"
DESCRIPTION_FILE = "model.json"
SCORE_ROWS = 8192  # rows scored at once


@dataclass
class VerticalModel:
    """A network with the description of its input, and the layer that corrects its probabilities."""

    network: VerticalNetwork
    features: VerticalFeatures
    settings: VerticalSettings
    use_history: bool
    calibration: CalibrationLayer = field(default_factory=CalibrationLayer)

    @classmethod
    def fresh(cls, settings: VerticalSettings, features: VerticalFeatures, *, use_history: bool) -> "VerticalModel":
        """Builds an untrained model."""
        network = build_vertical(
            settings,
            num_embeddings=features.num_embeddings,
            num_dense=len(features.dense),
            history_length=features.history_length,
            code_dim=features.code_dim if use_history else 0,
            history_ids=HISTORY_IDS if use_history else (),
        )
        return cls(network, features, settings, use_history)

    def save(self, folder: Path) -> None:
        """Writes the two files into an existing folder."""
        description = {
            "settings": self.settings.model_dump(),
            "features": asdict(self.features),
            "use_history": self.use_history,
            "calibration": asdict(self.calibration),
        }
        (folder / DESCRIPTION_FILE).write_text(json.dumps(description, indent=1))
        save_file({k: v.detach().contiguous() for k, v in self.network.state_dict().items()}, folder / WEIGHTS_FILE)

    @classmethod
    def load(cls, folder: Path) -> "VerticalModel":
        """Reads what `save` wrote.

        Raises:
            RuntimeError: the weights do not fit the network that the description makes in this version.
        """
        description = json.loads((folder / DESCRIPTION_FILE).read_text())
        features = description["features"]
        features["dense"] = tuple(features["dense"])
        model = cls.fresh(
            VerticalSettings.model_validate(description["settings"]),
            VerticalFeatures(**features),
            use_history=description["use_history"],
        )
        try:
            model.network.load_state_dict(load_file(folder / WEIGHTS_FILE))
        except RuntimeError as error:
            raise RuntimeError(
                f"{folder}: these weights are of {model.settings.architecture} as another version of the platform "
                "builds it. Load them with that version, or start again from the bootstrap day with a new storage.root"
            ) from error
        model.calibration = CalibrationLayer(**description["calibration"])
        return model

    def predict(self, rows: pa.Table) -> npt.NDArray[np.float32]:
        """Predicts click probabilities, (n,): what is served.

        Args:
            rows: n rows with `features.columns`.
        """
        return self.calibration.apply(self.uncalibrated(rows))

    def predict_pairs(
        self, users: pa.Table, items: pa.Table, user_of: npt.NDArray[np.int64], item_of: npt.NDArray[np.int64]
    ) -> npt.NDArray[np.float32]:
        """Predicts click probabilities of n pairs as `predict` does of their rows; encodes a user and an item once.

        Args:
            users: rows with `features.columns`, of which those of items are null.
            items: rows with `features.columns`, of which those of users are null.
            user_of: number of each pair's user among `users`, (n,).
            item_of: number of each pair's item among `items`, (n,).
        """
        return self.predict_encoded(self.features.batch(users), self.features.items(items), user_of, item_of)

    def predict_encoded(
        self, users: VerticalBatch, items: Items, user_of: npt.NDArray[np.int64], item_of: npt.NDArray[np.int64]
    ) -> npt.NDArray[np.float32]:
        """Predicts as `predict_pairs` does, from rows that `features.batch` has encoded.

        A user's history is read once for all his pairs: users with equally many are scored at once.
        """
        probabilities = np.zeros(len(user_of), np.float32)
        for rows in _rectangles(user_of):
            of_users = users.take(torch.from_numpy(user_of[rows[:, 0]]))
            batch = pairs(of_users, items.take(torch.from_numpy(item_of[rows.ravel()])))
            probabilities[rows.ravel()] = self._score([batch])
        return self.calibration.apply(probabilities)

    def uncalibrated(self, rows: pa.Table) -> npt.NDArray[np.float32]:
        """Predicts click probabilities as the network gives them, before the calibration layer, (n,).

        Args:
            rows: n rows with `features.columns`.
        """
        return self._score(batch for _, batch in self.features.batches(rows, SCORE_ROWS))

    @torch.inference_mode()
    def _score(self, batches: Iterable[VerticalBatch]) -> npt.NDArray[np.float32]:
        self.network.eval()
        probabilities = [torch.sigmoid(self.network(batch).logits).numpy() for batch in batches]
        return np.concatenate(probabilities) if probabilities else np.zeros(0, np.float32)


def _rectangles(user_of: npt.NDArray[np.int64]) -> Iterator[npt.NDArray[np.int64]]:
    """Yields the numbers of all pairs in tables (users, pairs of a user), each of SCORE_ROWS pairs at most.

    Args:
        user_of: number of each pair's user, (n,).
    """
    counts = np.bincount(user_of)
    order, ends = np.argsort(user_of, kind="stable"), np.cumsum(counts)
    for count in np.unique(counts[counts > 0]):
        starts = ends[counts == count] - count
        rows = order[starts[:, None] + np.arange(count)]  # (users, count)
        for first in range(0, count, SCORE_ROWS):
            columns = rows[:, first : first + SCORE_ROWS]
            at_once = max(1, SCORE_ROWS // columns.shape[1])
            yield from (columns[start : start + at_once] for start in range(0, len(columns), at_once))
