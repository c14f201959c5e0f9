"""A log in local times where the clocks are changed: each row lands once, on its own local day, or in quarantine."""

from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import polars as pl
import pytest

import storage
from config import PlatformConfig
from jobs import ingest
from tests.newcomers_log import Log, frame, line

BERLIN = ZoneInfo("Europe/Berlin")
SPRING = [date(2026, 3, n) for n in (27, 28, 29, 30)]  # 02:00 to 03:00 of the 29th do not exist
AUTUMN = [date(2026, 10, n) for n in (24, 25, 26, 27)]  # 02:00 to 03:00 of the 25th come twice


def of_days(log: Log, days: list[date], zone: str = "Europe/Berlin", **source: Any) -> Log:
    window = {"first_day": days[0], "last_day": days[-1], "bootstrap_days": 1, "time_zone": zone}
    return log.with_source(**window | source)


def half_hours(days: list[date]) -> Iterator[datetime]:
    """Every half hour of some days in Berlin, UTC."""
    at = datetime.combine(days[0], datetime.min.time(), BERLIN).astimezone(UTC)
    while at.astimezone(BERLIN).date() <= days[-1]:
        yield at
        at += timedelta(minutes=30)


def landed(config: PlatformConfig, days: list[date]) -> dict[str, tuple[date, datetime]]:
    """The day and the instant of every row of `events`, by its id; no row may be of two days."""
    found: dict[str, tuple[date, datetime]] = {}
    for day in days:
        ingest.main(config, day=day)
        rows = pl.from_arrow(storage.read_partition(config, "events", day))
        assert isinstance(rows, pl.DataFrame)
        for name, at in rows.select("impression_id", "event_timestamp").iter_rows():
            assert name not in found
            found[name] = (day, at)
        assert storage.read_manifest(config, "quarantine", day)["rows"] == 0
    return found


def as_csv(log: Log, at: dict[str, datetime]) -> None:
    log.write("log.csv", *(line(name, ts=f"{when:%Y-%m-%d %H:%M:%S}") for name, when in at.items()))


def as_iso(log: Log, at: dict[str, datetime]) -> None:
    log.write("log.csv", *(line(name, ts=when.isoformat()) for name, when in at.items()))


def as_parquet(log: Log, at: dict[str, datetime]) -> None:
    log.write_table("log.parquet", frame(*({"id": name, "ts": when} for name, when in at.items())))


def as_a_table_and_a_text(log: Log, at: dict[str, datetime]) -> None:
    """Times that are no text in one file and are in the other, so that they are put together as texts."""
    names = list(at)
    as_parquet(log, {name: at[name] for name in names[::2]})
    as_iso(log, {name: at[name] for name in names[1::2]})


Writer = Callable[[Log, dict[str, datetime]], None]
NAIVE: list[Writer] = [as_csv, as_iso, as_parquet, as_a_table_and_a_text]


@pytest.mark.parametrize("write", NAIVE)
@pytest.mark.parametrize("days", [SPRING, AUTUMN], ids=["spring", "autumn"])
def test_local_times_land_on_their_local_day(log: Log, days: list[date], write: Writer) -> None:
    log = of_days(log, days)
    truth = {f"r{n}": at for n, at in enumerate(half_hours(days))}
    assert len(truth) == 2 * (96 - 1 if days is SPRING else 96 + 1)
    local = {name: at.astimezone(BERLIN).replace(tzinfo=None) for name, at in truth.items()}
    write(log, local)
    found = landed(log.config, days)
    assert {name: day for name, (day, _) in found.items()} == {name: at.date() for name, at in local.items()}
    first = {when: truth[name] for name, when in reversed(local.items())}  # of a time that comes twice, the first
    assert {name: at for name, (_, at) in found.items()} == {name: first[when] for name, when in local.items()}


