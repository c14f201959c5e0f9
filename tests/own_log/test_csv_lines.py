"""Every line of a CSV file is a row, a part of one, or a quarantined row."""

import gzip
import random

import pyarrow as pa
import pytest

from tests.newcomers_log import HEADER, line


def test_odd_quotes_inside_values_lose_no_row(log):
    odd = ['tv 42"', "radio", "lamp", 'tv 55"', "lamp"]
    log.write("log.csv", *(line(f"i{n}", category=value) for n, value in enumerate(odd)))
    assert log.ingest()["quarantined"] == {}
    assert log.ids() == ["i0", "i1", "i2", "i3", "i4"]


@pytest.mark.parametrize("odd", ['"tv', '"tv" 42', '"tv 42\\" black"', '"tv 42\\", black"', "tv,42"])
def test_a_malformed_line_costs_one_row_and_is_kept_with_its_place(log, odd):
    bad = line("i1", category=odd)
    log.write("log.csv", line("i0"), bad, line("i2"), line("i3", category='lamp"'), line("i4", category='"a ""b"""'))
    result = log.ingest()
    assert log.ids() == ["i0", "i2", "i3", "i4"]
    (reason,) = result["quarantined"]
    assert reason.startswith("malformed line of log.csv: ") and result["quarantined"][reason] == 1
    kept = log.table("quarantine")
    assert kept["raw_line"].to_list() == [bad.rstrip()]
    assert kept["raw_place"].to_list() == [f"{log.folder / 'log.csv'}, line 3"]


def test_an_opening_quote_that_a_later_row_closes_swallows_nothing(log):
    rows = [line("i0"), line("i1", placement='"feed'), line("i2"), line("i3", placement='feed"'), line("i4")]
    log.write("log.csv", *rows)
    log.ingest()
    assert log.ids() == ["i0", "i2", "i3", "i4"] and log.table("quarantine").height == 1


@pytest.mark.parametrize("column", HEADER.split(","))
def test_a_value_of_several_lines_may_stand_in_any_column(log, column):
    log.write("log.csv", line("i0"), line("i1", **{column: '"two\nlines, of text"'}), line("i2"))
    result = log.ingest()
    assert result["raw_rows"] == 3 and not any("malformed" in reason for reason in result["quarantined"])


def test_each_of_very_many_lines_is_a_row_or_in_quarantine(log):
    draw = random.Random(0)
    marks = ['"tv', 'tv 42"', '"tv" x', "a,b", '"two\nlines"', '"""tv"""']
    values = [draw.choice(marks) if draw.random() < 0.05 else "tv" for _ in range(20_000)]
    log.write("log.csv", *(line(f"i{n}", category=value) for n, value in enumerate(values)))
    result = log.ingest()
    broken = sum(value in ('"tv', '"tv" x', "a,b") for value in values)
    assert (result["raw_rows"], result["rows"]) == (20_000, 20_000 - broken)
    assert log.table("quarantine").height == broken


def test_a_field_too_many_and_one_too_few_do_not_make_up_for_each_other(log):
    short = line("i2").replace(",feed", "")
    log.write("log.csv", line("i0"), line("i1", category="tv,42"), short, line("i3"))
    result = log.ingest()
    assert log.ids() == ["i0", "i3"]
    said = "malformed line of log.csv: {} fields, where the file has 10 columns"
    assert result["quarantined"] == {said.format(11): 1, said.format(9): 1}


@pytest.mark.parametrize("mark", ["", '"'])
@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_values_are_the_same_whether_or_not_something_is_quoted(log, mark, newline):
    values = ["", " x ", "NULL", "nan", "#1", "007", "1e5", "ä", "'a'", "\\N", "a\tb"]
    rows = [line(f"i{n}", country=value, category=f"{mark}tv{mark}") for n, value in enumerate(values)]
    (log.folder / "log.csv").write_text(HEADER + newline + "".join(rows).replace("\n", newline), newline="")
    log.ingest()
    countries = dict(log.table("events").select("impression_id", "country").iter_rows())
    assert countries == {f"i{n}": value or None for n, value in enumerate(values)}


