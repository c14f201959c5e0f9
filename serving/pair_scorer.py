"""Scores pairs of user and item ids: reads their features online, each entity once, and runs the model on all pairs."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from data.ids import ids_of_request
from serving.online_features import OnlineFeatures
from serving.vertical_model import VerticalModel


class PairScorer:
    """A vertical model with the online store it reads from."""

    def __init__(self, model: VerticalModel, online: OnlineFeatures) -> None:
        """Joins the two."""
        self.model, self.online = model, online

    def score(
        self, users: Sequence[Any], items: Sequence[Any], *, read_features: bool = True
    ) -> npt.NDArray[np.float32]:
        """Predicts click probabilities of n pairs, (n,).

        Args:
            users: each pair's user id, read as ids of a log are; null is nobody, (n,).
            items: each pair's item id, (n,).
            read_features: False asks the store nothing, as if it knew neither user nor item.

        Raises:
            UnreadableId: an id came as a float that cannot hold it.
        """
        of_users, user_of = _distinct(ids_of_request(users, "user_id"))
        of_items, item_of = _distinct(ids_of_request(items, "item_id"))
        read = self.online.read if read_features else self.online.unknown
        return self.model.predict_pairs(read("user_id", of_users), read("item_id", of_items), user_of, item_of)


def _distinct(ids: list[str | None]) -> tuple[list[str | None], npt.NDArray[np.int64]]:
    """Returns each id once, in the order of their first places, and the number of each row's id among them."""
    numbers = {name: number for number, name in enumerate(dict.fromkeys(ids))}
    return list(numbers), np.array([numbers[name] for name in ids], np.int64)
