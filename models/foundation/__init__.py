"""Foundation-model architectures: one per file, one line here."""

from models.foundation.wukong import Wukong

FOUNDATION_MODELS = {
    "wukong": Wukong,
}
