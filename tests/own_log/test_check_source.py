"""A newcomer's first command: files in a folder, the page, and its entry pasted into platform.yaml and run."""

import gzip
import json
import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import yaml

import storage
from config import ROOT, PlatformConfig, load_config
from jobs.__main__ import main as command

FIRST = datetime(2026, 3, 2)
DAYS = 6


def shown(requests_a_day: int = 120, ads: int = 4, days: int = DAYS) -> pl.DataFrame:
    """Requests that show several ads each, a part of them clicked; quiet nights; times as a clock shows them."""
    draw = np.random.default_rng(7)
    night = np.array([0.1 if 1 < hour < 6 else 1.0 for hour in range(24)])
    rows = []
    for request in range(requests_a_day * days):
        hour = int(draw.choice(24, p=night / night.sum()))
        at = FIRST + timedelta(days=request // requests_a_day, hours=hour, seconds=int(draw.integers(3600)))
        member = int(draw.integers(60))
        for place, ad in enumerate(draw.choice(40, ads, replace=False)):
            rows.append(
                {
                    "request_id": f"r{request}",
                    "shown_at": at,
                    "member": f"m{member}",
                    "plan": ["free", "plus"][member % 2],
                    "ad": f"a{ad}",
                    "advertiser": f"adv{ad % 5}",
                    "price": round(1.5 + ad / 7, 2),
                    "surface": ["feed", "search"][request % 2],
                    "slot_position": place + 1,
                    "clicked": int(draw.random() < 0.4),
                }
            )
    return pl.DataFrame(rows).sort("shown_at", "request_id", "slot_position")


@dataclass
class Page:
    """What the command printed, and the way on from it."""

    code: int
    text: str
    result: dict[str, Any]
    folder: Path

    @property
    def entry(self) -> str:
        block = self.text.split("to be pasted below `sources:` in platform.yaml\n")[1].split("\n\n")[0]
        return block + "\n"

    @property
    def source(self) -> dict[str, Any]:
        return yaml.safe_load(self.entry)[self.result["source"]]

    def paste(self) -> Path:
        """Does as the page says, in a copy of the shipped platform.yaml."""
        shipped = (ROOT / "platform.yaml").read_text()
        head, _, rest = shipped.partition("sources:\n")
        text = head.replace("complete_journey", self.result["source"]) + "sources:\n" + self.entry + rest
        text = text.replace("root: .headwater", f"root: {self.folder / 'state'}")
        file = self.folder / "platform.yaml"
        file.write_text(text)
        return file

    def ingest(self, capsys: pytest.CaptureFixture[str], day: date | None = None) -> dict[str, Any]:
        file = self.paste()
        config = load_config(file)
        assert command(["ingest", "--day", str(day or config.source.bootstrap_day), "--config", str(file)]) == 0
        return json.loads(capsys.readouterr().out.splitlines()[-1])


Look = Callable[..., Page]


@pytest.fixture
def look(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Look:
    """Runs the command on a path, with more options."""
    monkeypatch.setenv("COLUMNS", "100")

    def run(path: Path, *options: str) -> Page:
        code = command(["check_source", "--path", str(path), *options])
        out = capsys.readouterr().out
        return Page(code, out, json.loads(out.splitlines()[-1]), tmp_path)

    return run


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / "ads log"
    path.mkdir()
    return path


def squeezed(page: Page) -> str:
    """The page without its line breaks."""
    return " ".join(page.text.split())


def test_a_log_of_requests_gets_an_entry_that_runs_as_it_is(look, folder, capsys):
    rows = shown()
    rows.write_csv(folder / "export.csv", datetime_format="%Y-%m-%d %H:%M:%S")
    page = look(folder)
    assert page.code == 0 and page.result == {"source": "ads_log", "ready": True, "undecided": []}
    assert page.source["columns"] == {
        "impression_id": ["request_id", "ad"],
        "event_timestamp": "shown_at",
        "user_id": "member",
        "item_id": "ad",
        "label": "clicked",
        "user_categorical": ["plan"],
        "item_categorical": ["advertiser"],
        "item_dense": ["price"],
        "context_categorical": ["surface", "slot_position"],
    }
    assert page.source["verticals"] == {"feed": {"column": "surface", "values": ["feed"]}, "other": {}} or page.source[
        "verticals"
    ] == {"search": {"column": "surface", "values": ["search"]}, "other": {}}
    assert (page.source["first_day"], page.source["last_day"]) == (date(2026, 3, 2), date(2026, 3, 7))
    assert page.source["bootstrap_days"] == 3
    assert "without an offset" in page.text and "perhaps the users' own clock: set time_zone" in squeezed(page)
    assert "request_id: 2,160 rows repeat an earlier one's" in page.text
    assert max(len(line) for line in page.text.splitlines()) <= 100
    landed = page.ingest(capsys)
    assert landed["quarantined"] == {} and landed["rows"] == 120 * 3 * 4
    assert page.ingest(capsys, date(2026, 3, 5))["rows"] == 120 * 4


def test_tables_with_numbers_for_everything_are_understood(look, folder, capsys):
    rows = shown().with_row_index("event_id").drop("request_id")
    rows = rows.with_columns(
        pl.col("member").str.slice(1).cast(pl.Int64),
        pl.col("ad").str.slice(1).cast(pl.Int32),
        pl.col("clicked").cast(pl.Boolean),
        pl.col("shown_at").dt.epoch("ns").alias("ts"),
        pl.col("shown_at").dt.date().cast(pl.String).alias("ds"),
    ).drop("shown_at")
    for (day,), part in rows.group_by("ds"):
        (folder / f"ds={day}").mkdir()
        part.drop("ds").write_parquet(folder / f"ds={day}" / "part-0.parquet")
    page = look(folder)
    assert page.code == 0, page.text
    columns = page.source["columns"]
    assert (columns["impression_id"], columns["event_timestamp"], columns["label"]) == ("event_id", "ts", "clicked")
    assert "nanoseconds since 1970" in page.text and "2026-03-02 to 2026-03-07" in page.text
    assert page.ingest(capsys)["quarantined"] == {}


def test_a_packed_tsv_with_offsets_in_its_times(look, folder, capsys):
    rows = shown().with_columns(pl.col("shown_at").dt.strftime("%Y-%m-%dT%H:%M:%S+01:00"))
    text = rows.write_csv(separator="\t")
    (folder / "log.tsv.gz").write_bytes(gzip.compress(text.encode()))
    page = look(folder)
    assert page.code == 0 and "with an offset" in page.text
    assert "format" not in page.source  # a tab is usual in .tsv
    assert page.source["time_zone"] == "Europe/Berlin"  # London is at +00:00 in winter
    assert page.ingest(capsys)["rows"] == 120 * 3 * 4


def test_files_named_by_local_days_tell_the_zone_of_their_instants(look, folder, capsys):
    instants = shown().with_columns((pl.col("shown_at") - timedelta(hours=8)).dt.epoch("ms").alias("ts"))
    for (day,), part in instants.group_by(pl.col("shown_at").dt.date()):
        part.drop("shown_at").write_csv(folder / f"{day}.csv")
    page = look(folder)
    assert page.code == 0 and page.source["time_zone"] == "Etc/GMT-8"  # 8 h ahead of UTC
    landed = page.ingest(capsys)
    assert landed["quarantined"] == {} and landed["rows"] == 120 * 3 * 4


def test_the_quiet_hours_only_hint_at_the_zone_of_instants(look, folder):
    instants = shown().with_columns((pl.col("shown_at") - timedelta(hours=8)).dt.replace_time_zone("UTC"))
    instants.write_parquet(folder / "log.parquet")
    page = look(folder)
    assert "(a guess)" in page.text
    assert re.search(r"so the users may be \+[789] h from UTC: if so, set time_zone: Asia/", squeezed(page))
    assert "time_zone" not in page.source


def test_a_european_export_gets_its_format(look, folder, capsys):
    rows = shown().with_columns(pl.col("price").cast(pl.String).str.replace(".", ",", literal=True))
    named = pl.when(pl.col("ad") == "a1").then(pl.lit('Öl, "kalt"')).otherwise(pl.lit("Käse"))
    rows = rows.with_columns(named.alias("advertiser"))
    text = rows.write_csv(separator=";", datetime_format="%Y-%m-%d %H:%M:%S")
    (folder / "export.csv").write_bytes(text.encode("cp1252"))
    page = look(folder)
    assert page.source["format"] == {"delimiter": ";", "decimal": ",", "encoding": "cp1252"}
    assert page.source["columns"]["item_dense"] == ["price"]
    landed = page.ingest(capsys)
    assert landed["quarantined"] == {}
    table = storage.read_partition(load_config(page.folder / "platform.yaml"), "events", date(2026, 3, 4))
    assert "Käse" in table["advertiser"].to_pylist() and table["price"].null_count == 0


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("log.csv", "id,ts,user,ad,clicked\n", "the files have column names but no rows"),
        ("log.csv", "", "is empty (0 bytes)"),
        ("log.jsonl", '{"id": 1}\n', "JSON is not read"),
        (None, "", "holds no file that is read"),
    ],
)
def test_a_log_without_rows_is_no_log_yet(look, folder, name, text, said):
    if name:
        (folder / name).write_text(text)
    page = look(folder)
    assert page.code == 1 and page.result["ready"] is False and page.result["undecided"]
    assert said in squeezed(page) and "To be decided first" in page.text
    assert "pasted below" not in page.text


