"""On how many dates models should be judged: figures of models whose order is known."""

import numpy as np
import pytest

from benchmarks.studies.judged_dates import SEARCHED, figures
from benchmarks.studies.ranking_table import REPORTED_ON


def rows(count):
    """Models whose NE later is their number, as on the date before; on all earlier ones it is the other way round."""
    for n in range(count):
        curve = [1 - n / count] * 10 + [n / (2 * count)] + [0.5] * REPORTED_ON
        yield {"seed": 0, "ne": 0.5, "ne_later": n / count, "curve": curve}


def test_a_score_is_worth_what_its_choice_is_later():
    found = figures(list(rows(200)))
    one, eight = found["scores"]["1"], found["scores"]["8"]
    assert (one["spearman"]["mean"], eight["spearman"]["mean"]) == (1.0, -1.0)
    assert one["share_that_is_better"] == 0.0 and one["chosen_ne"] == found["best_of_a_search"]
    assert eight["share_that_is_better"] == pytest.approx(1 - 1 / SEARCHED)
    assert eight["chosen_ne"] == pytest.approx(np.mean([200 - n for n in (1, 2)]) / 200, abs=0.01)
