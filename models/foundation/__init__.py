"""Foundation-model architectures: one per file, one line here."""

from models.foundation.network import FoundationNetwork
from models.foundation.wukong import Wukong

FOUNDATION_MODELS: dict[str, type[FoundationNetwork]] = {
    "wukong": Wukong,
}
