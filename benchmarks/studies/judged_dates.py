"""On how many dates should the trials of a search be judged? What the kept table of ranking models tells.

    python -m benchmarks.studies.judged_dates

Every model of the table was trained over KuaiRand-Pure in one pass. Known are its NE of each date, every batch judged
just before it is learnt, and its NE on the last three dates, each judged before any of it is learnt. Scores are the
mean NE of the newest so many dates before those three, and the NE on the three dates by which the table's models are
chosen, judged as the last ones are. Asked is how well a score orders the models by the last three dates, and how good
the model is that it likes best of a hundred.
"""

from typing import Any

import numpy as np
import numpy.typing as npt

from benchmarks.report import report
from benchmarks.studies.command_line import study_parser
from benchmarks.studies.rank_agreement import agreement, difference
from benchmarks.studies.ranking_table import REPORTED_ON, kept_table
from search.choices import Array
from search.trials import Row

DATES = (1, 2, 3, 4, 5, 6, 8)
AHEAD = "three, judged before they are learnt"
SEARCHED, SEARCHES = 100, 2000  # models of a search, and how many searches are drawn


def main() -> None:
    """Reports what the table tells."""
    a = study_parser(__doc__, seeds=1, quick="nothing is kept").parse_args()
    report(
        "judged_dates",
        figures([row for row in kept_table() if row["seed"] == 0]),
        command="python -m benchmarks.studies.judged_dates",
        packages=["scipy"],
        keep=not a.quick,
    )


def figures(rows: list[Row]) -> dict[str, Any]:
    """Computes, for each score, how it agrees with the last dates, and what its choice is worth there.

    Args:
        rows: of the table, a model each.
    """
    later = np.array([row["ne_later"] for row in rows])
    curves = np.array([row["curve"] for row in rows])[:, :-REPORTED_ON]
    scores = {str(dates): curves[:, -dates:].mean(1) for dates in DATES}
    scores[AHEAD] = np.array([row["ne"] for row in rows])
    rng = np.random.default_rng(0)
    drawn = np.array([rng.choice(len(rows), min(SEARCHED, len(rows)), replace=False) for _ in range(SEARCHES)])
    return {
        "models": len(rows),
        "best_of_a_search": round(float(later[drawn].min(1).mean()), 5),
        "scores": {name: _worth(score, later, drawn) for name, score in scores.items()},
        "spearman_less_that_of_three_ahead": {
            name: difference(score, scores[AHEAD], later) for name, score in scores.items() if name != AHEAD
        },
    }


def _worth(score: Array, later: Array, drawn: npt.NDArray[np.int64]) -> dict[str, Any]:
    chosen = later[drawn[np.arange(len(drawn)), score[drawn].argmin(1)]]
    better = (later[drawn] < chosen[:, None]).mean(1)
    agrees = agreement(score, later)
    return {
        "spearman": agrees["spearman"] if agrees else None,
        "chosen_ne": round(float(chosen.mean()), 5),
        "share_that_is_better": round(float(better.mean()), 3),
    }


if __name__ == "__main__":
    main()
