"""The platform's own model among the trials of a search: what a trial must be better than."""

import json

from filelock import FileLock

import storage
from search.study import Study
from search.targets import Trials

CHAMPION_FILE = "champion.json"


def champion_ne(study: Study, trainer: Trials) -> float:
    """Returns the NE of the platform's own model, trained and judged as a trial is; once, and kept with the search.

    Raises:
        ValueError: its NE is not defined.
    """
    with FileLock(study.folder / ".champion.lock"):
        known = kept_champion_ne(study)
        if known is None:
            judged = trainer.train(None, seed=study.settings.seed, what=f"{study.name}, the platform's own model")
            known = float(judged.figures["ne"])
            if not known < float("inf"):
                raise ValueError("NE of the platform's own model is not defined: the judged rows have one label only")
            with storage.replace_file(study.folder / CHAMPION_FILE) as file:
                file.write_text(json.dumps({"ne": known}))
    return known


def kept_champion_ne(study: Study) -> float | None:
    """Returns the same where it is known, else None."""
    path = study.folder / CHAMPION_FILE
    return float(json.loads(path.read_text())["ne"]) if path.exists() else None
