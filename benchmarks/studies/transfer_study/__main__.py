"""The transfer study: what of a foundation model's knowledge reaches its vertical models, and by which way.

    python -m benchmarks.studies.transfer_study --data-set kuairand --path ~/KuaiRand-Pure/data

Every run is one line of `runs.jsonl` in the work folder. A study that was stopped continues where it was; `--report`
only reads. Runs come in the order in which they are worth having, so a part of a study is a study.
"""

import argparse
import json
import logging
import time
from collections.abc import Iterator
from datetime import timedelta
from itertools import chain
from pathlib import Path
from typing import Any

import torch

from benchmarks.report import RESULTS, report
from benchmarks.studies.command_line import study_parser
from benchmarks.studies.transfer_study.claims import write_claims
from benchmarks.studies.transfer_study.execute import Study
from benchmarks.studies.transfer_study.log import study_log
from benchmarks.studies.transfer_study.page import write_page
from benchmarks.studies.transfer_study.plan import DATA_SETS, Distilling, Features, Run, first, rest, tuned
from benchmarks.studies.transfer_study.plots import plots
from benchmarks.studies.transfer_study.results import Results, figures, summary
from benchmarks.studies.whole_log import whole_log
from config import ROOT, load_config
from search.trials import execute


def main() -> None:
    """Runs what is missing, then reports what there is."""
    parser = study_parser(__doc__, seeds=5, quick="a few runs of one seed; figures are not kept")
    parser.add_argument("--data-set", choices=DATA_SETS, required=True)
    parser.add_argument("--path", help="folder of the data set's files, where they are not fetched or generated")
    a = parser.parse_args()
    logging.basicConfig(level=logging.WARNING)
    torch.set_num_threads(1)  # VM batches are too small to share
    work = a.work / a.data_set
    work.mkdir(parents=True, exist_ok=True)
    runs = work / "runs.jsonl"
    if not a.report:
        _execute(a, work, runs)
    results = figures(Results.read(runs))
    if not a.quick:
        plots(results, a.data_set, ROOT / "docs" / "images")
    command = f"python -m benchmarks.studies.transfer_study --data-set {a.data_set} --seeds {a.seeds}"
    kept, packages = not a.quick, ["torch", "torchrec"]
    report(f"transfer_study_{a.data_set}", results, command=command, packages=packages, keep=kept)
    if kept:
        write_claims()
        write_page()
    summaries = _summaries() | {a.data_set: summary(results)}
    report("transfer_study", summaries, command=command, packages=packages, keep=kept)


def _summaries() -> dict[str, Any]:
    """Reads the summaries of the data sets studied so far."""
    kept = RESULTS / "transfer_study.json"
    return json.loads(kept.read_text())["figures"] if kept.exists() else {}


def _execute(a: argparse.Namespace, work: Path, runs: Path) -> None:
    data_set, deadline = DATA_SETS[a.data_set], time.monotonic() + a.minutes * 60
    first_day = load_config(ROOT / "platform.yaml").sources[a.data_set].first_day
    config, day = whole_log(
        a.data_set,
        work / "log",
        path=a.path,
        last_day=first_day + timedelta(days=data_set.days - 1) if data_set.days else None,
        events_per_day=data_set.events_per_day,
    )
    study = Study(config, day, study_log(config, day), data_set, work)
    if a.quick:
        planned, more = list(first(config.verticals, seeds=1))[:10], []
    else:
        planned, more = list(first(config.verticals, seeds=a.seeds)), list(rest(config.verticals, seeds=a.seeds))
    execute(
        chain(planned, () if a.quick else _tuned(runs, a.seeds), more),
        runs,
        study.run,
        total=len(planned) + len(more),
        describe=lambda run: f"{a.data_set}: {run.vertical} {run.kind} {run.arm}, seed {run.seed}",
        minutes=(deadline - time.monotonic()) / 60,
    )


def _tuned(runs: Path, seeds: int) -> Iterator[Run]:
    """Yields the runs with each vertical's best distillation, which is looked up when the first is asked for."""
    best: dict[tuple[str, Features], Distilling] = {}
    for row in sorted((r for r in Results.read(runs).rows if r["validation"]), key=lambda r: -r["ne"]):
        best[row["vertical"], row["features"]] = Distilling(**row["distilling"])
    yield from tuned(best, seeds=seeds)


if __name__ == "__main__":
    main()