def test_a_file_of_no_bytes_among_others_is_named(look, folder):
    rows = shown()
    for n in range(3):
        rows[n::3].write_csv(folder / f"part{n}.csv")
    (folder / "part3.csv").touch()
    page = look(folder)
    assert page.code == 1 and "part3.csv is empty (0 bytes): write it again, or take it away" in squeezed(page)


def test_names_that_config_refuses_are_left_out_with_another_name(look, folder, capsys):
    shown().rename({"advertiser": "type", "surface": "fm_channel", "plan": "index"}).write_csv(folder / "log.csv")
    page = look(folder)
    assert page.code == 0
    text = squeezed(page)
    assert "rename it to item_type" in text and "rename it to context_fm_channel" in text
    assert "rename it to the_user_index" in text
    listed = [name for of, names in page.source["columns"].items() if "_categorical" in of for name in names]
    assert listed == ["slot_position"]
    assert page.ingest(capsys)["quarantined"] == {}


def test_names_that_no_later_job_can_use_are_left_out_with_another_name(look, folder, capsys):
    rows = shown().rename({"advertiser": "utm:source", "surface": 'the "surface"'})
    rows.with_row_index("").write_csv(folder / "log.csv")  # as pandas writes its index
    page = look(folder)
    assert page.code == 0
    text = squeezed(page)
    assert "(a colon, double quote, star, backtick or backslash): rename it to utm_source: utm:source" in text
    assert "rename it to the_surface" in text and "(an empty name): rename it to feature" in text
    assert not {"utm:source", 'the "surface"', ""}.intersection(*page.source["columns"].values())
    assert page.ingest(capsys)["quarantined"] == {}


