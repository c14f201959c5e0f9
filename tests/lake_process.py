"""A process of its own that reads or writes the lake, beside the test or to be killed."""

import subprocess
import sys
from datetime import date

from config import ROOT, PlatformConfig


def lake_process(config: PlatformConfig, day: date, lines: str) -> subprocess.Popen[str]:
    """Starts a process that runs some lines with `storage`, `config` and the day as `DAY`."""
    script = f"""
import itertools, sys, time, datetime
sys.path.insert(0, {str(ROOT)!r})
import pyarrow as pa, pyarrow.parquet
import storage
from config import PlatformConfig
config, DAY = PlatformConfig.model_validate_json(sys.stdin.read()), datetime.date.fromisoformat("{day}")
{lines}
"""
    command = [sys.executable, "-c", script]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdin
    process.stdin.write(config.model_dump_json())
    process.stdin.close()
    return process
