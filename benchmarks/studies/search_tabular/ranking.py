"""How well small networks rank what they have not seen, after 160 trainings."""

from dataclasses import replace

import numpy as np
import torch
from scipy.stats import kendalltau

from benchmarks.studies.search_tabular.tables import Table
from search.ensemble import Fit, fitted, standardized, standardized_ranks

TRAINED = 160
SHIPPED = Fit()
SQUARED = replace(SHIPPED, ranking=0.0, squared=1.0)
# A name says how many nets, their loss, and whether labels are the objective itself or its ranks.
PREDICTORS: dict[str, tuple[Fit, bool]] = {
    "ten_ranking": (SHIPPED, True),
    "one_ranking": (replace(SHIPPED, nets=1), True),
    "ten_mse": (SQUARED, False),
    "one_mse": (replace(SQUARED, nets=1), False),
    "one_mse_on_ranks": (replace(SQUARED, nets=1), True),
}


def held_out_tau(table: Table, predictor: str, *, seed: int) -> float:
    """Fits to random rows as one training shows them; Kendall's τ with the mean objective of all other rows."""
    fit, ranks = PREDICTORS[predictor]
    rows = np.random.default_rng([seed, 3]).permutation(len(table.values))
    learnt, judged = rows[:TRAINED], rows[TRAINED:]
    seen = torch.from_numpy(table.observed(seed)[learnt]).float()
    label = standardized_ranks(seen) if ranks else standardized(seen)
    codes = torch.from_numpy(table.codes).float()
    ensemble = fitted(codes[learnt], label[:, None], torch.zeros(TRAINED), fit, seed=seed)
    predicted = ensemble.predict(codes[judged]).heads[:, 0].numpy()
    return float(kendalltau(predicted, table.means[judged]).statistic)
