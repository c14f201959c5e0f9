"""What the study compares: ways from the FM to the VM, and architectures of VMs."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Way:
    """What passes from the FM to the VM, and what of the user's past impressions the VM is told without it."""

    distillation: Literal["none", "serving", "auxiliary"] = "none"
    adapter: bool = False
    codes: Literal["none", "soft_labels", "codes"] = "none"  # of the FM, in each slot
    ids: Literal["none", "item", "all"] = "none"  # in each slot; all: of the item and of each of its features


ARMS: dict[str, Way] = {
    "none": Way(),
    "kd": Way("serving"),
    "ah": Way("auxiliary"),
    "ah_sa": Way("auxiliary", adapter=True),
    "raw": Way(ids="all"),
    "raw_ah": Way("auxiliary", ids="all"),
    "items": Way(ids="item"),
    "soft_history": Way(codes="soft_labels", ids="item"),
    "codes": Way(codes="codes"),  # alone, without the item's id
    "loopfm": Way(codes="codes", ids="item"),  # as the platform ships it
    "loopfm_ah": Way("auxiliary", codes="codes", ids="item"),
    "loopfm_ah_sa": Way("auxiliary", adapter=True, codes="codes", ids="item"),
    "both": Way(codes="codes", ids="all"),
    "both_ah": Way("auxiliary", codes="codes", ids="all"),
}
