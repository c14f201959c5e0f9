"""The page that a look at somebody's log ends with, as a terminal shows it."""

from collections.abc import Iterable
from textwrap import wrap

import polars as pl
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from config import Format
from data.first_look.columns import Column
from data.first_look.look import Look
from data.first_look.text_format import is_text

WIDTH = 100
DAYS_SHOWN = 14
LEFT_OUT = "-"
EXAMPLES = 22  # characters
LABEL_VALUES = 4
ROLE_WORDS = {"user_id": "user", "item_id": "item", "event_timestamp": "time", "label": "label"}


def console_for_page() -> Console:
    """Returns a console of the page's width: as wide as the terminal, at most WIDTH; plain where it is none."""
    console = Console(highlight=False)
    console.width = min(console.width, WIDTH) if console.is_terminal else WIDTH
    return console


def show(look: Look, console: Console) -> None:
    """Prints the page: what was found, what is guessed, the entry, and what must be decided first."""
    _files(look, console)
    if look.columns:
        _columns(look, console)
        _time(look, console)
        _ids_and_label(look, console)
    if look.split:
        _proposals(look, console)
    if look.trial:
        _trial(look, console)
    if look.notes:
        _head(console, "Worth a look")
        _lines(console, look.notes)
    if look.entry and not look.entry_given:
        _head(console, "The entry, to be pasted below `sources:` in platform.yaml")
        console.print(look.entry, soft_wrap=True, markup=False, end="")
    _end(look, console)


def _files(look: Look, console: Console) -> None:
    _head(console, f"Files in {look.path}")
    size = sum(path.stat().st_size for path in look.files)
    rows = sum(piece.rows.height for piece in look.sample.pieces)
    total = round(float(look.weights.sum()))
    read = f"; {len(look.sample.pieces)} of them sampled" if len(look.sample.pieces) < len(look.files) else ""
    said = [f"{_counted(len(look.files), 'file')}, {_bytes(size)}{read}"] if look.files else []
    if rows:
        about = f"{total:,} rows" if rows == total else f"{rows:,} of about {total:,} rows were read"
        said[0] += f"; {about}"
    if look.stamps:
        said.append(f"a day is the files of its date: {look.stamps[0]} to {look.stamps[-1]}")
    elif look.files:
        said.append("no date in their names: the timestamp decides on a row's day")
    if any(is_text(path) for path in look.files):
        said.append(f"text: {_format(look.form)}")
    said += [f"left out: {left}" for left in look.left_out]
    _lines(console, said)


def _format(form: Format) -> str:
    delimiter = {"\t": "a tab", None: "a comma (a tab in .tsv)"}.get(form.delimiter, form.delimiter)
    escaped = f", escaped by {form.escape}" if form.escape else ""
    point = ", decimal comma" if form.decimal == "," else ""
    return f"delimiter {delimiter}, quote {form.quote}{escaped}{point}, {form.encoding}"


def _columns(look: Look, console: Console) -> None:
    _head(console, "Columns" if look.entry_given else "Columns, and what they are taken for")
    table = Table(box=SIMPLE_HEAD, padding=(0, 2, 0, 0), show_edge=False)
    table.add_column("  column", no_wrap=True, max_width=24, overflow="ellipsis")
    table.add_column("taken for", no_wrap=True)
    table.add_column("type", no_wrap=True)
    table.add_column("null", justify="right", no_wrap=True)
    table.add_column("values", justify="right", no_wrap=True)
    table.add_column("examples", no_wrap=True)
    reasons: dict[str, list[str]] = {}
    for column in look.columns:
        taken = _taken_for(look, column)
        feature = next((feature for feature in look.features if feature.name == column.name), None)
        if feature and feature.list is None:
            reasons.setdefault(feature.why, []).append(column.name)
        nulls = f"{column.nulls:.1%}" if column.nulls else ""
        examples = escape(_shortened(", ".join(column.examples)))
        style = "dim" if taken == LEFT_OUT else ""
        name = f"  {escape(column.name)}"
        table.add_row(name, taken, column.kind, nulls, f"{column.distinct:,}", examples, style=style)
    console.print(table)
    _lines(console, [f"left out, {why}: {', '.join(names)}" for why, names in reasons.items()])


