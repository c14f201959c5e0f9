"""The report of a small day, written through the job."""

import json
import re
from datetime import date, timedelta
from html.parser import HTMLParser

import pytest

import storage
from config import PlatformConfig
from jobs import write_report
from tests.reported_day import write_day, write_gain_parts
from training.tracking import tracking_client

DAY = date(2026, 1, 2)
VOID = {"meta", "br", "link", "path", "use"}


class Balance(HTMLParser):
    """Tags left open, or closed without having been opened."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.wrong: list[str] = []

    def handle_starttag(self, tag: str, attrs: object) -> None:
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: object) -> None:
        pass

    def handle_endtag(self, tag: str) -> None:
        if tag not in VOID and (not self.open or self.open.pop() != tag):
            self.wrong.append(f"{tag} at {self.getpos()}")


def test_a_day_is_reported_whole_and_again_with_the_same_bytes(tiny_config: PlatformConfig) -> None:
    write_day(tiny_config, DAY, verticals=["feed"], quarantined=1)
    client = tracking_client(tiny_config)
    client.create_registered_model("vertical_feed")
    tags = {"day": str(DAY), "weights": f"weights-{DAY}"}
    version = client.create_model_version("vertical_feed", source=str(storage.mlflow_dir(tiny_config)), tags=tags)

    result = write_report.main(tiny_config, day=DAY)
    folder = storage.report_dir(tiny_config, DAY)
    assert result == {"report": str(folder / "index.html")}
    files = {p.relative_to(folder): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}
    assert [str(name) for name in files] == ["cards/feed.md", "index.html", "summary.json"]

    page = (folder / "index.html").read_text()
    balance = Balance()
    balance.feed(page)
    assert not balance.wrong and not balance.open
    assert "1 of 3 vertical models promoted" in page
    assert "no real people" in page  # the source's own sentence
    assert "<code>distill_vertical</code> has no output: search, video" in page
    assert "warning: events &lt;checked&gt;" in page
    assert "null_user_id" in page
    assert ", 0.0 to 35.8 hours before the impressions, median 17.9" in page and "2026-01-02 06:30:00" in page
    assert '<p class="banner">⚠ FM no better than the baseline: NE 0.9500 against 0.9000. Nothing is refused' in page
    assert "+0.0100" in page and "-0.0200 to 0.0400" in page and "these rows do not tell them apart" in page
    assert "undefined: there was no champion before the candidate" in page
    assert "promoted: candidate, version 3" in page
    assert re.search(r"<td>logit × 0.900 -0.120</td>.*0.2500.*0.2000.*1.310.*1.000.*too little", page)
    assert not re.search(r"""(?:src|href)=["']?(?:https?:)?//|url\((?!#)|@import""", page)  # nothing from outside

    card = (folder / "cards" / "feed.md").read_text()
    assert "**Verdict: the candidate is promoted**, version 3" in card
    assert "| candidate | logit × 0.900 -0.120 | 0.2500 | 0.2000 | 1.310 | 1.000 | too little" in card
    assert "13 parameters, 10 of them in embedding tables" in card
    assert "models:/vertical_feed@champion --env-manager local -p 5001 -h 127.0.0.1" in card
    request = re.search(r"-d '(.*)'", card)
    assert request and set(json.loads(request[1])["dataframe_records"][0]) == {"user_id", "item_id"}
    assert client.get_model_version("vertical_feed", version.version).description == card
    index = (storage.docs_dir(tiny_config) / "index.html").read_text()
    assert f'href="reports/ds={DAY}/index.html"' in index and "1 of 3" in index
    assert f'href="reports/ds={DAY}/index.html#feed"' in index  # its warning

    write_report.main(tiny_config, day=DAY)
    assert {p.relative_to(folder): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()} == files


def test_a_day_where_nothing_came_after_the_features_is_reported(tiny_config: PlatformConfig) -> None:
    write_day(tiny_config, DAY, verticals=[])
    for table in ("fm_outputs", "fm_snapshots", "user_fm_history", "gate_results_events", "events"):
        storage.partition_dir(tiny_config, table, DAY).rename(storage.source_root(tiny_config) / table)
    write_report.main(tiny_config, day=DAY)
    folder = storage.report_dir(tiny_config, DAY)
    entries = json.loads((folder / "summary.json").read_text())["verticals"]
    assert {e["reasons"][0] for e in entries} == {f"no verdict: train_foundation has no output (fm_outputs/ds={DAY})"}
    page = (folder / "index.html").read_text()
    assert "0 of 3 vertical models promoted" in page and "not checked" in page and "Not known: ingest" in page


def test_a_day_without_examples_cannot_be_reported(tiny_config: PlatformConfig) -> None:
    with pytest.raises(storage.PartitionMissing, match=f"table examples has no committed partition ds={DAY}"):
        write_report.main(tiny_config, day=DAY)
    assert not storage.report_dir(tiny_config, DAY).exists()


def test_a_long_card_is_cut_to_what_the_registry_holds() -> None:
    cut = write_report._cut("x" * 9000, "feed")
    assert len(cut) == write_report.DESCRIPTION_LENGTH and cut.endswith("cards/feed.md)\n")


def test_parts_of_the_gain_are_shown_by_day(tiny_config: PlatformConfig) -> None:
    days = [DAY, DAY + timedelta(days=1)]
    for day in days:
        write_day(tiny_config, day, verticals=["feed"])
    write_report.main(tiny_config, day=days[1])
    page = storage.report_dir(tiny_config, days[1]) / "index.html"
    assert "Parts of the gain" not in page.read_text()  # nothing was tracked
    write_gain_parts(tiny_config, days[1], "feed", {"temporal": 0.0312, "cross-feature": -0.0045})
    write_report.main(tiny_config, day=days[1])
    shown = page.read_text()
    balance = Balance()
    balance.feed(shown)
    assert not balance.wrong and not balance.open
    assert "Parts of what feed gains from the FM by platform day" in shown
    row = re.search(r"<tr><th>temporal</th>(.*?)</tr>", shown)
    assert row and "+0.0312" in row[1] and "0.0212 to 0.0412" in row[1] and "what temporal is" in row[1]
    assert "-0.0045" in shown
    write_report.main(tiny_config, day=days[0])
    assert "Parts of the gain" not in (storage.report_dir(tiny_config, days[0]) / "index.html").read_text()
