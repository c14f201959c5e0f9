"""docs/architecture.md and its picture say what tests/test_architecture.py enforces."""

import re
import runpy

from config import ROOT

MAY_IMPORT: dict[str, list[str]] = runpy.run_path(str(ROOT / "tests" / "test_architecture.py"))["MAY_IMPORT"]
WORDS = {"nothing": set(), "every room below": set(MAY_IMPORT) - {"jobs", "dags", "local"}}


def test_the_table_of_imports_is_the_one_that_is_enforced() -> None:
    section = (ROOT / "docs" / "architecture.md").read_text().split("## Who may import whom")[1].split("\n## ")[0]
    rows = [line.strip("| ").split(" | ") for line in section.splitlines() if line.startswith("| `")]
    told = {room.strip("`"): WORDS.get(rooms, set(re.findall(r"`(\w+)`", rooms))) for room, _, rooms in rows}
    assert told == {room: set(rooms) for room, rooms in MAY_IMPORT.items()}


def test_the_picture_has_every_room() -> None:
    picture = (ROOT / "docs" / "images" / "rooms.svg").read_text()
    assert set(re.findall(r'class="name"[^>]*>(\w+)<', picture)) == set(MAY_IMPORT)
