"""Metrics of a server are its own."""

import subprocess
import sys

from config import ROOT

SERVERS = """
import feast.metrics
from serving.metrics import Metrics

first = Metrics(seconds_since_check=lambda: 7.0)
first.fallbacks.inc()
second = Metrics(seconds_since_check=lambda: 7.0)
registries = first.registry, second.registry
print([registry.get_sample_value("headwater_fallbacks_total") for registry in registries])
print(second.registry.get_sample_value("headwater_alias_check_age_seconds"))
"""


def test_servers_share_no_values_though_feast_was_imported_first() -> None:
    done = subprocess.run(
        [sys.executable, "-c", SERVERS], cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True, timeout=120
    )
    assert done.stdout.split("\n")[:2] == ["[1.0, 0.0]", "7.0"]
