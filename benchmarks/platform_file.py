"""The platform file of a benchmark: the shipped one on the generated log, with a state of its own."""

import os
from pathlib import Path
from typing import Any

import yaml

from config import ROOT, load_config


def platform_file(
    folder: Path, events: int | None = None, *, name: str = "platform", state: Path | None = None, **changed: Any
) -> Path:
    """Writes the file.

    Args:
        folder: of the file.
        events: of a day, and one bootstrap day; None: what platform.yaml says.
        name: of the file, before `.yaml`.
        state: folder of what the platform keeps; None: that of the file.
        changed: what else is otherwise than in platform.yaml, as `PlatformConfig.changed` takes it.

    Returns:
        Where the file is.
    """
    kept = folder if state is None else state
    config = load_config(ROOT / "platform.yaml").changed(
        data_source="synthetic", storage={"root": str(kept / "state"), "feature_repo": str(kept / "feature_repo")}
    )
    if events is not None:
        config = config.changed(sources={"synthetic": {"events_per_day": events, "bootstrap_days": 1}})
    path = folder / f"{name}.yaml"
    path.write_text(yaml.safe_dump(config.changed(**changed).model_dump(mode="json")))
    return path


def forget_settings() -> None:
    """Removes the platform's variables from the environment: a benchmark has a platform of its own."""
    for name in [name for name in os.environ if name.startswith("HEADWATER_")]:
        del os.environ[name]
