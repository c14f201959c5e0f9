"""Ends a search: its best models and the platform's own are trained again and judged on later days.

- **Reads:** the search's trials; `examples` of its days and of the later ones that it kept.
- **Writes:** in the search's folder: the figures, and `winner.patch` where a model is better; its page beside the day
  reports; the run of the search in MLflow's experiment `search`.

Every model is trained with several seeds. The one that is best on the search's dates wins if, on the later days, both
95 % intervals of its NE minus that of the platform's own model, over users and over seeds, lie below 0. Nothing that
serves is changed: a person applies the patch to platform.yaml, and from the next day on the new model is trained beside
everything else that the daily gates judge.
"""

import logging
from typing import Any

import mlflow
import torch

import storage
from config import PlatformConfig, platform_file
from jobs._search_page import PATCH_FILE, write_search_page
from search.conclusion import CONCLUSION_FILE, Conclusion, conclude
from search.patch import patch
from search.run_trial import study_run
from search.study import Study
from search.targets import Trials, finals_of, load_study, trials_of
from training.tracking import tracking_client

LOG = logging.getLogger("headwater.search")


def main(config: PlatformConfig, *, study: str, finalists: int = 3, seeds: int = 3) -> dict[str, Any]:
    """Concludes the search; what an interrupted attempt has trained is used again.

    Args:
        config: the platform.
        study: name of the search.
        finalists: how many of its best models are trained again.
        seeds: how often each.

    Returns:
        study; verdict: in words; winner: number of its trial, None where nothing is better; patch and page: their
        files.

    Raises:
        FileNotFoundError: there is no such search.
        ValueError: no trial of it has ended well.
    """
    opened = load_study(config, study)
    torch.set_num_threads(config.runtime.torch_threads)
    concluded = conclude(opened, finals_of(config, opened), finalists=finalists, seeds=seeds)
    LOG.info("%s", concluded.verdict)
    patched = _patch(opened, trials_of(config, opened), concluded)
    _track(config, opened, concluded)
    page = write_search_page(config, opened)
    winner = next((one.number for one in concluded.finalists if one.model == concluded.winner), None)
    return {"study": study, "verdict": concluded.verdict, "winner": winner, "patch": patched, "page": str(page)}


def _patch(study: Study, trainer: Trials, concluded: Conclusion) -> str | None:
    """Writes the change of platform.yaml that makes the winner the platform's own; removes one that is overtaken."""
    path = study.folder / PATCH_FILE
    won = [record for record in study.records() if record.key == concluded.winner]
    if not won:
        path.unlink(missing_ok=True)
        return None
    with storage.replace_file(path) as file:
        changes = trainer.settings(won[0].trial.params)
        file.write_text(patch(platform_file(), trainer.place, changes, of=trainer.section))
    LOG.info("to make it the platform's own: git apply %s", path)
    return str(path)


def _track(config: PlatformConfig, study: Study, concluded: Conclusion) -> None:
    run_id = study_run(config, study)
    client = tracking_client(config)
    client.set_tag(run_id, "verdict", concluded.verdict)
    figures = {"current_ne": concluded.current.ne, "best_ne": concluded.finalists[0].ne}
    mlflow.log_metrics(figures, run_id=run_id, synchronous=True)
    for name in (CONCLUSION_FILE, PATCH_FILE):
        if (study.folder / name).exists():
            client.log_artifact(run_id, str(study.folder / name))
