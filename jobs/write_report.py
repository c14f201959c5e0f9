"""Writes the day's report: one page with metrics, plots and lineage, a model card a vertical, and the index of days.

- **Reads:** everything of the day.
- **Writes:** `docs/reports/ds=<day>/`.

Runs as soon as one vertical came through; the run itself still fails if another did not.
"""

import json
import logging
from datetime import date
from typing import Any

import storage
from config import PlatformConfig
from data.sources import chosen_source
from reports.day_facts import DayFacts, collect
from reports.pages import day_page, model_card, skipped_page, write_index

LOG = logging.getLogger("headwater.write_report")
DESCRIPTION_LENGTH = 5000  # MLflow's column for it holds no more


def main(config: PlatformConfig, *, day: date, verticals: str = "") -> dict[str, Any]:
    """Reports a day, also one whose verticals failed; the report's folder is replaced by one rename, at the end.

    Args:
        config: the platform.
        day: the day.
        verticals: those that were run, joined by commas; the day is done once they are. Empty: those of the report that
            is there, else all.

    Raises:
        PartitionMissing: the day has no `examples`, and was not skipped.
    """
    if reason := storage.skip_reason(config, day):
        summary = {"day": str(day)} | storage.report_status(config, day, []) | {"verticals": []}
        about = chosen_source(config).about
        return _write(config, day, about, summary, page=skipped_page(config, about, day, reason), cards={})
    facts = collect(config, day, verticals.split(",") if verticals else storage.verticals_run(config, day))
    for job, whats in facts.missing.items():
        LOG.warning("%s has no output on %s: %s", job, day, ", ".join(whats))
    cards = {v.name: model_card(facts, v, config) for v in facts.verticals if v.model is not None}
    page = day_page(facts, config)
    _describe_versions(config, facts, cards)
    return _write(config, day, facts.about, facts.summary(), page=page, cards=cards)


def _write(
    config: PlatformConfig, day: date, about: str, summary: dict[str, Any], *, page: str, cards: dict[str, str]
) -> dict[str, Any]:
    target = storage.report_dir(config, day)
    with storage.replace_folder(target, staging_root=target.parent, name=f".{target.name}") as folder:
        (folder / "cards").mkdir()
        for name, card in cards.items():
            (folder / "cards" / f"{name}.md").write_text(card)
        (folder / "index.html").write_text(page)
        (folder / storage.SUMMARY).write_text(json.dumps(summary, indent=1, allow_nan=False))
    write_index(config, about)
    return {"report": str(target / "index.html")}


def _describe_versions(config: PlatformConfig, facts: DayFacts, cards: dict[str, str]) -> None:
    """Makes each card the description of the candidate's version in the registry, where it has one."""
    if not cards:
        return
    from serving.registry import version_of  # MLflow takes seconds to import
    from training.tracking import tracking_client

    client = tracking_client(config)
    for vertical in facts.verticals:
        if vertical.model is None:
            continue
        name = storage.registered_model(vertical.name)
        version = version_of(client, name, day=facts.day, weights=vertical.model.weights)
        if version is None:
            LOG.warning("%s has no version of %s with weights %s", name, facts.day, vertical.model.weights)
            continue
        description = _cut(cards[vertical.name], vertical.name)
        if version.description != description:
            client.update_model_version(name, version.version, description)


def _cut(card: str, vertical: str) -> str:
    if len(card) <= DESCRIPTION_LENGTH:
        return card
    end = f"\n\n(cut off; all of it is in the day's report, cards/{vertical}.md)\n"
    return card[: DESCRIPTION_LENGTH - len(end)] + end
