"""Makes one trial of a search: asks what to try next, trains it, judges it, records it.

- **Reads:** the search's settings and trials; `examples` of its days.
- **Writes:** the trial, in the search's folder; its run in MLflow's experiment `search`; the search's page.

A trial that fails, diverges or takes too long is recorded as such and counts. One whose process was killed is taken up
by the next process, under the same number. Where the search's budget is spent, there is nothing to do.
"""

from typing import Any

import torch

from config import PlatformConfig
from jobs._search_page import write_search_page
from search.run_trial import run_next
from search.targets import load_study, trials_of


def main(config: PlatformConfig, *, study: str, limit_s: float = 3600.0) -> dict[str, Any]:
    """Makes the trial.

    Args:
        config: the platform.
        study: name of the search.
        limit_s: most seconds of the trial.

    Returns:
        trial: its number; status; ne; or {"skipped": reason}.

    Raises:
        FileNotFoundError: there is no such search.
        StudyDiffers: platform.yaml has changed, so that a trial could not be compared with those there are.
    """
    opened = load_study(config, study)
    if opened.settings.source != config.data_source:
        raise ValueError(f"the search {study} is of {opened.settings.source}, not of {config.data_source}")
    torch.set_num_threads(config.runtime.torch_threads)
    ended = run_next(config, opened, trials_of(config, opened), limit_s=limit_s)
    if ended is None:
        return {"skipped": f"the search {study} has spent its budget, or nothing is left to try"}
    write_search_page(config, opened)
    return {"trial": ended.trial.number, "status": ended.trial.status, "ne": ended.trial.objective}