def _shortened(text: str) -> str:
    return text if len(text) <= EXAMPLES else text[: EXAMPLES - 1].rstrip(", ") + "…"


def _taken_for(look: Look, column: Column) -> str:
    name = column.name
    roles = [word for role, word in ROLE_WORDS.items() if look.roles.columns.get(role) == name]
    if name in look.roles.key:
        roles.append("impression id" if len(look.roles.key) == 1 else "id, part")
    elif name == look.roles.request and not roles:
        roles.append("request")
    feature = next((feature for feature in look.features if feature.name == name), None)
    if roles or feature is None:
        return " + ".join(roles)
    return LEFT_OUT if feature.list is None else feature.list.replace("_", ", ")


def _time(look: Look, console: Console) -> None:
    clock = look.clock
    if clock is None:
        return
    _head(console, "Time")
    zone = f"days begin at midnight of {clock.zone.name}" + (" (a guess)" if clock.zone.guess else "")
    said = [
        clock.written,
        f"{zone}: {clock.zone.why}",
        f"{clock.first} to {clock.last}, {_counted(len(clock.all_days), 'day')}",
    ]
    if clock.unread:
        said.append(f"{clock.unread} values are no time")
    if clock.missing:
        if clock.sure:
            said.append(f"days without rows: {_named(clock.missing)}; empty_day: skip leaves them out")
        else:
            said.append(f"days of which the sample has no row: {_named(clock.missing)}; if they have none at all,")
            said.append("add empty_day: skip to the entry (a larger --sample tells)")
    if clock.partial:
        said.append(f"cut days, with less than half of the usual rows: {_named(clock.partial)}")
    if clock.only_midnights:
        said.append("dates only: what happens on one day happens at one instant, and knows nothing of each other")
    _lines(console, said)
    _days(look, console)
    if not look.entry_given:
        first, last, boot = clock.all_days[0], clock.all_days[-1], clock.bootstrap_days
        after = len(clock.all_days) - boot
        _lines(console, [f"proposed: {first} to {last}, the first {boot} as the bootstrap day, {after} after it"])


def _days(look: Look, console: Console) -> None:
    assert look.clock
    rows = pl.DataFrame({"day": look.clock.days, "y": look.label if len(look.label) else None, "w": look.weights})
    rate = dict(rows.drop_nulls("day").group_by("day").agg(pl.col("y").mean()).iter_rows())
    table = Table(box=None, padding=(0, 2, 0, 0), show_header=True)
    for name in ("  day", "rows", "clicked"):
        table.add_column(name, justify="left" if "day" in name else "right", no_wrap=True)
    days = list(look.clock.rows_by_day.items())
    for n, (day, count) in enumerate(days):
        if len(days) > DAYS_SHOWN and n == DAYS_SHOWN // 2:
            table.add_row("…")
        if len(days) <= DAYS_SHOWN or min(n, len(days) - 1 - n) < DAYS_SHOWN // 2:
            clicked = rate.get(day)
            table.add_row(f"  {day}", f"{count:,}", "" if clicked is None else f"{clicked:.2%}")
    console.print(table)