@pytest.mark.parametrize("newline", ["\n", "\r\n", "\r"])
def test_line_breaks_in_quotes_blank_lines_and_other_line_ends_are_read(log, newline):
    rows = [line("i0", country='"d\n\ne"'), "\n", line("i1", country="fr"), "\n"]
    (log.folder / "log.csv").write_text("\ufeff" + HEADER + newline + "".join(rows).replace("\n", newline), newline="")
    assert log.ingest()["quarantined"] == {}
    assert set(log.table("events")["country"]) == {f"d{newline}{newline}e", "fr"}


def test_the_format_of_the_source_says_how_values_are_escaped(log):
    rows = [line("i0", category='"tv 42\\" black"', country='"\\"d\\", e"'), line("i1")]
    log.write("log.csv", *rows)
    log = log.with_source(format={"escape": "\\"})
    assert log.ingest()["quarantined"] == {}
    assert dict(log.table("events").select("impression_id", "country").iter_rows()) == {"i0": '"d", e', "i1": "de"}


def test_the_format_of_the_source_says_delimiter_decimal_point_and_encoding(log):
    text = HEADER + "\n" + line("i0", country="côte") + line("i1")
    path = log.folder / "log.csv"
    path.write_bytes(text.replace(",", ";").replace("2.5", "2,5").encode("utf-16"))
    with pytest.raises(ValueError, match=r"log.csv is UTF-16.*format.encoding: utf-16"):
        log.ingest()
    log = log.with_source(format={"delimiter": ";", "decimal": ",", "encoding": "utf-16"})
    assert log.ingest()["quarantined"] == {}
    assert log.table("events").sort("impression_id").select("country", "price").rows() == [("côte", 2.5), ("de", 2.5)]


@pytest.mark.parametrize("category", ["tv", '"tv"'])
def test_a_delimiter_may_be_any_character(log, category):
    text = HEADER + "\n" + line("i0", category=category) + line("i1", category=category)
    (log.folder / "log.csv").write_text(text.replace(",", "¦"), encoding="utf-8")
    log = log.with_source(format={"delimiter": "¦"})
    assert log.ingest()["quarantined"] == {} and log.ids() == ["i0", "i1"]


@pytest.mark.parametrize("encoding", ["utf-8", "utf_8", "UTF8", "U8", "utf-8-sig"])
def test_a_byte_order_mark_is_no_part_of_a_name_however_utf_8_is_spelled(log, encoding):
    (log.folder / "log.csv").write_text("\ufeff" + HEADER + "\n" + line("i0"), encoding="utf-8")
    log = log.with_source(format={"encoding": encoding})
    assert log.ingest()["quarantined"] == {} and log.ids() == ["i0"]


def test_a_line_of_another_encoding_costs_one_row(log):
    text = HEADER + "\n" + line("i0", country="côte") + line("i1") + line("i2", country="é")
    head, _, tail = text.partition("ô")
    (log.folder / "log.csv").write_bytes(head.encode() + b"\xf4" + tail.encode())
    result = log.ingest()
    assert log.ids() == ["i1", "i2"]
    assert result["quarantined"] == {"malformed line of log.csv: characters that are not of the file's encoding": 1}
    assert "\\xf4" in log.table("quarantine")["raw_line"][0]


def test_several_members_of_packed_files_are_all_read(log):
    parts = [(HEADER + "\n" + line("i0")).encode(), line("i1").encode()]
    (log.folder / "a.csv.gz").write_bytes(b"".join(gzip.compress(part) for part in parts))
    parts = [part.replace(b"i", b"z") for part in parts]
    parts[0] = parts[0].replace(b"zd,", b"id,").replace(b"clzcked", b"clicked").replace(b"przce", b"price")
    zstd = pa.Codec("zstd")
    (log.folder / "b.csv.zst").write_bytes(b"".join(zstd.compress(part, asbytes=True) for part in parts))
    log.ingest()
    assert log.ids() == ["i0", "i1", "z0", "z1"]


@pytest.mark.parametrize("suffix", ["gz", "zst"])
def test_a_packed_file_that_is_cut_short_stops_the_job_with_its_name(log, suffix):
    text = (HEADER + "\n" + "".join(line(f"i{n}-{random.Random(n).random()}") for n in range(2_000))).encode()
    packed = gzip.compress(text) if suffix == "gz" else pa.Codec("zstd").compress(text, asbytes=True)
    (log.folder / f"log.csv.{suffix}").write_bytes(packed[: len(packed) // 2])
    with pytest.raises(ValueError, match=rf"log.csv.{suffix} cannot be unpacked.*write it again"):
        log.ingest()
