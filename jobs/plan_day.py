"""Decides which day a daily run does, or that there is nothing to do because the day is done.

- **Reads:** the run's `day` and `force`, which days are done: their report is written, and the tables it was made from
  are all there, unchanged; which files of the log came, changed or went since their day was landed.
- **Writes:** nothing.

Stops the run as *skipped* when the day is done and `force` is off. A day of a live log is run when it has ended: what
came after would never be learnt. A day whose files came late stays done: the log and the result (XCom `late_files`)
name it, and it is run again when somebody asks for it with `force`.
"""

import logging
from datetime import date, timedelta
from typing import Any

import storage
from config import PlatformConfig
from data.late_files import in_words, late_files

LOG = logging.getLogger("headwater.plan_day")


def main(config: PlatformConfig, *, day: str = "", logical_day: str = "", force: bool = False) -> dict[str, Any]:
    """Returns {"day"}, or {"skipped": reason} when there is nothing to do; and `late_files`, by day, if there are any.

    Args:
        config: the platform.
        day: the day asked for; empty takes `logical_day` if the log has it, whole, else the next day not done.
        logical_day: the run's logical date by the log's calendar, where it has one.
        force: a day that is done is run again.

    Raises:
        ValueError: the day is outside the log, or has not ended, or the day before it lacks what all verticals share.
        StoreError: a server that platform.yaml names does not answer, so that the day could not end.
    """
    storage.check_stores(config, *storage.DAY_STORES)
    planned = _plan(config, day, logical_day, force)
    late = late_files(config, storage.committed_days(config, "events"))
    late.pop(date.fromisoformat(planned.get("day", "0001-01-01")), None)  # it is landed again now
    told = {str(of_day): in_words(changes) for of_day, changes in late.items()}
    if "skipped" in planned and day in told:
        planned["skipped"] += f"; files of the log differ from what was landed: {told[day]}"
    for of_day, changes in late.items():
        again = f"to run it again, trigger daily_transfer with day {of_day} and force, then the days after it"
        if all(change.what == "gone" for change in changes):
            again = "what was landed of them is kept, and would be lost if the day were run again"
        LOG.warning("day %s: files of the log differ from what was landed: %s; %s", of_day, told[str(of_day)], again)
    return planned | ({"late_files": told} if told else {})


def _plan(config: PlatformConfig, day: str, logical_day: str, force: bool) -> dict[str, str]:
    source = config.source
    next_day = source.bootstrap_day
    while storage.day_status(config, next_day) == "done":
        next_day += timedelta(days=1)
    if not day and logical_day and _is_whole(config, date.fromisoformat(logical_day)):
        day = logical_day
    if not day and next_day > source.last_day:
        return {"skipped": f"every day of {config.data_source} is done, up to the log's last day {source.last_day}"}
    wanted = date.fromisoformat(day or str(next_day))
    storage.day_window(config, wanted)  # refuses a day outside the log
    if end := storage.open_until(config, wanted):
        ends = f"day {wanted} ends at {end:%Y-%m-%d %H:%M} UTC"
        if day:
            raise ValueError(f"{ends}, and what comes until then would not be learnt: run it after that")
        return {"skipped": f"every day of {config.data_source} that has ended is done; {ends}"}
    before = wanted - timedelta(days=1)
    if wanted > next_day and (missing := storage.missing_for_the_next_day(config, before)):
        lacks = ", ".join(missing)
        raise ValueError(f"day {before} is not done, so {wanted} cannot run: it lacks {lacks}; run day {next_day} next")
    if storage.day_status(config, wanted) == "done" and not force:
        return {"skipped": f"day {wanted} is done; set force to run it again"}
    return {"day": str(wanted)}


def _is_whole(config: PlatformConfig, day: date) -> bool:
    """Says whether the log has a day, to its end."""
    return config.source.bootstrap_day <= day <= config.source.last_day and not storage.open_until(config, day)