def _ids_and_label(look: Look, console: Console) -> None:
    _head(console, "Ids and label")
    said = []
    for key, count in look.key_repeats.items():
        told = f"{count:,} rows repeat an earlier one's" if count else "no two rows have the same"
        said.append(f"{key}: {told}")
    if len(look.roles.key) > 1:
        said.append(f"an impression is told by {' and '.join(look.roles.key)} together")
    if len(look.label):
        known = look.label.drop_nulls()
        column = next(column for column in look.columns if column.name == look.roles.columns["label"])
        values = ", ".join(column.examples[:LABEL_VALUES]) + (", …" if column.distinct > LABEL_VALUES - 1 else "")
        rate = f"; {float(str(known.mean())):.2%} of the rows are clicked" if len(known) else ""
        said.append(f"label {column.name}: {values}{rate}")
    if "user_id" in look.roles.columns:
        nobody = f"{look.anonymous:.1%} of the rows have no user" if look.anonymous else "every row has a user"
        rows = "the other rows" if look.anonymous else "the rows"
        before = (
            ""
            if look.split is None
            else f"; {look.seen_before:.0%} of {rows} are of a user seen before in the sample (in the whole log: more)"
        )
        said.append(nobody + before)
    _lines(console, said)


def _proposals(look: Look, console: Console) -> None:
    split = look.split
    assert split
    _head(console, "Verticals and crosses" + (", as they might be" if look.entry_given else ""))
    if split.column is None:
        said = [f"no column has two values with about {look.needed_clicks:,} clicks each: one vertical for all"]
    else:
        clicks = ", ".join(f"{value} {count:,}" for value, count in (split.clicks or {}).items())
        said = [f"verticals by {split.column}; clicks in the log, about: {clicks}"]
        said.append(f"about {look.needed_clicks:,} clicks are needed each; `other` takes whatever has no name")
    for cross in look.crosses:
        use = "proposed" if cross.proposed else "no use in the sample"
        said.append(
            f"cross of user and {cross.column}: a past with it in {cross.seen_before:.0%} of the rows, tells "
            f"{cross.information:.2%} of the label beyond both alone: {use}"
        )
    if look.crosses and not any(cross.proposed for cross in look.crosses):
        said.append("without crosses in the entry, item_id is taken")
    _lines(console, said)


def _trial(look: Look, console: Console) -> None:
    trial = look.trial
    assert trial
    _head(console, "The sample, as ingest would land it")
    verticals = ", ".join(f"{name} {count:,}" for name, count in trial.verticals.most_common())
    said = [f"{trial.landed:,} of {trial.rows:,} rows become events ({verticals or 'none'})"]
    for reason, count in trial.reasons.most_common():
        said.append(f"{count:,} to quarantine: {reason}")
        said += [f"  {place}" for place in trial.places[reason]]
    _lines(console, said)


def _end(look: Look, console: Console) -> None:
    if look.undecided:
        _head(console, "To be decided first")
        _lines(console, look.undecided)
        return
    assert look.config
    _head(console, "Ready")
    day = look.config.source.bootstrap_day
    _lines(
        console,
        [
            f"HEADWATER_SOURCE={look.name} python -m jobs ingest --day {day}",
            f"make run SOURCE={look.name}",
            "Give only features that are known before the impression: check the list once more.",
        ],
    )


def _head(console: Console, text: str) -> None:
    console.print(f"\n[bold]{escape(text)}[/]")


def _lines(console: Console, lines: Iterable[str]) -> None:
    for line in lines:
        indent = "  " + " " * (len(line) - len(line.lstrip()))
        width = console.width - len(indent)
        wrapped = wrap(line.strip(), width, break_long_words=False, break_on_hyphens=False)
        console.print("\n".join(indent + part for part in wrapped), markup=False, soft_wrap=True)


def _named(days: list) -> str:
    return ", ".join(str(day) for day in days[:4]) + (f", … ({len(days)})" if len(days) > 4 else "")


def _counted(count: int, what: str) -> str:
    return f"{count:,} {what}" + "s" * (count != 1)


def _bytes(size: int) -> str:
    for unit in ("bytes", "kB", "MB", "GB"):
        if size < 1000 or unit == "GB":
            return f"{size:,.0f} {unit}" if unit == "bytes" else f"{size:,.1f} {unit}"
        size = size / 1000  # type: ignore[assignment]
    raise AssertionError
