"""Puts together what a sample of a log tells, from its files to an entry that was tried on it."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import date
from itertools import chain
from pathlib import Path

import polars as pl

from config import ROOT, ColumnMapping, Format, PlatformConfig, Source
from data.first_look.clock import Clock, read_clock
from data.first_look.columns import Column, profile
from data.first_look.crosses import Cross, propose_crosses
from data.first_look.entry import LISTS, as_yaml, entry_name, load_entry, make_entry
from data.first_look.features import Feature, guess_features
from data.first_look.roles import CORE, Roles, guess_roles, repeats
from data.first_look.sample import Sample, reader, spread, take
from data.first_look.split_up import Split, needed_clicks, propose_split
from data.first_look.text_format import guess_format, is_text
from data.first_look.trial import Trial, try_entry
from data.raw.own_files import SUFFIXES, day_of, disagreement, find_files
from data.validation import as_number

MANY_ANONYMOUS = 0.05  # of the rows
JSON_LINES = "JSON is not read; Python rewrites lines of it: polars.read_ndjson(NAME).write_parquet(NAME + '.parquet')"


@dataclass
class Look:
    """A look at a log; what could not be found is None, and `undecided` says what to do about it."""

    path: Path
    name: str  # of the entry
    entry_given: bool  # it stands in platform.yaml and is checked; else it is proposed
    files: list[Path] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)
    form: Format = field(default_factory=Format)
    sample: Sample = field(default_factory=Sample)
    columns: list[Column] = field(default_factory=list)
    roles: Roles = field(default_factory=Roles)
    key_repeats: dict[str, int] = field(default_factory=dict)  # rows, by key that was looked at
    clock: Clock | None = None
    label: pl.Series = field(default_factory=lambda: pl.Series(dtype=pl.Float64))
    weights: pl.Series = field(default_factory=lambda: pl.Series(dtype=pl.Float64))
    features: list[Feature] = field(default_factory=list)
    split: Split | None = None
    needed_clicks: int = 0
    crosses: list[Cross] = field(default_factory=list)
    anonymous: float = 0.0  # share of the rows without a user
    seen_before: float = 0.0  # share of the rows with one, whose user has an earlier row
    entry: str = ""  # as it is pasted
    config: PlatformConfig | None = None  # with the entry chosen
    trial: Trial | None = None
    notes: list[str] = field(default_factory=list)
    undecided: list[str] = field(default_factory=list)

    @property
    def stamps(self) -> list[date]:
        """Returns the days in the names of all files."""
        days = [day_of(self.path, path) for path in self.files]
        return sorted({day for day in days if day is not None})

    @property
    def ready(self) -> bool:
        """Says whether ingest can run with the entry as it is."""
        return bool(self.entry) and not self.undecided


def look_at(config: PlatformConfig, path: Path, rows: int, told: Mapping[str, list[str]]) -> Look:
    """Looks at files that no entry names, and proposes one.

    Raises:
        ValueError: `told` names a column that there is none of.
    """
    look = Look(path.resolve(), entry_name(path.resolve(), config.sources), entry_given=False)
    if not _find(look):
        return look
    look.form = _format(look)
    _read(look, rows)
    if not look.columns or not _all_there(look, told):
        return look
    look.roles = guess_roles(look.columns, told)
    _time_and_label(look, None, config.gates.max_quarantined_fraction)
    look.undecided += look.roles.missing.values()
    if look.undecided or look.clock is None:
        return look
    look.features = guess_features(look.columns, look.roles, look.clock.instants, look.label)
    _propose(look, config, look.clock.instants)
    entry = make_entry(
        look.path,
        look.form,
        look.clock,
        look.roles,
        look.anonymous > MANY_ANONYMOUS,
        look.features,
        [cross.column for cross in look.crosses if cross.proposed],
        look.split.verticals if look.split else {},
    )
    look.entry = as_yaml(look.name, entry)
    look.config = load_entry(config, look.name, look.entry)
    _try(look, look.config, rows)
    return look


def look_at_source(config: PlatformConfig, rows: int) -> Look:
    """Looks at the files of the chosen source, and checks its entry.

    Raises:
        ValueError: the source is not read from your own files, or its path is not set.
    """
    source = config.source
    if source.columns is None:
        raise ValueError(
            f"{config.data_source} has a reader of its own (data/sources/{config.data_source}.py) and no `columns` to "
            "check; to look at files of your own, name them with --path"
        )
    if source.path is None:
        raise ValueError(f"platform.yaml: sources.{config.data_source}.path is not set; name your files there")
    look = Look((ROOT / source.path).resolve(), config.data_source, entry_given=True, form=source.format, config=config)
    if not _find(look):
        return look
    _read(look, rows)
    if not look.columns:
        return look
    mapping = source.columns
    look.roles = _given_roles(mapping)
    if not _all_there(look, {name: [name] for name in mapping.features} | _told(mapping)):
        return look
    look.entry = as_yaml(look.name, source.model_dump(exclude_unset=True))
    look.features = _given_features(mapping, look.columns, look.roles)
    _time_and_label(look, source, config.gates.max_quarantined_fraction)
    if look.undecided or look.clock is None:
        return look
    for guessed in guess_features(look.columns, look.roles, look.clock.instants, look.label):
        if guessed.name in mapping.features and guessed.why.startswith("tells"):
            look.notes.append(f"feature {guessed.name} {guessed.why}")
    _propose(look, config, look.clock.instants)
    _try(look, config, rows)
    return look


def _find(look: Look) -> bool:
    look.files, look.left_out = find_files(look.path) if look.path.exists() else ([], [])
    if any(".json" in left or ".ndjson" in left for left in look.left_out):
        look.notes.append(JSON_LINES)
    if not look.files:
        there = "holds no file that is read" if look.path.exists() else "does not exist"
        look.undecided.append(f"{look.path} {there}: give a file or a folder of {', '.join(SUFFIXES)}")
        return False
    try:
        dated = [path for path in look.files if day_of(look.path, path) is not None]
    except ValueError as error:
        look.undecided.append(str(error))
        return False
    if dated and len(dated) < len(look.files):
        bare = next(path for path in look.files if path not in dated)
        look.undecided.append(
            f"some names carry a date and others, as {bare.name}, do not: name all files by date, or none"
        )
        return False
    said = [text for path in look.files if (text := disagreement(look.path, path))]
    look.notes += said[:2]
    return True


def _format(look: Look) -> Format:
    """Returns the format of the text files; where they are not written alike, it must be decided."""
    found: dict[Path, Format] = {}
    for path in spread(look.path, [path for path in look.files if is_text(path) and path.stat().st_size]):
        try:
            found[path] = guess_format(path)
        except ValueError:
            continue  # read again with the rows, where the error is kept
    if not found:
        return Format()
    first, form = next(iter(found.items()))
    for path, other in found.items():
        if (other.delimiter, other.encoding) != (form.delimiter, form.encoding):
            look.undecided.append(f"{first.name} and {path.name} are not written alike ({_said(form)}; {_said(other)})")
            break
    escape = next((f.escape for f in found.values() if f.escape), None)
    return form.model_copy(update={"escape": escape})


def _said(form: Format) -> str:
    return f"delimiter {form.delimiter or 'as usual'!r}, {form.encoding}"


def _read(look: Look, rows: int) -> None:
    mapping = look.config.source.columns if look.config and look.entry_given else None
    used = None if mapping is None else {*mapping.features, *chain(*_told(mapping).values())}
    look.sample = take(look.path, spread(look.path, look.files), rows, reader(look.form, used))
    look.undecided += [
        why if str(path) in why else f"{path}: {why}" for path, why in list(look.sample.unreadable.items())[:3]
    ]
    frame = look.sample.rows
    look.columns = profile(frame)
    if not frame.height:
        empty = "the files have column names but no rows" if look.columns else "nothing can be read"
        look.undecided.append(f"{look.path}: {empty}; a log needs rows")
        look.columns = [] if not frame.width else look.columns
    size = {path: path.stat().st_size for path in look.files}
    scale = sum(size.values()) / max(sum(size[piece.path] for piece in look.sample.pieces), 1)
    look.weights = look.sample.for_each_row(lambda piece: piece.weight * scale, pl.Float64)
    for piece in look.sample.pieces:
        if not piece.whole:
            more = rows * 10
            look.notes.append(f"{piece.path.name} was read to row {piece.total:,} only; --sample {more} reads further")
    lacking = {
        column.name: [piece.path.name for piece in look.sample.pieces if column.name not in piece.rows.columns]
        for column in look.columns
    }
    look.notes += [f"{name} is not in {lacks[0]} ({len(lacks)} files)" for name, lacks in lacking.items() if lacks]
    for column in look.columns:
        for word, share in column.nothing.items():
            look.notes.append(
                f"{column.name} is the word {word!r} in {share:.1%} of the rows; it is read as a value: write nothing"
            )


def _all_there(look: Look, told: Mapping[str, list[str]]) -> bool:
    names = [column.name for column in look.columns]
    lacking = [(role, name) for role, columns in told.items() for name in columns if name not in names]
    look.undecided += [f"{role}: there is no column {name!r}; there are {', '.join(names)}" for role, name in lacking]
    return not lacking


def _told(mapping: ColumnMapping) -> dict[str, list[str]]:
    key = mapping.impression_id
    return {role: [getattr(mapping, role)] for role in CORE} | {"impression_id": [key] if isinstance(key, str) else key}


def _given_roles(mapping: ColumnMapping) -> Roles:
    told = _told(mapping)
    return Roles(columns={role: told[role][0] for role in CORE}, key=told["impression_id"])


def _given_features(mapping: ColumnMapping, columns: list[Column], roles: Roles) -> list[Feature]:
    listed = {name: of for of in LISTS for name in getattr(mapping, of)}
    return [
        Feature(column.name, listed.get(column.name), "" if column.name in listed else "not in the entry")
        for column in columns
        if column.name in listed or column.name not in roles.taken
    ]


def _time_and_label(look: Look, source: Source | None, most_bad: float) -> None:
    frame, roles = look.sample.rows, look.roles
    if when := roles.columns.get("event_timestamp"):
        stamps = look.sample.for_each_row(lambda piece: piece.day, pl.Date)
        zone = None if source is None else source.time_zone
        sure = all(piece.shows_every_day for piece in look.sample.pieces)
        look.clock = read_clock(frame[when], look.weights, stamps, look.stamps, zone, sure=sure)
        if look.clock is None and frame.height:
            look.undecided.append(f"no value of {when} is a time: --map event_timestamp=COLUMN names another")
    by_name = {column.name: column for column in look.columns}
    if name := roles.columns.get("label"):
        look.label = as_number(frame[name])
        column = by_name[name]
        fits = look.label.is_in([0.0, 1.0]).fill_null(False)
        if not frame.height:
            pass
        elif 1 - float(str(fits.mean())) > most_bad:
            look.undecided.append(
                f"label {name} is {', '.join(column.examples)} where it must be 0 or 1: write it so, or --map another"
            )
        elif look.label.filter(fits).n_unique() == 1:
            look.undecided.append(f"label {name} is always {column.examples[0]}: nothing can be learnt from it")
        look.label = look.label.set(~fits, None)
    keys = [roles.key] if len(roles.key) == 1 else [*([part] for part in roles.key), roles.key]
    look.key_repeats = {" + ".join(key): repeats(look.columns, key) for key in keys if key}
    if (user := roles.columns.get("user_id")) and frame.height:
        look.anonymous = by_name[user].nulls
        kept = source is not None and source.anonymous == "keep"
        if look.anonymous > MANY_ANONYMOUS and not kept:
            look.notes.append(f"{look.anonymous:.1%} of the rows have no user; anonymous: keep in the entry keeps them")


def _propose(look: Look, config: PlatformConfig, instants: pl.Series) -> None:
    roles, by_name = look.roles, {column.name: column for column in look.columns}
    look.needed_clicks = needed_clicks(config.gates, config.foundation_model.eval_fraction)
    look.split = propose_split(look.columns, look.features, look.label, look.weights, look.needed_clicks)
    user = by_name[roles.columns["user_id"]].values
    order = instants.arg_sort()
    candidates = [f.name for f in look.features if f.list == "item_categorical"]
    found = propose_crosses(look.columns, [*candidates, roles.columns["item_id"]], user, look.label, order)
    item = roles.columns["item_id"]
    look.crosses = [replace(cross, column="item_id") if cross.column == item else cross for cross in found]
    known = user.gather(order).drop_nulls()
    look.seen_before = float(str((~known.is_first_distinct()).mean() or 0.0))


def _try(look: Look, config: PlatformConfig, rows: int) -> None:
    look.trial = trial = try_entry(config, spread(look.path, look.files), rows)
    most = config.gates.max_quarantined_fraction
    if trial.quarantined > most:
        reasons = ", ".join(reason for reason, _ in trial.reasons.most_common(3))
        look.undecided.append(
            f"{trial.quarantined:.1%} of the rows would go to quarantine, where {most:.0%} stop a day: {reasons}"
        )
    if trial.outside:
        look.notes.append(f"{trial.outside} rows of the sample lie outside first_day to last_day and are left alone")
