"""What the study compares: ways from the FM to the VM, and architectures of VMs."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Way:
    """What passes from the FM to the VM, and what of the user's past impressions the VM is told without it."""

    distillation: Literal["none", "serving", "auxiliary"] = "none"
    adapter: bool = False
    codes: Literal["none", "soft_labels", "codes"] = "none"  # of the FM, in each slot
    ids: bool = False  # ids of item and item features in each slot, as a raw history has them


ARMS: dict[str, Way] = {
    "none": Way(),
    "kd": Way("serving"),
    "ah": Way("auxiliary"),
    "ah_sa": Way("auxiliary", adapter=True),
    "raw": Way(ids=True),
    "raw_ah": Way("auxiliary", ids=True),
    "soft_history": Way(codes="soft_labels"),
    "loopfm": Way(codes="codes"),
    "loopfm_ah": Way("auxiliary", codes="codes"),
    "loopfm_ah_sa": Way("auxiliary", adapter=True, codes="codes"),
    "both": Way(codes="codes", ids=True),
    "both_ah": Way("auxiliary", codes="codes", ids=True),
}
