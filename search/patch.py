"""A change of platform.yaml that a person may apply: the file's own text, its comments kept, with other values."""

import difflib
import io
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap, CommentedSeq

from config import load_config

WIDTH = 4096  # of a line before ruamel breaks it: lines that nothing changes must stay as they are


def patched(text: str, section: str, changes: Mapping[str, Any]) -> str:
    """Returns the text of a platform file with other values in a section.

    A mapping changes what it names of a mapping, but for `hyperparameters`, whose value is another one altogether.

    Args:
        text: of the file.
        section: `foundation_model` or `vertical_model`.
        changes: values by key; None removes a key.
    """
    yaml = YAML()
    yaml.width, yaml.preserve_quotes = WIDTH, True
    tree = yaml.load(text)
    _change(tree[section], changes)
    written = io.StringIO()
    yaml.dump(tree, written)
    return written.getvalue()


def patch(path: Path, section: str, changes: Mapping[str, Any]) -> str:
    """Returns the unified diff that makes these changes to a platform file; `git apply` takes it.

    Raises:
        ConfigError: the file would not be valid with them.
    """
    before = path.read_text()
    after = patched(before, section, changes)
    with tempfile.TemporaryDirectory() as folder:
        checked = Path(folder) / path.name
        checked.write_text(after)
        load_config(checked)
    old, new = before.splitlines(keepends=True), after.splitlines(keepends=True)
    return "".join(difflib.unified_diff(old, new, f"a/{path.name}", f"b/{path.name}"))


def _change(section: CommentedMap, changes: Mapping[str, Any]) -> None:
    for key, value in changes.items():
        if value is None:
            section.pop(key, None)
        elif isinstance(value, Mapping) and key != "hyperparameters" and isinstance(section.get(key), CommentedMap):
            _change(section[key], value)
        elif key in section:
            section[key] = _flow(value)
        else:
            section.insert(1, key, _flow(value))  # the blank line behind a section belongs to its last key


def _flow(value: Any) -> Any:
    """Returns a value as ruamel writes it on one line, as platform.yaml has its mappings and lists."""
    if isinstance(value, Mapping):
        made: Any = CommentedMap((key, _flow(inner)) for key, inner in value.items())
    elif isinstance(value, list):
        made = CommentedSeq(_flow(inner) for inner in value)
    else:
        return value
    made.fa.set_flow_style()
    return made
