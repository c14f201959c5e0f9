"""Foundation-model architectures: one per file, one line here."""

from models.foundation.dcn_v2 import DCNv2
from models.foundation.dhen import DHEN
from models.foundation.din import DIN
from models.foundation.dlrm import DLRM
from models.foundation.interformer import InterFormer
from models.foundation.network import FoundationNetwork
from models.foundation.wukong import Wukong

FOUNDATION_MODELS: dict[str, type[FoundationNetwork]] = {
    "dcnv2": DCNv2,
    "dhen": DHEN,
    "din": DIN,
    "dlrm": DLRM,
    "interformer": InterFormer,
    "wukong": Wukong,
}
