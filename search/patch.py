"""A change of platform.yaml that a person may apply: the file's own text, its comments kept, with other values."""

import difflib
import io
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap, CommentedSeq

from config import load_config

WIDTH = 4096  # of a line before ruamel breaks it: lines that nothing changes must stay as they are


def patched(text: str, where: Sequence[str], changes: Mapping[str, Any], *, of: str) -> str:
    """Returns the text of a platform file with other values in a part of it, which is made where it is missing.

    A mapping changes what it names of a mapping, but for `hyperparameters`, whose value is another one altogether.

    Args:
        text: of the file.
        where: keys down to the part, as in sources, movielens, foundation_model.
        changes: values by key; None: that of the section `of` no longer holds.
        of: the section that the part changes, such as foundation_model.
    """
    yaml = YAML()
    yaml.width, yaml.preserve_quotes = WIDTH, True
    tree = yaml.load(text)
    _change(_part(tree, where), changes, tree[of])
    written = io.StringIO()
    yaml.dump(tree, written)
    return written.getvalue()


def patch(path: Path, where: Sequence[str], changes: Mapping[str, Any], *, of: str) -> str:
    """Returns the unified diff that makes these changes to a platform file; `git apply` takes it.

    See `patched` for the arguments.

    Raises:
        ConfigError: the file would not be valid with them.
    """
    before = path.read_text()
    after = patched(before, where, changes, of=of)
    with tempfile.TemporaryDirectory() as folder:
        checked = Path(folder) / path.name
        checked.write_text(after)
        load_config(checked)
    old, new = before.splitlines(keepends=True), after.splitlines(keepends=True)
    return "".join(difflib.unified_diff(old, new, f"a/{path.name}", f"b/{path.name}"))


def _part(tree: CommentedMap, where: Sequence[str]) -> CommentedMap:
    for key in where:
        if key not in tree:
            # The blank line behind a mapping belongs to its last key, so nothing is put behind that.
            at = len(tree) if tree.fa.flow_style() else max(0, len(tree) - 1)
            tree.insert(at, key, _flow({}))
        tree = tree[key]
    return tree


def _change(part: CommentedMap, changes: Mapping[str, Any], section: Mapping[str, Any]) -> None:
    for key, value in changes.items():
        if value is None and section.get(key) is None:
            part.pop(key, None)
        elif isinstance(value, Mapping) and key != "hyperparameters" and isinstance(part.get(key), CommentedMap):
            _change(part[key], value, section.get(key) or {})
        else:
            part[key] = _flow(value)


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
