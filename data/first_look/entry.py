"""Writes an entry of platform.yaml's `sources` and reads it back, as config reads the file."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from config import Format, PlatformConfig, Vertical
from data.first_look.clock import Clock
from data.first_look.features import Feature
from data.first_look.roles import Roles

WIDE = 76  # of a value; what is longer goes on in the next line
LISTS = ("user_categorical", "user_dense", "item_categorical", "item_dense", "context_categorical", "context_dense")


def entry_name(path: Path, taken: Mapping[str, Any]) -> str:
    """Names a source by its folder or file, as no other is called."""
    stem = path.name.partition(".")[0] if path.is_file() else path.name
    slug = re.sub(r"[^a-z0-9]+", "_", stem.lower()).strip("_")
    name = slug if re.match(r"[a-z]", slug) else f"log_{slug}".rstrip("_")
    name = name if name not in taken else f"my_{name}"
    return name if name not in taken else next(n for i in range(2, 100) if (n := f"{name}_{i}") not in taken)


def make_entry(
    path: Path,
    form: Format,
    clock: Clock,
    roles: Roles,
    anonymous: bool,
    features: list[Feature],
    crosses: list[str],
    verticals: Mapping[str, Vertical],
) -> dict[str, Any]:
    """Puts together what was found; settings that are as usual are left out."""
    entry: dict[str, Any] = {"path": str(path)}
    if written := form.model_dump(exclude_defaults=True):
        entry["format"] = written
    entry |= {"first_day": clock.all_days[0], "last_day": clock.all_days[-1], "bootstrap_days": clock.bootstrap_days}
    if clock.zone.name != "UTC":
        entry["time_zone"] = clock.zone.name
    if anonymous:
        entry["anonymous"] = "keep"
    if clock.missing and clock.sure:
        entry["empty_day"] = "skip"
    columns: dict[str, Any] = {"impression_id": roles.key[0] if len(roles.key) == 1 else roles.key}
    columns |= {role: roles.columns[role] for role in ("event_timestamp", "user_id", "item_id", "label")}
    columns |= {name: found for name in LISTS if (found := [f.name for f in features if f.list == name])}
    if crosses:
        columns["crosses"] = crosses
    entry["columns"] = columns
    entry["verticals"] = {name: vertical.model_dump(exclude_defaults=True) for name, vertical in verticals.items()}
    return entry


def as_yaml(name: str, entry: Mapping[str, Any]) -> str:
    """Writes an entry as it is pasted below `sources:`, indented by two."""
    lines = [f"  {name}:"]
    for key, value in entry.items():
        if key in ("columns", "verticals"):
            lines += [f"    {key}:", *(f"      {_flow({inner: what})}" for inner, what in value.items())]
        else:
            lines.append(f"    {_flow({key: value})}")
    return "\n".join(lines) + "\n"


def load_entry(config: PlatformConfig, name: str, text: str) -> PlatformConfig:
    """Reads an entry as it was written, and chooses it.

    Raises:
        ConfigError: config refuses it.
    """
    read = yaml.safe_load(text)
    return config.changed(data_source=name, sources=read)


def _flow(pair: Mapping[str, Any]) -> str:
    ((key, value),) = pair.items()
    text = yaml.safe_dump(value, default_flow_style=True, sort_keys=False, width=WIDE, allow_unicode=True)
    lines = text.removesuffix("\n").removesuffix("\n...").splitlines()
    return "\n          ".join([f"{key}: {lines[0]}", *(line.strip() for line in lines[1:])])
