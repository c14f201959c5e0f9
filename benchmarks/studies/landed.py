"""A source's days as the platform's own jobs leave them: what a search for a model needs of them."""

import logging
from pathlib import Path
from typing import Any

import storage
from config import ROOT, PlatformConfig, load_config
from jobs import extract_features, ingest, materialize_features, train_foundation
from search.study import FOUNDATION

LOG = logging.getLogger(__name__)
OF_FOUNDATION = {"events": ingest, "examples": extract_features}  # what a search for a foundation model reads
OF_VERTICAL = {"fm_snapshots": train_foundation, "vertical_examples": materialize_features}


def landed_days(
    source: str, work: Path, *, target: str, path: str | None, days: int | None, **changed: Any
) -> PlatformConfig:
    """Runs the jobs of the days that a work folder lacks, and returns the platform that has them.

    Args:
        source: an entry under `sources` of platform.yaml.
        work: folder that keeps the tables.
        target: of the search.
        path: folder of the source's files; None: what platform.yaml says.
        days: how many; None: all of the log.
        changed: sections of platform.yaml, as `PlatformConfig.changed` takes them.
    """
    shipped = load_config(ROOT / "platform.yaml").changed(**changed)
    config = shipped.changed(
        data_source=source,
        sources={source: {"path": path or shipped.sources[source].path}},
        storage={"root": str(work.resolve()), "feature_repo": str(work.resolve() / "feature_repo")},
        runtime={"device": "cpu"},  # a study compares on one kind of machine
    )
    jobs = OF_FOUNDATION if target == FOUNDATION else OF_FOUNDATION | OF_VERTICAL
    for day in storage.platform_days(config)[:days]:
        for table, job in jobs.items():
            if not storage.has_partition(config, table, day):
                LOG.info("%s %s: %s", source, day, job.__name__)
                job.main(config, day=day)
    return config
