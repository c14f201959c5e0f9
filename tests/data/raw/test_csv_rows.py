import csv
import random

import pytest

from config import Format
from data.raw import csv_records
from data.raw.csv_rows import NOTES, RAW_LINE, REFUSED, read_csv

COLUMNS = {name: name for name in "abcde"}
PIECES = ["tv", '"', ",", "\n", "\r\n", "\r", " ", "ä", "\\", "", "0", "''", "\t"]


def read(path, **form):
    return read_csv(path, Format(**form), COLUMNS)[0]


@pytest.mark.parametrize("at_a_time", [2, 50_000])
@pytest.mark.parametrize("form", [{}, {"escape": "\\"}, {"delimiter": ";", "quote": "'"}])
def test_whatever_a_csv_writer_writes_is_read_back(tmp_path, monkeypatch, form, at_a_time):
    monkeypatch.setattr(csv_records, "AT_A_TIME", at_a_time)
    draw = random.Random(0)
    delimiter = form.get("delimiter", ",")
    one_line = [piece for piece in [*PIECES, delimiter] if "\n" not in piece and "\r" not in piece]
    several = [piece for piece in PIECES if piece != delimiter]
    rows = [
        ["".join(draw.choices(draw.choice([one_line, several]), k=draw.randrange(5))) or "x" for _ in COLUMNS]
        for _ in range(300)
    ]
    path = tmp_path / "log.csv"
    with path.open("w", newline="") as file:
        csv.writer(file, **Format(**form).dialect("log.csv")).writerows([list(COLUMNS), *rows])
    frame = read(path, **form)
    readable = frame.filter(frame[REFUSED].is_null()) if REFUSED in frame.columns else frame
    assert readable.select(*COLUMNS).rows() == [tuple(row) for row in rows]


@pytest.mark.parametrize("seed", range(20))
def test_every_line_of_any_text_is_part_of_a_row_or_kept_as_it_is(tmp_path, seed):
    draw = random.Random(seed)
    lines = [draw.choice(["1,2,3,4,5", '1,2,3,"4",5', "".join(draw.choices(PIECES[:3], k=9))]) for _ in range(200)]
    path = tmp_path / "log.csv"
    path.write_text("a,b,c,d,e\n" + "\n".join(lines) + "\n")
    frame = read(path)
    malformed = frame.filter(frame[REFUSED].is_not_null())[RAW_LINE].to_list()
    good = frame.filter(frame[REFUSED].is_null()).drop(NOTES).rows()
    within = sum(value.count("\n") for row in good for value in row if value)
    assert len(good) + within + len(malformed) == len(lines)
    assert set(malformed) <= set(lines)
    # Of lines that are rows none is lost, however many odd quotes lie around it.
    assert good.count(("1", "2", "3", "4", "5")) == sum(line in ("1,2,3,4,5", '1,2,3,"4",5') for line in lines)


def test_a_value_of_no_characters_is_null_whatever_stands_in_other_rows(tmp_path):
    path = tmp_path / "log.csv"
    for other in ("1,2,3,4,5", '1,2,3,"4",5', "1,2,3"):
        path.write_text(f"a,b,c,d,e\nx,,,,\n{other}\n")
        assert read(path).select(*COLUMNS).row(0) == ("x", None, None, None, None)
