"""Audience expansion: whom to show something next, given users who converted, by the FM's vectors of users."""

import csv
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import numpy as np
import pyarrow.compute as pc

import storage
from config import PlatformConfig
from data.codes import decode
from search.active.batch import one_after_another
from search.active.belief import Belief, Pool
from search.active.neighbors import nearest
from search.active.policies import nonmyopic
from search.choices import Array

NEIGHBORS = 50  # that tell of a user
TOLD = 3  # converters named as the reason for a user
USER, LABEL = "user_id", "label"


@dataclass(frozen=True)
class Chosen:
    """A user to show it to.

    Attributes:
        user: their id.
        probability: that they convert, as the labels of their neighbors say.
        known_near: their neighbors whose label is known.
        converters: ids of those that converted, the nearest first.
    """

    user: str
    probability: float
    known_near: int
    converters: tuple[str, ...]

    @property
    def reason(self) -> str:
        """Says in words why they were chosen."""
        if not self.known_near:
            return "nothing is known near them: what they do tells of their neighbors"
        told = f"{len(self.converters)} of {self.known_near} known users near them converted"
        if not self.converters:
            return f"{told}: what they do tells of others"
        more = ", …" if len(self.converters) > TOLD else ""
        return f"{told} ({', '.join(self.converters[:TOLD])}{more})"


@dataclass(frozen=True)
class Audience:
    """The users of a day who have a vector, n.

    Attributes:
        users: their ids.
        vectors: mean of the FM's codes of each one's newest impressions, as of the day's end, (n, d).
    """

    users: list[str]
    vectors: Array

    @classmethod
    def of(cls, config: PlatformConfig, day: date) -> "Audience":
        """Reads the users of a day from the table behind Feast's view `user_fm_history`.

        Raises:
            PartitionMissing: the day is not done.
            ValueError: fewer than two users have a vector.
        """
        columns = ["user_id", "event_timestamp", "fm_history_codes"]
        rows = storage.read_partition(config, "user_fm_history", day, columns=columns)
        # A day of several dates has a snapshot at the end of each.
        rows = rows.filter(pc.field("event_timestamp") == pc.max(rows["event_timestamp"])).sort_by("user_id")
        users, codes = rows["user_id"].to_pylist(), rows["fm_history_codes"].to_pylist()
        if len(users) < 2:
            raise ValueError(f"{len(users)} users have a vector on {day}: an audience needs two at least")
        width, bits = config.served_code_dim, config.transfer.code_bits
        vectors = np.stack([decode(of, width=width, bits=bits).mean(0) for of in codes])
        return cls(users, vectors.astype(np.float64))

    def choose(self, known: Mapping[str, bool], *, budget: int, at_once: int) -> list[Chosen]:
        """Chooses whom to show it next, so that all looks of the budget together find as many converters as possible.

        Args:
            known: whether users converted; those without a vector tell nothing.
            budget: looks left, these among them.
            at_once: how many users, before any of their labels is known.

        Raises:
            ValueError: a number is wrong, or no known converter has a vector.
        """
        if not 1 <= at_once <= budget:
            raise ValueError(f"{at_once} users at once of a budget of {budget}: choose 1 to the budget")
        place = {user: n for n, user in enumerate(self.users)}
        labels = {place[user]: label for user, label in known.items() if user in place}
        if not any(labels.values()):
            raise ValueError(
                f"none of the {sum(known.values())} users who converted is among the {len(self.users)} with a vector: "
                "there is nothing to be near to; name others, or a day on which they had impressions"
            )
        pool = Pool(nearest(self.vectors, min(NEIGHBORS, len(self.users) - 1)))
        belief = Belief.of(pool, labels.items())
        points = one_after_another(nonmyopic, belief, budget, at_once) if belief.unknown.any() else []
        return [self._chosen(belief, labels, point) for point in points]

    def _chosen(self, belief: Belief, labels: Mapping[int, bool], point: int) -> Chosen:
        near = belief.pool.near
        known = [int(n) for n in near.indices[near.indptr[point] : near.indptr[point + 1]] if int(n) in labels]
        converters = sorted(
            (n for n in known if labels[n]), key=lambda n: float(np.linalg.norm(self.vectors[n] - self.vectors[point]))
        )
        return Chosen(
            self.users[point],
            float(belief.probability[point]),
            len(known),
            tuple(self.users[n] for n in converters),
        )


def read_known(path: Path) -> dict[str, bool]:
    """Reads who converted: a CSV with the column user_id and, where some did not, the column label, 1 or 0.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: a column is missing, a label is neither 0 nor 1, or a user has both.
    """
    known: dict[str, bool] = {}
    with path.open(newline="", encoding="utf-8-sig") as file:
        rows = csv.DictReader(file)
        if USER not in (rows.fieldnames or []):
            raise ValueError(f"{path} has no column {USER}: its first line must name it; it has {rows.fieldnames}")
        for row in rows:
            user, label = (row[USER] or "").strip(), (row.get(LABEL, "1") or "").strip()
            if not user or label not in ("0", "1"):
                raise ValueError(
                    f"{path}, line {rows.line_num}: {USER} is {user!r} and {LABEL} {label!r}; {LABEL} is 0 or 1, and "
                    "a user whose outcome is not known yet has no line"
                )
            if known.setdefault(user, label == "1") != (label == "1"):
                raise ValueError(f"{path}, line {rows.line_num}: {user} has both labels; keep one line of a user")
    if not any(known.values()):
        raise ValueError(f"{path} names no user who converted: there is nothing to be near to")
    return known
