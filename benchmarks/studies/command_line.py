"""The command line that every study has."""

import argparse
from pathlib import Path

from config import ROOT


def study_parser(description: str | None, *, seeds: int, quick: str, kuairand: bool = False) -> argparse.ArgumentParser:
    """Builds the parser with the options that every study has; it adds its own.

    Args:
        description: of the study.
        seeds: how many by default.
        quick: what `--quick` does.
        kuairand: whether it needs that log, which the platform does not come with.
    """
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, default=ROOT / ".headwater" / "studies", help="keeps logs, FMs and runs")
    parser.add_argument("--seeds", type=int, default=seeds, help=f"(default {seeds})")
    parser.add_argument("--minutes", type=float, default=float("inf"), help="stop before a run that would begin later")
    parser.add_argument("--report", action="store_true", help="only report the runs there are")
    parser.add_argument("--quick", action="store_true", help=quick)
    if kuairand:
        parser.add_argument("--kuairand", help="folder of KuaiRand-Pure's files")
    return parser
