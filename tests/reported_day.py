"""A small whole day in storage, up to the verdicts: what write_report reads. Models are two tensors, not networks."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from safetensors.numpy import save_file

import storage
from config import PlatformConfig
from data.sources import source_schema
from quality.day_quality import STAGES, results_table
from quality.promotion_verdict import PromotionVerdict
from tests.clean_tables import clean_tables, write_tables

CHECK = {"suite": "events_rows", "expectation": "expect_x", "column": "label", "severity": "warning", "observed": "1"}


def write_day(config: PlatformConfig, day: date, *, verticals: list[str], quarantined: int = 0) -> None:
    """Commits all tables of a day; those of a vertical for `verticals` only."""
    tables = clean_tables(config, source_schema(config), day)
    write_tables(config, day, tables, quarantined=quarantined)
    storage.write_partition(config, "quarantine", day, tables["events"].slice(0, quarantined))
    for stage, names in STAGES.items():
        rows = [CHECK | {"table": names[0], "success": ok, "message": f"{stage} <checked>"} for ok in (True, False)]
        with made_from(config, day, *names):
            storage.write_partition(config, results_table(stage), day, pa.Table.from_pylist(rows))
    examples = tables["examples"].select(
        ["impression_id", "user_id", "item_id", "event_timestamp", "label", "vertical"]
    )
    write_foundation(config, day, examples)
    for vertical in verticals:
        write_vertical(config, day, vertical, examples.filter(pc.equal(examples["vertical"], vertical)))


@contextmanager
def made_from(config: PlatformConfig, day: date, *tables: str) -> Iterator[None]:
    """Records these tables' partitions of the day as inputs of what is committed in the block."""
    with storage.recorded_reads():
        for table in tables:
            storage.read_manifest(config, table, day)
        yield


def write_foundation(config: PlatformConfig, day: date, examples: pa.Table) -> None:
    """Commits outputs (the first quarter without soft label), a snapshot of 12 parameters, and the history snapshot."""
    scored_rows = np.arange(examples.num_rows) >= examples.num_rows // 4
    outputs = examples.append_column(
        "soft_label", pa.array(np.full(len(scored_rows), 0.3, np.float32), mask=~scored_rows)
    )
    until = pc.min(examples["event_timestamp"].filter(pa.array(scored_rows)))
    learnt = pa.array([until.as_py() if scored else None for scored in scored_rows], until.type)
    outputs = outputs.append_column("fm_learnt_until", learnt)
    previous = storage.previous_day(config, day)
    version = f"fm-of-{previous}" if previous else f"{day}-half"
    extra = {"fm_version": f"fm-of-{day}", "metrics": {"ne": 0.7}, "scored_unseen": {"ne": 0.75}}
    with made_from(config, day, "examples"):
        scored = {"learnt_until": until.as_py().isoformat(), "scored_at": f"{day}T06:30:00+00:00"}
        storage.write_partition(config, "fm_outputs", day, outputs, extra={"fm_version": version} | scored)
        storage.write_partition(config, "fm_evaluations", day, examples)
    with (
        made_from(config, day, "examples"),
        storage.commit_partition(config, "fm_snapshots", day, extra=extra) as folder,
    ):
        save_file({"a.weight": np.zeros((2, 4), np.float32)}, folder / "model-00000.safetensors")
        save_file({"b.weight": np.zeros((1, 4), np.float32)}, folder / "model-00001.safetensors")
    users = pc.unique(examples["user_id"])[:-1]  # one user has no history
    end = storage.day_ends(config, day)[-1]
    history = pa.table({"user_id": users, "event_timestamp": pa.array([end] * len(users))})
    with made_from(config, day, "fm_outputs"):
        storage.write_partition(config, "user_fm_history", day, history)
        storage.write_partition(config, "item_fm_embedding", day, history)
    with made_from(config, day, "user_fm_history"):
        storage.write_partition(config, "vertical_examples", day, outputs)


