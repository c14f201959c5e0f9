"""A source's log as one partition: events, point-in-time features and daily snapshots, made by the platform's own jobs.

Studies that train on one stretch of a log and judge on another read it from there instead of running day after day.
"""

import logging
from datetime import date, timedelta
from pathlib import Path

import storage
from config import ROOT, PlatformConfig, load_config
from jobs import extract_features, ingest

LOG = logging.getLogger(__name__)


def whole_log(
    source: str,
    work: Path,
    *,
    path: str | None = None,
    first_day: date | None = None,
    last_day: date | None = None,
    events_per_day: int | None = None,
    history_length: int | None = None,
) -> tuple[PlatformConfig, date]:
    """Lands a log and computes its features, once: what is already in `work` is used again.

    Args:
        source: an entry under `sources` of platform.yaml.
        work: folder that keeps the tables; one for each choice of the arguments.
        path: folder of the source's files; None: what platform.yaml says.
        first_day: first day of the stretch; None: of the log.
        last_day: last day of the stretch; None: of the log.
        events_per_day: of the synthetic source; None: what platform.yaml says.
        history_length: newest events kept in a user's history; None: what platform.yaml says.

    Returns:
        The platform's settings for that source, and the day whose partitions hold the whole stretch.
    """
    shipped = load_config(ROOT / "platform.yaml")
    of_source = shipped.sources[source]
    first, last = first_day or of_source.first_day, last_day or of_source.last_day
    window = {
        "path": path or of_source.path,
        "first_day": first,
        "last_day": last,
        "bootstrap_days": (last - first) // timedelta(days=1) + 1,
        "events_per_day": events_per_day or of_source.events_per_day,
        "anonymous": "quarantine",  # what is studied is what is known of users
    }
    config = shipped.changed(
        data_source=source,
        sources={source: window},
        features={"history_length": history_length or shipped.features.history_length},
        storage={"root": str(work.resolve()), "feature_repo": str(work.resolve() / "feature_repo")},
        runtime={"device": "cpu"},  # a study compares on one kind of machine
    )
    for table, job in (("events", ingest), ("examples", extract_features)):
        if not storage.has_partition(config, table, last):
            LOG.info("%s: %s", source, job.__name__)
            job.main(config, day=last)
    return config, last
