"""Tiny days of the synthetic log through every job, without Airflow, and what must hold of them wherever kept."""

import json
import os
import subprocess
import sys
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

import storage
from config import ROOT, PlatformConfig, load_config
from data.schema import FEATURE_SERVICE
from feature_repo.store import open_store
from jobs import (
    check_quality,
    distill_vertical,
    extract_features,
    ingest,
    materialize_features,
    promote_vertical,
    track_transfer,
    train_foundation,
    write_report,
)
from serving.registry import CHAMPION
from training.tracking import tracking_client

DAYS = [date(2026, 1, 2), date(2026, 1, 3), date(2026, 1, 4)]  # the first covers two days of the log
VERTICAL = "feed"


def tiny_platform(folder: Path, **stores: str) -> PlatformConfig:
    """Returns the shipped platform on a tiny synthetic log, kept in a folder and on the given stores."""
    return load_config(ROOT / "platform.yaml").changed(
        data_source="synthetic",
        sources={"synthetic": {"events_per_day": 2500, "bootstrap_days": 2}},
        # A tiny log, tiny models: with so few clicks the kind that serves stays, whether it is the better one or not.
        gates={"ne_tolerance": 0.5, "calibration": (0.1, 10.0), "min_eval_clicks": 10_000},
        storage={"root": str(folder / "state"), "feature_repo": str(folder / "feature_repo"), **stores},
    )


def promote_by_hand(config: PlatformConfig, version: Any) -> None:
    """Makes a version champion: with so few clicks the gate lets no candidate be the first."""
    tracking_client(config).set_registered_model_alias(storage.registered_model(VERTICAL), CHAMPION, version)


def shared_jobs(config: PlatformConfig, day: date) -> dict[str, Any]:
    """Runs, on a day that is landed, what all verticals share; returns what training and materialising returned."""
    check_quality.main(config, day=day, stage="events")
    extract_features.main(config, day=day)
    check_quality.main(config, day=day, stage="features")
    return {
        "train_foundation": train_foundation.main(config, day=day),
        "materialize_features": materialize_features.main(config, day=day),
    }


def run_day(config: PlatformConfig, day: date) -> dict[tuple[str, date], dict[str, Any]]:
    """Runs every job of a day; returns what each returned."""
    results: dict[str, Any] = {"ingest": ingest.main(config, day=day)}
    results |= shared_jobs(config, day)
    results["distill"] = distill_vertical.main(config, day=day, vertical=VERTICAL)
    results["promote"] = promote_vertical.main(config, day=day, vertical=VERTICAL)
    results["track"] = track_transfer.main(config, day=day, verticals=VERTICAL)
    results["report"] = write_report.main(config, day=day)
    return {(job, day): result for job, result in results.items()}


def assert_online_is_offline(config: PlatformConfig) -> None:
    """Asserts that the online store holds what the offline store knows of the same instant, the end of DAYS."""
    at = storage.day_ends(config, DAYS[-1])[-1]
    rows = storage.read_partition(config, "examples", DAYS[-1], columns=["user_id", "item_id"]).slice(0, 40)
    pairs = rows.to_pandas().drop_duplicates()
    store = open_store(config)
    service = store.get_feature_service(FEATURE_SERVICE)
    offline = store.get_historical_features(
        pairs.assign(event_timestamp=at), service, filter_by_created_timestamp=True
    ).to_df()
    online = store.get_online_features(service, pairs.to_dict("records")).to_df()
    offline = offline.set_index(["user_id", "item_id"]).loc[list(pairs.itertuples(index=False, name=None))]
    online = online.set_index(["user_id", "item_id"])
    assert len(online.columns) > 20
    for name in online.columns:
        for a, b in zip(offline[name], online[name], strict=True):
            same = (a is None or a is pd.NA or (np.isscalar(a) and pd.isna(a))) and b is None
            assert same or np.array_equal(np.asarray(a), np.asarray(b)), name


def score_in_a_process_of_its_own(config: PlatformConfig, pairs: pd.DataFrame, alias: str = CHAMPION) -> dict[str, Any]:
    """Returns what `mlflow models serve` answers to a request, and which modules that loaded."""
    script = """
import json, sys
import mlflow, pandas as pd
model = mlflow.pyfunc.load_model(sys.argv[1])
answer = model.predict(pd.read_json(sys.stdin, dtype=str))
loaded = [m for m in sys.modules if m.startswith(("models.foundation", "torchrec", "fbgemm"))]
print(json.dumps({"probability": answer["probability"].tolist(), "loaded": loaded}))
"""
    env = os.environ | {
        "MLFLOW_TRACKING_URI": storage.mlflow_tracking_uri(config),
        "MLFLOW_ALLOW_PICKLE_DESERIALIZATION": "false",
    }
    uri = f"models:/{storage.registered_model(VERTICAL)}@{alias}"
    command = [sys.executable, "-W", "ignore", "-c", script, uri]
    request = pairs.to_json(orient="records")
    done = subprocess.run(command, input=request, env=env, capture_output=True, text=True, cwd="/", check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads([line for line in done.stdout.splitlines() if line.startswith("{")][-1])
