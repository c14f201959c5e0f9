from datetime import date, timedelta

import pyarrow as pa
import pytest

import storage
from config import PlatformConfig
from reports.lineage import missing, outdated, partitions
from tests.reported_day import made_from, write_day, write_evaluations

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
    assert outdated(config, "verdicts_feed", DAY) is None
    rows = storage.read_partition(config, "fm_evaluations", DAY)
    storage.write_partition(config, "fm_evaluations", DAY, rows.slice(1))
    assert outdated(config, "verdicts_feed", DAY) == "evaluations_feed was made from an earlier fm_evaluations"
    changed = {p.table: [i.name for i in p.inputs if i.changed] for p in partitions(config, DAY)}
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
    assert outdated(config, "vertical_examples", later) is None
    with storage.recorded_reads(), storage.commit_partition(config, "fm_snapshots", DAY) as folder:
        (folder / "model-00000.safetensors").write_bytes(b"another model")
    assert snapshots.is_dir()
    told = f"fm_outputs was made from an earlier fm_snapshots of {DAY}"
    assert outdated(config, "vertical_examples", later) == told
    rows = storage.read_partition(config, "examples", DAY)
    storage.write_partition(config, "examples", DAY, rows.slice(1))
    assert "was made from an earlier" in str(outdated(config, "vertical_examples", later))


def test_writing_the_same_content_again_outdates_nothing(config: PlatformConfig) -> None:
    rows = storage.read_partition(config, "fm_evaluations", DAY)
    feed = rows.filter([value == "feed" for value in rows["vertical"].to_pylist()])
    write_evaluations(config, DAY, "feed", feed)
    assert outdated(config, "verdicts_feed", DAY) is None


def test_partitions_come_in_the_order_of_the_day_and_models_have_no_rows(config: PlatformConfig) -> None:
    found = partitions(config, DAY)
    assert [p.table for p in found[:3]] == ["quarantine", "events", "gate_results_events"]
    assert found[-1].table == "verdicts_feed"
    assert {p.table for p in found if p.rows is None} == {"fm_snapshots", "candidates_feed", "baselines_feed"}
