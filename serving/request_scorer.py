"""Scores requests of an ads server: users are read from the online store, candidates from it or from memory."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from models.vertical.batch import Items
from serving.item_cache import ItemCache
from serving.online_features import OnlineFeatures
from serving.vertical_model import VerticalModel


class Asked(NamedTuple):
    """One request, its ids as `ids_of_request` reads them."""

    user: str | None
    candidates: list[str | None]


class RequestScorer:
    """A vertical model with the online store it reads from, and the items it has read lately; for one thread."""

    def __init__(self, model: VerticalModel, online: OnlineFeatures) -> None:
        """Joins the two; no item is known yet."""
        self.model, self.online = model, online
        self.cache = ItemCache(self._read_items)

    def score(self, requests: Sequence[Asked], *, read_features: bool = True) -> list[npt.NDArray[np.float32]]:
        """Predicts the click probabilities of each request's candidates.

        A user's features are of now; a candidate's may have been read up to `item_cache.TTL_S` before.

        Args:
            requests: scored as one batch; a request's scores do not depend on the others.
            read_features: False asks the store nothing, as if it knew neither users nor items.
        """
        users = {user: number for number, user in enumerate(dict.fromkeys(asked.user for asked in requests))}
        ids = [name for asked in requests for name in asked.candidates]
        if not ids:
            return [np.zeros(0, np.float32) for _ in requests]
        read = self.online.read if read_features else self.online.unknown
        of_users = self.model.features.batch(read("user_id", list(users)))
        items = self.cache.items(ids) if read_features else self._unknown_items(ids)
        lengths = [len(asked.candidates) for asked in requests]
        user_of = np.repeat([users[asked.user] for asked in requests], lengths)
        scores = self.model.predict_encoded(of_users, items, user_of, np.arange(len(ids)))
        return np.split(scores, np.cumsum(lengths)[:-1])

    def _read_items(self, ids: list[str | None]) -> Items:
        return self.model.features.items(self.online.read("item_id", ids))

    def _unknown_items(self, ids: list[str | None]) -> Items:
        return self.model.features.items(self.online.unknown("item_id", ids))