def test_what_a_whole_request_has_in_common_is_not_the_users(look, folder):
    shown(requests_a_day=60, ads=30).write_csv(folder / "log.csv")
    columns = look(folder).source["columns"]
    assert "surface" in columns["context_categorical"] and columns["user_categorical"] == ["plan"]


def test_what_is_known_only_after_the_click_is_no_feature(look, folder):
    clicked = pl.col("clicked") == 1
    rows = shown().with_columns(
        seconds_played=pl.when(clicked).then(pl.col("price") * 7).otherwise(0),
        bought=(clicked & (pl.col("slot_position") < 3)).cast(pl.Int8),
        clicked_at=pl.when(clicked).then(pl.col("shown_at") + timedelta(seconds=9)),
    )
    rows.write_parquet(folder / "log.parquet")
    page = look(folder)
    assert page.source["columns"]["label"] == "clicked"
    assert page.source["columns"]["event_timestamp"] == "shown_at"
    assert "known only after the click?: bought, seconds_played" in page.text or (
        "known only after the click?: seconds_played, bought" in page.text
    )
    assert not {"seconds_played", "bought", "clicked_at"} & set(str(page.source["columns"]))


def test_a_past_that_tells_of_the_next_click_is_proposed_as_a_cross(look, folder, capsys):
    draw = np.random.default_rng(3)
    rows = shown(requests_a_day=400)
    liked = rows["member"].str.slice(1).cast(pl.Int64) % 5 == rows["advertiser"].str.slice(3).cast(pl.Int64)
    clicked = pl.Series("clicked", draw.random(rows.height) < np.where(liked, 0.8, 0.1)).cast(pl.Int8)
    rows.with_columns(clicked).write_csv(folder / "log.csv")
    page = look(folder)
    assert page.source["columns"]["crosses"][0] == "advertiser"
    by_chance = look(folder, "--map", "label=clicked")  # the same log
    assert by_chance.source == page.source
    assert page.ingest(capsys)["quarantined"] == {}
    rows.write_csv(folder / "log.csv")
    assert "crosses" not in look(folder).source["columns"]


