from collections import Counter
from datetime import date, timedelta
from typing import Any

import pyarrow as pa
import pytest

import storage
from config import PlatformConfig
from reports.lineage import Lineage, missing, partitions
from reports.verdicts import verdicts_until
from tests.reported_day import made_from, verdict, write_day, write_evaluations

DAY = date(2026, 1, 2)


@pytest.fixture
def config(tiny_config: PlatformConfig) -> PlatformConfig:
    write_day(tiny_config, DAY, verticals=["feed"])
    return tiny_config


def test_what_has_no_output_is_named_by_job_and_vertical(config: PlatformConfig) -> None:
    assert missing(config, DAY) == {
        "distill_vertical": ["search", "video"],
        "promote_vertical": ["search", "video"],
    }


def test_a_partition_made_from_replaced_content_is_outdated_and_so_is_what_was_made_from_it(
    config: PlatformConfig,
) -> None:
    assert Lineage(config).outdated("verdicts_feed", DAY) is None
    rows = storage.read_partition(config, "fm_evaluations", DAY)
    storage.write_partition(config, "fm_evaluations", DAY, rows.slice(1))
    assert Lineage(config).outdated("verdicts_feed", DAY) == "evaluations_feed was made from an earlier fm_evaluations"
    changed = {p.table: [i.name for i in p.inputs if i.changed] for p in partitions(Lineage(config), DAY)}
    assert changed["evaluations_feed"] == [f"fm_evaluations/ds={DAY}"]
    assert changed["verdicts_feed"] == []


def test_what_was_made_from_a_replaced_partition_of_an_earlier_day_is_outdated(config: PlatformConfig) -> None:
    later = DAY + timedelta(days=1)
    snapshots = storage.partition_dir(config, "fm_snapshots", DAY)
    with storage.recorded_reads():
        storage.read_partition(config, "fm_outputs", DAY)
        storage.partition_folder(config, "fm_snapshots", DAY)
        storage.write_partition(config, "fm_outputs", later, pa.table({"soft_label": [0.5]}))
    with made_from(config, later, "fm_outputs"):
        storage.write_partition(config, "vertical_examples", later, pa.table({"soft_label": [0.5]}))
    assert Lineage(config).outdated("vertical_examples", later) is None
    with storage.recorded_reads(), storage.commit_partition(config, "fm_snapshots", DAY) as folder:
        (folder / "model-00000.safetensors").write_bytes(b"another model")
    assert snapshots.is_dir()
    told = f"fm_outputs was made from an earlier fm_snapshots of {DAY}"
    assert Lineage(config).outdated("vertical_examples", later) == told
    rows = storage.read_partition(config, "examples", DAY)
    storage.write_partition(config, "examples", DAY, rows.slice(1))
    assert "was made from an earlier" in str(Lineage(config).outdated("vertical_examples", later))


def test_writing_the_same_content_again_outdates_nothing(config: PlatformConfig) -> None:
    rows = storage.read_partition(config, "fm_evaluations", DAY)
    feed = rows.filter([value == "feed" for value in rows["vertical"].to_pylist()])
    write_evaluations(config, DAY, "feed", feed)
    assert Lineage(config).outdated("verdicts_feed", DAY) is None


def test_partitions_come_in_the_order_of_the_day_and_models_have_no_rows(config: PlatformConfig) -> None:
    found = partitions(Lineage(config), DAY)
    assert [p.table for p in found[:3]] == ["quarantine", "events", "gate_results_events"]
    assert found[-1].table == "verdicts_feed"
    assert {p.table for p in found if p.rows is None} == {"fm_snapshots", "candidates_feed", "baselines_feed"}


CHAIN = ["fm_snapshots", "fm_outputs", "vertical_examples", "evaluations_feed", "verdicts_feed"]


def chain(days: list[date]) -> dict[str, dict[str, Any]]:
    """Manifests of days, each of whose partitions is made from the one before it, the first from the day before."""
    manifests: dict[str, dict[str, Any]] = {}
    before = ""
    for day in days:
        for table in CHAIN:
            inputs = {before: f"hash of {before}"} if before else {}
            extra = verdict(day, "feed").to_json() if table == "verdicts_feed" else {}
            before = f"{table}/ds={day}"
            manifests[before] = {"content_hash": f"hash of {before}", "inputs": inputs, "extra": extra}
    return manifests


def test_years_of_days_are_gone_through_once_for_all_verdicts(
    tiny_config: PlatformConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    days = [DAY + timedelta(days=n) for n in range(1500)]
    manifests, reads = chain(days), Counter[str]()

    def read_manifest(config: PlatformConfig, table: str, day: date) -> dict[str, Any]:
        reads[f"{table}/ds={day}"] += 1
        return manifests[f"{table}/ds={day}"]

    monkeypatch.setattr(storage, "has_partition", lambda config, table, day: f"{table}/ds={day}" in manifests)
    monkeypatch.setattr(storage, "read_manifest", read_manifest)
    # The newest day is asked first: its answer goes back through all of them.
    lineage = Lineage(tiny_config)
    assert lineage.outdated("verdicts_feed", days[-1]) is None
    assert list(verdicts_until(lineage, "feed", days[-1])) == days
    assert max(reads.values()) == 2  # a verdict's own figures are read besides

    reads.clear()
    manifests[f"fm_outputs/ds={days[700]}"]["content_hash"] = "of another run"
    lineage = Lineage(tiny_config)
    told = f"vertical_examples of {days[700]} was made from an earlier fm_outputs of {days[700]}"
    assert lineage.outdated("verdicts_feed", days[-1]) == told
    assert lineage.outdated("verdicts_feed", days[700]) == "vertical_examples was made from an earlier fm_outputs"
    assert lineage.outdated("verdicts_feed", days[699]) is None
    assert list(verdicts_until(lineage, "feed", days[-1])) == days[:700]
    assert max(reads.values()) == 2
