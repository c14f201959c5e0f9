"""One mapping of hyperparameters, shared by an architecture and the model around it."""

from typing import Any, TypeVar

from config import Section
from models.architectures.architecture import Architecture

Around = TypeVar("Around", bound=Section)


def split_hyperparameters(
    hyperparameters: dict[str, Any], architecture: type[Architecture], around: type[Around], *, model: str
) -> tuple[Any, Around]:
    """Checks hyperparameters and deals each to the Config that has a field of its name.

    Args:
        hyperparameters: by name, as platform.yaml has them.
        architecture: whose Config takes the one part.
        around: takes the other; shares no name with the architecture's.
        model: what `around` belongs to, for the error.

    Returns:
        The architecture's Config and the other one.

    Raises:
        ValueError: neither knows a name, or a value is wrong.
    """
    inner: type[Section] = architecture.Config
    known = inner.model_fields | around.model_fields
    if unknown := sorted(hyperparameters.keys() - known.keys()):
        raise ValueError(
            f"Unknown hyperparameters {', '.join(map(repr, unknown))}: a {model} of architecture "
            f"{architecture.__name__} has {', '.join(sorted(known))}."
        )
    return (
        inner.model_validate({k: v for k, v in hyperparameters.items() if k in inner.model_fields}),
        around.model_validate({k: v for k, v in hyperparameters.items() if k in around.model_fields}),
    )