def test_a_vertical_has_clicks_enough_to_be_judged(look, folder):
    few = pl.when(pl.int_range(pl.len()) < 40).then(pl.lit("banner")).otherwise("surface").alias("surface")
    shown(requests_a_day=200).with_columns(few).write_csv(folder / "log.csv")
    assert list(look(folder).source["verticals"]) == ["feed", "other"] or (
        list(look(folder).source["verticals"]) == ["search", "other"]
    )
    shown(requests_a_day=10).write_csv(folder / "log.csv")
    page = look(folder)
    assert page.source["verticals"] == {"all": {}}
    assert "no column has two values with about 500 clicks each" in page.text


def test_bad_rows_are_told_with_file_and_line(look, folder, capsys):
    lines = shown().write_csv(datetime_format="%Y-%m-%d %H:%M:%S").splitlines()
    lines[10] = lines[10].rsplit(",", 1)[0] + ",maybe"
    lines[20] += ",one too many"
    lines[30] = lines[29]
    (folder / "log.csv").write_text("\n".join(lines) + "\n")
    page = look(folder)
    assert page.code == 0
    text = squeezed(page)
    for reason, line in (("wrong type: label", 11), ("malformed line of log.csv", 21), ("duplicate impression_id", 31)):
        assert f"1 to quarantine: {reason}" in text and f"{folder}/log.csv, line {line}" in text
    assert sum(page.ingest(capsys)["quarantined"].values()) == 3


@pytest.mark.parametrize(
    ("label", "said"),
    [
        (pl.col("clicked").cast(pl.String).replace({"0": "no", "1": "yes"}), "is no, yes where it must be 0 or 1"),
        (pl.lit(0), "label clicked is always 0"),
    ],
)
def test_a_label_that_is_not_two_valued_is_to_be_decided(look, folder, label, said):
    shown().with_columns(label.alias("clicked")).write_csv(folder / "log.csv")
    page = look(folder)
    assert page.code == 1 and said in squeezed(page)


def test_a_column_that_cannot_be_guessed_is_asked_for_and_told(look, folder, capsys):
    shown().rename({"member": "x", "clicked": "z"}).write_csv(folder / "log.csv")
    page = look(folder)
    assert page.code == 1
    assert "no column found for user_id (who saw it): --map user_id=COLUMN names it" in squeezed(page)
    told = look(folder, "--map", "user_id=x", "--map", "label=z", "--map", "impression_id=request_id,slot_position")
    assert told.code == 0
    assert told.source["columns"]["user_id"] == "x"
    assert told.source["columns"]["impression_id"] == ["request_id", "slot_position"]
    assert told.ingest(capsys)["quarantined"] == {}


def test_a_rating_is_no_label_and_is_not_offered_as_one(look, folder):
    rating = (pl.int_range(pl.len()) % 5 + 1).alias("rating")
    shown().drop("clicked").with_columns(rating).write_csv(folder / "ratings.csv")
    page = look(folder)
    assert page.code == 1
    assert "--map label=COLUMN names it; no column looks like it" in squeezed(page)


def test_a_wrong_map_says_what_is_right(look, folder, capsys):
    shown().write_csv(folder / "log.csv")
    assert "there is no column 'nobody'" in squeezed(look(folder, "--map", "user_id=nobody"))
    assert command(["check_source", "--path", str(folder), "--map", "users=member"]) == 1
    assert "ROLE is one of user_id, item_id" in capsys.readouterr().err


def test_a_sample_spans_the_log(look, folder, capsys):
    shown(requests_a_day=400).write_csv(folder / "log.csv")
    page = look(folder, "--sample", "1600")
    assert page.code == 0
    read = int(page.text.split(" of about ")[0].split("; ")[-1].replace(",", ""))
    assert 800 <= read <= 1700 and "of about 9,600 rows" in page.text
    assert (page.source["first_day"], page.source["last_day"]) == (date(2026, 3, 2), date(2026, 3, 7))
    assert "the sample has no row" not in page.text
    assert page.ingest(capsys)["quarantined"] == {}


