"""The verdicts of promote_vertical, of a day and of the days before it."""

from datetime import date, timedelta

import storage
from config import PlatformConfig
from quality.promotion_verdict import PromotionVerdict
from reports.lineage import Lineage

MODELS = ("baseline", "candidate", "champion", "fm")


def verdict(lineage: Lineage, vertical: str, day: date) -> PromotionVerdict:
    """Reads the verdict on a vertical's day; where there is none, returns one that promotes nobody and says why.

    A verdict on partitions that have been replaced since counts as none.
    """
    config = lineage.config
    steps = {
        "fm_outputs": "train_foundation",
        "fm_snapshots": "train_foundation",
        "vertical_examples": "materialize_features",
        f"evaluations_{vertical}": "distill_vertical",
        f"verdicts_{vertical}": "promote_vertical",
    }
    for table, job in steps.items():
        if not storage.has_partition(config, table, day):
            return PromotionVerdict.none(day, vertical, f"no verdict: {job} has no output ({table}/ds={day})")
    if (reason := lineage.outdated(f"verdicts_{vertical}", day)) is not None:
        return PromotionVerdict.none(day, vertical, f"no verdict: the one in storage is outdated: {reason}")
    return PromotionVerdict.from_json(storage.read_manifest(config, f"verdicts_{vertical}", day)["extra"])


def verdicts_until(lineage: Lineage, vertical: str, day: date) -> dict[date, PromotionVerdict]:
    """Reads the verdicts of a vertical up to a day, by day; days without one are left out."""
    verdicts = {}
    for of_day in platform_days(lineage.config, day):
        if storage.has_partition(lineage.config, f"verdicts_{vertical}", of_day):
            verdicts[of_day] = verdict(lineage, vertical, of_day)
    return {of_day: v for of_day, v in verdicts.items() if v.metrics}


def platform_days(config: PlatformConfig, day: date) -> list[date]:
    """Returns all platform days up to a day, oldest first."""
    first = config.source.bootstrap_day
    return [first + timedelta(days=n) for n in range((day - first).days + 1)]
