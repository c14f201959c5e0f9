"""Learns a part of the weights that all models of a search share: the whole, one date, or a screener's supernet.

- **Reads:** the search's settings; `examples` of its dates before those that trials are judged on.
- **Writes:** the part, in the folder `shared_weights` of the search's.

Only searches by one_shot, dnas and dist_dnas, and those with the screener sigeo, have parts. One that is there already
is not learnt again.
"""

from typing import Any

import torch

from config import PlatformConfig
from search.shared_weights import SharedWeights
from search.targets import load_study


def main(config: PlatformConfig, *, study: str, part: str) -> dict[str, Any]:
    """Learns the part.

    Args:
        config: the platform.
        study: name of the search.
        part: one of those that plan_search names.

    Returns:
        study; part; compute: FLOPs that it took.

    Raises:
        FileNotFoundError: there is no such search.
        ValueError: it has no such part.
    """
    torch.set_num_threads(config.runtime.torch_threads)
    found = SharedWeights(config, load_study(config, study)).learn(part)
    return {"study": study, "part": part, "compute": found["compute"]}
