"""The command line of the jobs: results, errors, exit codes."""

import json
import subprocess
import sys
from datetime import date
from types import ModuleType

import pytest

import jobs.__main__ as command_line
from config import ROOT


@pytest.fixture
def job(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """A job of this test's own, in place of ingest."""
    module = ModuleType("jobs.ingest")
    monkeypatch.setitem(sys.modules, "jobs.ingest", module)
    return module


def test_the_last_line_is_strict_json(job: ModuleType, capsys: pytest.CaptureFixture):
    def main(config, *, day: date, vertical: str = "all") -> dict:
        return {"day": day, "vertical": vertical, "ratio": float("nan"), "metrics": {"auc": float("inf"), "rows": 3}}

    job.main = main
    assert command_line.main(["ingest", "--day", "2026-01-02"]) == 0

    def refuse(constant: str) -> None:
        raise ValueError(f"{constant} is not JSON")

    result = json.loads(capsys.readouterr().out.splitlines()[-1], parse_constant=refuse)
    expected = {"day": "2026-01-02", "vertical": "all", "ratio": None, "metrics": {"auc": None, "rows": 3}}
    assert result == expected


def test_a_job_that_others_do_not_wait_for_lets_them_go_first(job: ModuleType, monkeypatch: pytest.MonkeyPatch):
    from jobs import track_transfer

    asked: list[int] = []
    monkeypatch.setattr(command_line.os, "nice", asked.append)  # it could not be taken back
    job.main = lambda config: None
    assert command_line.main(["ingest"]) == 0 and asked == [0]
    job.NICENESS = track_transfer.NICENESS
    assert command_line.main(["ingest"]) == 0 and asked == [0, 10]


def test_a_failure_is_one_clear_line(job: ModuleType, capsys: pytest.CaptureFixture):
    def main(config, *, day: date) -> None:
        raise ValueError("the log has no day like this")

    job.main = main
    assert command_line.main(["ingest", "--day", "2026-01-02"]) == 1
    assert capsys.readouterr().err.splitlines()[-1] == "error: ingest: ValueError: the log has no day like this"


def test_unknown_jobs_and_bad_configurations_exit_with_2(capsys: pytest.CaptureFixture, tmp_path):
    assert command_line.main(["ingset"]) == 2
    assert "no job named 'ingset'; jobs: check_quality" in capsys.readouterr().err
    bad = tmp_path / "platform.yaml"
    bad.write_text("data_source: nowhere")
    assert command_line.main(["plan_day", "--day", "2026-01-02", "--config", str(bad)]) == 2
    assert f"{bad}:1: " in capsys.readouterr().err


def test_alone_it_lists_the_jobs():
    listed = subprocess.run([sys.executable, "-m", "jobs"], cwd=ROOT, capture_output=True, text=True, check=True)
    assert "train_foundation" in listed.stdout and listed.stderr == ""
