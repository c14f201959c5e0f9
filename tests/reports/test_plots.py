import re
from datetime import date, timedelta

import numpy as np

from reports import plots
from reports.day_facts import Curve

DAYS = [date(2026, 1, 1) + timedelta(days=n) for n in range(9)]


def test_a_plot_takes_its_colors_from_the_page_and_escapes_its_label() -> None:
    svg = plots.ne_by_day({"baseline": {DAYS[0]: 0.9}, "fm": {DAYS[0]: None}}, label='<b> "NE"')
    assert "var(--baseline)" in svg and "var(--fm)" in svg and "currentColor" in svg
    assert not re.search(r"#[0-9a-f]{6}\b|<metadata|font-family|http://matplotlib", svg)
    assert 'aria-label="&lt;b&gt; &#34;NE&#34;"' in svg


def test_the_same_figures_are_the_same_bytes() -> None:
    curve = Curve(np.array([0.1, 0.5]), np.array([0.2, 0.4]))
    assert plots.calibration({"fm": curve}, label="a") == plots.calibration({"fm": curve}, label="a")


def test_many_days_get_few_ticks_and_the_newest_one() -> None:
    svg = plots.foundation_by_day(dict.fromkeys(DAYS, 0.5), {}, label="NE")
    ticks = re.findall(r">(\d\d-\d\d)</text>", svg)
    assert len(ticks) <= plots.MAX_TICKS and ticks[-1] == "01-09"


def test_huge_ratios_and_missing_ones_can_be_drawn() -> None:
    svg = plots.headroom_by_day({"a": {DAYS[0]: 400.0, DAYS[1]: None, DAYS[2]: float("nan")}}, gate=0.2, label="r")
    assert "var(--line-0)" in svg and "var(--none)" in svg  # the gate


def test_a_headroom_ratio_is_drawn_with_the_intervals_there_are() -> None:
    points = {DAYS[0]: 0.5, DAYS[1]: None, DAYS[2]: 0.1}
    with_none = plots.headroom_with_interval(points, {}, gate=0.2, label="r")
    with_one = plots.headroom_with_interval(points, {DAYS[0]: (-40.0, 0.9)}, gate=0.2, label="r")
    assert len(with_one) > len(with_none) and "var(--none)" in with_none


def test_gains_have_a_line_a_vertical() -> None:
    found = {f"vertical_{n}": {"candidate": (-0.01, (-0.02, 0.0)), "fm": (-0.1, None)} for n in range(12)}
    svg = plots.gains(found, label="g")
    assert all(f">{name}</text>" in svg for name in found)
    assert "var(--candidate)" in svg and "var(--fm)" in svg
