"""The platform's own model among the trials of a search: what a trial must be better than."""

import json
from typing import Any

from filelock import FileLock

import storage
from search.study import Study
from search.targets import Trials

CHAMPION_FILE = "champion.json"


def champion_ne(study: Study, trainer: Trials) -> float:
    """Returns the NE of the platform's own model, trained and judged as a trial is; kept until the model is another.

    Raises:
        ValueError: its NE is not defined.
    """
    with FileLock(study.folder / ".champion.lock"):
        kept = _kept(study)
        if kept is not None and kept["platform"] == trainer.platform:
            return float(kept["ne"])
        judged = trainer.train(None, seed=study.settings.seed, what=f"{study.name}, the platform's own model")
        ne = trainer.objective(judged)
        if not ne < float("inf"):
            raise ValueError("NE of the platform's own model is not defined: the judged rows have one label only")
        with storage.replace_file(study.folder / CHAMPION_FILE) as file:
            file.write_text(json.dumps({"ne": ne, "platform": trainer.platform}))
    return ne


def kept_champion_ne(study: Study) -> float | None:
    """Returns the same where it is known, else None."""
    kept = _kept(study)
    return None if kept is None else float(kept["ne"])


def _kept(study: Study) -> dict[str, Any] | None:
    path = study.folder / CHAMPION_FILE
    return dict(json.loads(path.read_text())) if path.exists() else None