def test_a_sample_takes_files_of_the_whole_span(look, folder):
    for n in range(40):
        rows = shown(requests_a_day=30, days=1).with_columns(pl.col("shown_at") + timedelta(days=n))
        rows = rows.with_columns(pl.col("request_id") + f"-{n}")
        rows.write_parquet(folder / f"log-{date(2026, 3, 2) + timedelta(days=n)}.parquet")
    page = look(folder, "--sample", "1000")
    assert page.code == 0 and "24 of them sampled" in page.text
    assert (page.source["first_day"], page.source["last_day"]) == (date(2026, 3, 2), date(2026, 4, 10))
    assert page.source["bootstrap_days"] == 7


@pytest.mark.parametrize("sample", ["100000", "700"])
def test_a_day_without_rows_is_skipped_where_the_sample_is_sure_of_it(look, folder, sample):
    shown().filter(pl.col("shown_at").dt.date() != date(2026, 3, 5)).write_csv(folder / "log.csv")
    page = look(folder, "--sample", sample)
    assert page.source.get("empty_day") == ("skip" if sample == "100000" else None)
    said = "days without rows: 2026-03-05" if sample == "100000" else "days of which the sample has no row: 2026-03-05"
    assert said in page.text


def test_rows_without_a_user_are_told(look, folder, capsys):
    nobody = pl.when(pl.int_range(pl.len()) % 5 > 0).then("member")
    shown().with_columns(nobody.alias("member")).write_csv(folder / "log.csv")
    page = look(folder)
    assert "20.0% of the rows have no user" in page.text
    assert page.source["columns"]["impression_id"] == ["request_id", "ad"]
    assert page.code == 0 and page.source["anonymous"] == "keep"
    assert page.ingest(capsys)["quarantined"] == {}


def test_the_entry_that_stands_in_platform_yaml_is_checked(look, folder, capsys):
    shown().write_csv(folder / "log.csv")
    page = look(folder)
    file = page.paste()
    assert command(["check_source", "--config", str(file)]) == 0
    said = capsys.readouterr().out
    assert "2,880 of 2,880 rows become events" in said and "pasted below" not in said
    file.write_text(file.read_text().replace("label: clicked", "label: slot_position"))
    assert command(["check_source", "--config", str(file)]) == 1
    assert "label slot_position is 1, 2, 3 where it must be 0 or 1" in " ".join(capsys.readouterr().out.split())
    file.write_text(file.read_text().replace("label: slot_position", "label: gone"))
    assert command(["check_source", "--config", str(file)]) == 1
    assert "label: there is no column 'gone'" in " ".join(capsys.readouterr().out.split())


def test_a_column_that_stands_twice_is_to_be_renamed(look, folder, capsys):
    text = shown().write_csv(datetime_format="%Y-%m-%d %H:%M:%S")
    (folder / "log.csv").write_text(text)
    file = look(folder).paste()
    (folder / "log.csv").write_text(text.replace("price", "plan", 1))
    page = look(folder)
    assert page.code == 1 and "log.csv has the column 'plan' twice: rename one" in squeezed(page)
    assert command(["check_source", "--config", str(file)]) == 1
    assert "log.csv has the column 'plan' twice: rename one" in " ".join(capsys.readouterr().out.split())


def test_a_column_that_no_entry_names_may_stand_twice(look, folder, capsys):
    rows = shown().with_columns(a=1, b=2)
    rows.write_csv(folder / "log.csv", datetime_format="%Y-%m-%d %H:%M:%S")
    file = look(folder).paste()
    (folder / "log.csv").write_text((folder / "log.csv").read_text().replace("a,b\n", "a,a\n", 1))
    assert command(["check_source", "--config", str(file)]) == 0


def test_a_shipped_source_has_nothing_to_check(capsys, tiny_config: PlatformConfig):
    assert command(["check_source"]) == 1
    assert "has a reader of its own" in capsys.readouterr().err


def test_the_command_ends_with_its_code_and_plain_text(folder):
    shown(requests_a_day=50).write_csv(folder / "log.csv")
    line = [sys.executable, "-m", "jobs", "check_source", "--path", str(folder), "--map", "label=member"]
    done = subprocess.run(line, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 1 and "\x1b" not in done.stdout
    assert json.loads(done.stdout.splitlines()[-1])["ready"] is False
