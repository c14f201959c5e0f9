"""Every figure that README.md and docs/ claim stands in a result file of benchmarks/results/.

A comment under a table or a paragraph says where its figures are; it covers all above it, up to the heading or the
comment before:

    <!-- figures: fm_training.json#examples_per_s.1e4 table_growth.json scale 0.001 -->
    <!-- published: arXiv:2605.29280 -->

`#` narrows a file to a part of its figures. `scale` says by what the figures were multiplied, one or more numbers.
Figures are numbers with a decimal point, percentages, times, minutes, thousands in groups; in a table with a comment
every number, but for its first column. A setting is no figure: write it as `code`. Nor is the 95 % of an interval.
"""

import json
import re
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from benchmarks.report import RESULTS
from config import ROOT

PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
MARKER = re.compile(r"<!-- (figures|published): (.*?) -->", re.S)
NOT_PROSE = re.compile(
    r"`[^`]*`|\]\([^)]*\)|<[^>]*>|84\.51°|arXiv:[\d.]+|\b95 %|\b(?:Python|License|BY-SA|Java) [\d.]+|\d+(?:\.\d+){2,}"
)
CLAIM = re.compile(r"\d{1,3}(?: \d{3})+(?!\d)|\d+\.\d+(?: ?%)?|\d+ ?%|\d+(?= (?:times|×|minutes))")
CELL = re.compile(r"\d{1,3}(?: \d{3})+(?!\d)|\d+(?:\.\d+)?(?: ?%)?")


class Covered(NamedTuple):
    """Blocks of a page and the comment that covers them."""

    blocks: list[str]
    kind: str  # figures, published, or nothing
    sources: str


def covered(text: str) -> Iterator[Covered]:
    """The parts of a page, each up to its comment or the next heading."""
    text = re.sub(r"^( *)```.*?^\1```$", "", text, flags=re.S | re.M)
    blocks: list[str] = []
    for block in re.split(r"\n\s*\n|\n(?=#+ )", text):
        if marker := MARKER.fullmatch(block.strip()):
            yield Covered(blocks, marker[1], marker[2])
            blocks = []
        elif block.startswith("#"):
            yield Covered(blocks, "", "")
            blocks = [block]
        else:
            blocks.append(block)
    yield Covered(blocks, "", "")


def claimed(block: str, *, commented: bool) -> list[str]:
    """The figures that a block claims, as they are written."""
    found: list[str] = []
    for before, line in pairwise(["", *NOT_PROSE.sub(" ", block).splitlines()]):
        if line.startswith("|") and before.startswith("|") and not set(line) <= set("|-: "):
            number = CELL if commented else CLAIM
            found += [figure for cell in line.split("|")[2:] for figure in number.findall(cell)]
        else:
            found += CLAIM.findall(line)
    return found


def values(sources: str) -> tuple[list[float], list[float]]:
    """The numbers of the files that a comment names, and its scales."""
    files, _, scales = sources.partition(" scale ")
    found: list[float] = []
    for source in files.split():
        name, _, path = source.partition("#")
        part = json.loads((RESULTS / name).read_text())["figures"]
        for key in filter(None, path.split(".")):
            part = part[key]
        found += numbers(part)
    return found, [float(scale) for scale in scales.split()] or [1.0]


def numbers(part: Any) -> Iterator[float]:
    """All numbers below; of an interval its half width, too."""
    if isinstance(part, dict):
        if {"low", "high"} <= part.keys():
            yield (part["high"] - part["low"]) / 2
        part = list(part.values())
    if isinstance(part, list):
        for entry in part:
            yield from numbers(entry)
    elif isinstance(part, int | float) and not isinstance(part, bool):
        yield float(part)


def stands_in(written: str, found: list[float], scales: list[float]) -> bool:
    """Whether a value, scaled, rounds to what is written; a sign may be told in words."""
    number = written.replace(" ", "").rstrip("%")
    if written.endswith("%"):
        scales = [*scales, 100.0]
    half = 0.5 * 10.0 ** -len(number.partition(".")[2]) * (1 + 1e-6) + 1e-9
    return any(abs(abs(value * scale) - float(number)) <= half for value in found for scale in scales)


def wrong(text: str) -> list[str]:
    """What a page claims without a source, or otherwise than its source says."""
    told = []
    for blocks, kind, sources in covered(text):
        figures = [(number, block) for block in blocks for number in claimed(block, commented=bool(kind))]
        found, scales = values(sources) if kind == "figures" else ([], [])
        for number, block in figures:
            where = f"{number!r} in {block.splitlines()[0][:60]!r}"
            if not kind:
                told.append(f"{where} has no comment that names its result file")
            elif kind == "figures" and not stands_in(number, found, scales):
                told.append(f"{where} is not in {sources}")
    return told


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_figure_of_a_page_stands_in_a_result_file(page: Path) -> None:
    if found := wrong(page.read_text()):
        pytest.fail("\n".join(found), pytrace=False)


SPEED = "<!-- figures: fm_training.json#ratio_torchrec_onednn -->"


def test_a_wrong_figure_is_found() -> None:
    assert not wrong(f"As fast, 1.02 times (0.92 to 1.12).\n\n{SPEED}")
    assert wrong(f"As fast, 1.12 times (0.93 to 1.12).\n\n{SPEED}") == [
        f"'0.93' in 'As fast, 1.12 times (0.93 to 1.12).' is not in {SPEED[14:-4]}"
    ]
    assert len(wrong(f"| a | b |\n| --- | --- |\n| 5 kinds | 7 |\n\n{SPEED}")) == 1  # a cell's integer is a figure


def test_a_figure_without_a_source_is_found() -> None:
    assert len(wrong("Three days take 10.8 minutes and 40 % of the machine.")) == 2
    assert len(wrong(f"1.02 times.\n\n{SPEED}\n\n## Next\n\n1.02 times.")) == 1  # a comment ends where it stands
    assert not wrong("Set `min_headroom_ratio: 0.2` on 127.0.0.1, Python 3.11, arXiv:2403.02545; 95 % intervals.")


def test_thousandths_percentages_and_half_widths_are_traced() -> None:
    cold = "transfer_study_synthetic.json#cold_users"
    assert not wrong(f"Worse by 13.6 on 0.2 % of the rows.\n\n<!-- figures: {cold} scale 1000 -->")
    assert not wrong(f"Worse by 0.0136 ± 0.0043.\n\n<!-- figures: {cold} -->")
    assert len(wrong(f"Worse by 0.0136.\n\n<!-- figures: {cold} scale 1000 -->")) == 1
