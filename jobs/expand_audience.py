"""Chooses to whom a vertical should be shown next, given users who converted there.

- **Reads:** `user_fm_history` of a day; a CSV with the column `user_id` and, optional, `label` (1: converted, 0: was
  shown it and did not).
- **Writes:** `audiences/VERTICAL/NAME/` beside the day reports: `audience.csv` with users, scores and reasons, and a
  page with a picture.

Users are near each other as the foundation model's codes of their newest impressions are. The choice looks ahead: it
takes who lets the whole budget find as many converters as possible, so early choices also try what little is known of.
Show it, add the outcomes to the CSV, lower the budget by as many, and run it again: it chooses the next ones.
"""

import csv
import logging
from datetime import date
from pathlib import Path
from typing import Any

import storage
from config import PlatformConfig
from data.sources import chosen_source
from reports.audience_page import AudienceFacts, audience_page
from reports.pages import write_index
from search.audience import Audience, Chosen, read_known

LOG = logging.getLogger("headwater.expand_audience")


def main(
    config: PlatformConfig,
    *,
    vertical: str,
    seeds: str,
    budget: int,
    at_once: int = 0,
    day: str = "",
    name: str = "",
) -> dict[str, Any]:
    """Chooses the users and writes their table and page.

    Args:
        config: the platform.
        vertical: what they will be shown.
        seeds: the CSV of users whose outcome is known.
        budget: users that may still be shown it, these among them.
        at_once: users to choose now; 0: the whole budget.
        day: whose end users are taken as of; empty: the newest done.
        name: of the audience; empty: the CSV's, without its ending.

    Returns:
        day; users: how many were chosen; expected: converters among them by what is known now; table and page: files.

    Raises:
        ValueError: the vertical, a number or the CSV is wrong, or none who converted is known to the platform.
        FileNotFoundError: there is no such CSV.
        PartitionMissing: the day is not done.
    """
    config = config.of_vertical(vertical)
    if budget < 1 or not 0 <= at_once <= budget:
        raise ValueError(f"budget is {budget} and at_once {at_once}: the budget is 1 at least, at_once 0 to the budget")
    path = Path(seeds)
    known = read_known(path)
    done = storage.committed_days(config, "user_fm_history")
    if not day and not done:
        raise ValueError("no day is done yet: run daily_transfer first")
    chosen_day = date.fromisoformat(day) if day else done[-1]
    audience = Audience.of(config, chosen_day)
    LOG.info("%d users have a vector on %s", len(audience.users), chosen_day)
    chosen = audience.choose(known, budget=budget, at_once=at_once or budget)
    if len(chosen) < (at_once or budget):
        LOG.warning("%d users were asked for; %d are left", at_once or budget, len(chosen))
    folder = storage.audience_dir(config, vertical, name or path.stem)
    folder.mkdir(parents=True, exist_ok=True)
    with storage.replace_file(folder / "audience.csv") as file:
        _write(file, chosen)
    facts = AudienceFacts(
        source=config.data_source,
        vertical=vertical,
        name=folder.name,
        day=str(chosen_day),
        budget=budget,
        users=audience.users,
        vectors=audience.vectors,
        known=known,
        chosen=[(one.user, one.probability, one.reason) for one in chosen],
    )
    with storage.replace_file(folder / "index.html") as file:
        file.write_text(audience_page(facts))
    write_index(config, chosen_source(config).about)
    return {
        "day": str(chosen_day),
        "users": len(chosen),
        "expected": round(sum(one.probability for one in chosen), 2),
        "table": str(folder / "audience.csv"),
        "page": str(folder / "index.html"),
    }


def _write(file: Path, chosen: list[Chosen]) -> None:
    with file.open("w", newline="", encoding="utf-8") as text:
        table = csv.writer(text)
        table.writerow(["user_id", "score", "known_near", "converters_near", "reason"])
        for one in chosen:
            table.writerow([one.user, f"{one.probability:.4f}", one.known_near, len(one.converters), one.reason])
