"""Pools in which every label is known: clusters by design, trained architectures, users of two real logs."""

import logging
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

import storage
from benchmarks.studies.landed import landed_days
from benchmarks.studies.search_tabular.tables import nas_bench_graph
from jobs import ingest
from search.active.belief import Pool
from search.active.neighbors import nearest
from search.audience import Audience

LOG = logging.getLogger(__name__)
CLUSTERS, POINTS, RADII = 30, 10_000, (0.005, 0.035)
WINNERS = 0.02  # of the architectures: the best by their validation accuracy
CAMPAIGNS = 10  # authors or films of the log, those with the most positives


@dataclass(frozen=True)
class Labelled:
    """A pool with all its labels: one set of labels a campaign.

    Attributes:
        points: (n, d).
        campaigns: labels, each (n,).
    """

    points: npt.NDArray[np.float64]
    campaigns: list[npt.NDArray[np.bool_]]

    @cached_property
    def _pools(self) -> dict[int, Pool]:
        return {}

    def pool(self, k: int) -> Pool:
        """Returns the pool in which k neighbors tell of a point; made once."""
        if k not in self._pools:
            self._pools[k] = Pool(nearest(self.points, k))
        return self._pools[k]


def clusters(seed: int) -> Labelled:
    """Draws points of a square, positive inside small discs; another square for each seed."""
    rng = np.random.default_rng([seed, 3])
    points, centers = rng.random((POINTS, 2)), rng.random((CLUSTERS, 2))
    labels = (np.linalg.norm(points[:, None] - centers, axis=2) < rng.uniform(*RADII, CLUSTERS)).any(1)
    return Labelled(points, [labels])


def architectures(work: Path) -> Labelled:
    """Takes NAS-Bench-Graph's architectures on arxiv; the best are positive."""
    table = nas_bench_graph(work, "arxiv")
    return Labelled(table.codes, [table.means <= np.quantile(table.means, WINNERS)])


def users(source: str, work: Path, path: str | None, *, column: str) -> Labelled:
    """Takes the users of a real log as the platform's first day left them, by the FM's vectors.

    A campaign is an author or a film: positive is who clicked it on the dates after that day; the others were not
    shown it or did not click.

    Args:
        source: an entry under `sources` of platform.yaml.
        work: keeps the tables.
        path: folder of the source's files.
        column: of the events, whose values are campaigns.
    """
    config = landed_days(source, work, target="users", path=path, days=1)
    first, *after = storage.platform_days(config)
    for day in after:
        if not storage.has_partition(config, "events", day):
            ingest.main(config, day=day)
    audience = Audience.of(config, first)
    place = {user: n for n, user in enumerate(audience.users)}
    events = [storage.read_partition(config, "events", day, columns=["user_id", column, "label"]) for day in after]
    clicks = pa.concat_tables(events).filter(pc.field("label") == 1)
    rows = clicks.filter(pc.is_in(clicks["user_id"], pa.array(audience.users)))
    clicked = dict[str, set[int]]()
    for user, value in zip(rows["user_id"].to_pylist(), rows[column].to_pylist(), strict=True):
        clicked.setdefault(value, set()).add(place[user])
    most = sorted(clicked, key=lambda value: (-len(clicked[value]), value))[:CAMPAIGNS]
    campaigns = [np.isin(np.arange(len(place)), list(clicked[value])) for value in most]
    LOG.info("%s: %d users; positives of the campaigns: %s", source, len(place), [int(of.sum()) for of in campaigns])
    return Labelled(audience.vectors, campaigns)