def write_vertical(config: PlatformConfig, day: date, vertical: str, rows: pa.Table) -> None:
    """Commits candidate, baseline, evaluations of `rows`, and a verdict that promotes."""
    description = {
        "settings": {"architecture": "dnn", "hyperparameters": {"hidden": [4]}},
        "features": {"num_embeddings": {"item_id": 5}, "dense": ["user_ctr_1d"], "history_length": 3},
        "use_history": True,
    }
    tensors = {"embeddings.item_id.weight": (5, 2), "head.weight": (1, 3), "norm.running_mean": (7,)}
    for table in ("candidates", "baselines"):
        extra = {"weights": f"weights-{day}"}
        with (
            made_from(config, day, "vertical_examples"),
            storage.commit_partition(config, f"{table}_{vertical}", day, extra=extra) as folder,
        ):
            (folder / "model").mkdir()
            (folder / "model" / "model.json").write_text(json.dumps(description))
            zeros = {name: np.zeros(shape, np.float32) for name, shape in tensors.items()}
            save_file(zeros, folder / "model" / "model.safetensors")
    write_evaluations(config, day, vertical, rows)
    judged = verdict(day, vertical).to_json()
    with made_from(config, day, f"evaluations_{vertical}"):
        storage.write_partition(config, f"verdicts_{vertical}", day, pa.table({"vertical": [vertical]}), extra=judged)


def write_gain_parts(config: PlatformConfig, day: date, vertical: str, parts: dict[str, float]) -> None:
    """Commits parts of the gain as track_transfer does; their intervals reach 0.01 to both sides."""
    by_name = {n: {"what": f"what {n} is", "value": v, "low": v - 0.01, "high": v + 0.01} for n, v in parts.items()}
    table = pa.table({"part": list(parts), "gain": list(parts.values())})
    extra = {"ne": {"none": 0.9}, "parts": by_name}
    with made_from(config, day, "vertical_examples"):
        storage.write_partition(config, f"gain_parts_{vertical}", day, table, extra=extra)


def write_evaluations(
    config: PlatformConfig, day: date, vertical: str, rows: pa.Table, *, candidate: float = 0.5
) -> None:
    """Commits held-out rows: the candidate predicts one value, the FM the label; half of the rows have a history."""
    count = rows.num_rows
    rows = rows.append_column("candidate", pa.array(np.full(count, candidate, np.float32)))
    rows = rows.append_column("fm", rows["label"].cast(pa.float32()))
    history = [["a1"] if n % 2 else None for n in range(count)]
    rows = rows.append_column("fm_history_item_ids", pa.array(history, pa.list_(pa.string())))
    with made_from(config, day, "fm_evaluations"):
        storage.write_partition(config, f"evaluations_{vertical}", day, rows)


def verdict(day: date, vertical: str) -> PromotionVerdict:
    """Returns a verdict as promote_vertical commits it: no champion, no headroom, a gAUC that is undefined."""
    metrics = {"rows": 60, "log_loss": 0.5, "auc": 0.6, "gauc": None, "calibration": 1.0, "ece": 0.2}
    undefined = {"value": None, "low": None, "high": None}
    layer = {"slope": 0.9, "intercept": -0.12, "days": ["2026-01-01"], "rows": 70, "clicks": 20}
    return PromotionVerdict(
        day=day,
        vertical=vertical,
        winner="candidate",
        reasons=["NE 0.9100 < 1, the base rate's (there is no champion)"],
        versions={"candidate": "3", "baseline": "2", "champion": None},
        metrics={
            "baseline": metrics | {"ne": 0.9},
            "candidate": metrics | {"ne": 0.91},
            "champion": None,
            "fm": metrics | {"ne": 0.95},
        },
        uncalibrated={"candidate": metrics | {"ne": 0.93, "ece": 0.25, "calibration": 1.31}},
        calibration={"candidate": layer},
        transfer_ratio_missing="there was no champion before the candidate",
        intervals={
            "ne_candidate_minus_baseline": {"value": 0.01, "low": -0.02, "high": 0.04},
            "ne_fm_minus_baseline": {"value": 0.05, "low": None, "high": None},
            "headroom_ratio": undefined,
        },
        warnings=["FM no better than the baseline: NE 0.9500 against 0.9000"],
    )
