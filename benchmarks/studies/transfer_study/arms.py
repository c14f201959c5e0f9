"""What the study compares: ways from the FM to the VM."""

from training.vertical.arm import Arm

ARMS: dict[str, Arm] = {
    "none": Arm(),
    "kd": Arm("serving"),
    "ah": Arm("auxiliary"),
    "ah_sa": Arm("auxiliary", adapter=True),
    "raw": Arm(ids="all"),
    "raw_ah": Arm("auxiliary", ids="all"),
    "items": Arm(ids="item"),
    "soft_history": Arm(codes="soft_labels", ids="item"),
    "codes": Arm(codes="codes"),  # alone, without the item's id
    "loopfm": Arm(codes="codes", ids="item"),  # as the platform ships it
    "loopfm_ah": Arm("auxiliary", codes="codes", ids="item"),
    "loopfm_ah_sa": Arm("auxiliary", adapter=True, codes="codes", ids="item"),
    "both": Arm(codes="codes", ids="all"),
    "both_ah": Arm("auxiliary", codes="codes", ids="all"),
}
