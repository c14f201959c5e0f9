"""Weights shared by all ranking models of a space, and the searches that need no training per model.

`supernet.py` holds the weights, `mixture.py` runs all operations at once under gates; `proposal.py` says what a search
is given and what it answers. A job that has a log calls `PROPOSERS[name](**settings)(options, log, count=…, seed=…)`
and trains what it gets as ordinary trials. `DistDNAS.search_day` and `reduce` are the parts of a search over mapped
tasks; `warmed`, `terms` and `sigeo` those of a screen in front of a sampler.
"""

from collections.abc import Callable

from search.supernet.dist_dnas import DistDNAS
from search.supernet.dnas import DNAS
from search.supernet.one_shot import OneShot
from search.supernet.proposal import Proposer
from search.supernet.screen import Screen

PROPOSERS: dict[str, Callable[..., Proposer]] = {
    "dist_dnas": DistDNAS,
    "dnas": DNAS,
    "one_shot": OneShot,
    "screen": Screen,
}