@pytest.mark.parametrize("days", [SPRING, AUTUMN], ids=["spring", "autumn"])
def test_times_with_an_offset_are_themselves(log: Log, days: list[date]) -> None:
    log = of_days(log, days)
    truth = {f"r{n}": at for n, at in enumerate(half_hours(days))}
    forms = ["%Y-%m-%dT%H:%M:%SZ", "%Y-%m-%d %H:%M UTC", "%s", "local"]
    lines = []
    for n, (name, at) in enumerate(truth.items()):
        form = forms[n % len(forms)]
        ts = at.astimezone(BERLIN).isoformat() if form == "local" else at.strftime(form)
        lines.append(line(name, ts=str(int(at.timestamp())) if form == "%s" else ts))
    log.write("log.csv", *lines)
    found = landed(log.config, days)
    assert found == {name: (at.astimezone(BERLIN).date(), at) for name, at in truth.items()}


def test_a_time_that_the_clocks_skip_is_quarantined_with_its_reason(log: Log) -> None:
    log = of_days(log, SPRING)
    day = SPRING[2]
    log.write("log.csv", line("a", ts=f"{day} 01:59:59"), line("b", ts=f"{day} 02:30:00"), line("c", ts=f"{day} 03:00"))
    skipped = frame({"id": "d", "ts": datetime(2026, 3, 29, 2, 0)}, {"id": "e", "ts": datetime(2026, 3, 29, 12, 0)})
    log.write_table("log.parquet", skipped)
    counted = [ingest.main(log.config, day=one)["quarantined"] for one in SPRING]
    assert counted == [{}, {}, {"event_timestamp does not exist in Europe/Berlin": 2}, {}]
    rows = pl.from_arrow(storage.read_partition(log.config, "quarantine", day))
    assert isinstance(rows, pl.DataFrame) and sorted(rows["impression_id"]) == ["b", "d"]


def test_times_that_come_twice_are_counted(log: Log, caplog: pytest.LogCaptureFixture) -> None:
    log = of_days(log, AUTUMN)
    log.write("log.csv", *(line(f"r{n}", ts=f"2026-10-25 0{n}:30:00") for n in range(5)), line("z", ts="20261025"))
    assert ingest.main(log.config, day=AUTUMN[1])["rows"] == 6
    assert "1 rows of 2026-10-25 have a time that comes twice in Europe/Berlin; the first is taken" in caplog.text


def test_files_named_by_date_are_of_that_local_day(log: Log) -> None:
    log = of_days(log, AUTUMN)
    for day in AUTUMN:
        log.write(
            f"ds={day}/log.csv", line(f"early {day}", ts=f"{day} 00:00:00"), line(f"late {day}", ts=f"{day} 23:59")
        )
    found = landed(log.config, AUTUMN)
    assert {name: day for name, (day, _) in found.items()} == {
        f"{when} {day}": day for day in AUTUMN for when in ("early", "late")
    }


def test_a_date_is_the_first_instant_of_its_day_also_where_midnight_is_skipped(log: Log) -> None:
    days = [date(2018, 11, n) for n in (3, 4, 5)]
    log = of_days(log, days, "America/Sao_Paulo")
    log.write("log.csv", *(line(f"text {day}", ts=day) for day in days), line("number", ts="20181104"))
    log.write_table("log.parquet", frame(*({"id": f"date {day}", "ts": day} for day in days)))
    begins = dict(
        zip(days, [datetime(2018, 11, 3, 3), datetime(2018, 11, 4, 3), datetime(2018, 11, 5, 2)], strict=True)
    )
    expected = {f"{form} {day}": (day, begins[day].replace(tzinfo=UTC)) for day in days for form in ("text", "date")}
    assert landed(log.config, days) == expected | {"number": expected[f"text {days[1]}"]}


def test_without_a_time_zone_a_log_is_read_as_utc(log: Log) -> None:
    log = log.with_source(first_day=SPRING[0], last_day=SPRING[-1], bootstrap_days=1)
    log.write("log.csv", line("a", ts="2026-03-29 02:30:00"), line("b", ts="2026-03-28T23:59:59"))
    assert landed(log.config, SPRING[1:3]) == {
        "b": (SPRING[1], datetime(2026, 3, 28, 23, 59, 59, tzinfo=UTC)),
        "a": (SPRING[2], datetime(2026, 3, 29, 2, 30, tzinfo=UTC)),
    }
