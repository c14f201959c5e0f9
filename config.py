"""The typed mirror of platform.yaml: `load_config()` reads it, checks it and names every mistake by key and line."""

import csv
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from datetime import date, timedelta
from difflib import get_close_matches
from functools import cache
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, Self
from urllib.parse import quote, urlsplit
from zoneinfo import available_timezones

import yaml
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

ROOT = Path(__file__).resolve().parent
Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")]
Fraction = Annotated[float, Field(ge=0, le=1)]


class ConfigError(ValueError):
    """A setting is wrong; the message says which key, for platform.yaml on which line, and what is allowed."""


class Section(BaseModel):
    """A part of platform.yaml: read-only, and a key it does not know is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    moved: ClassVar[Mapping[str, str]] = {}  # keys of earlier versions -> where they are now, below this section

    def changed(self, **nested: Any) -> Self:
        """Returns a checked copy with other values: `config.changed(runtime={"seed": 1}, data_source="synthetic")`.

        A mapping changes what it names of a section, or of a dict of sections, and leaves the rest; every other
        value takes the place of the old one.

        Raises:
            ConfigError: a key is unknown, or a value or a combination is wrong.
        """
        try:
            return self.model_validate(_merged(self, nested))
        except ValidationError as error:
            name = type(self).__name__
            mistakes = (_explain(type(self), e) for e in error.errors())
            raise ConfigError("\n".join(f"{'.'.join((name, *key))}: {message}" for key, message in mistakes)) from None


class Vertical(Section):
    """Which impressions one vertical model serves."""

    column: str | None = None  # event column to look at; None: every impression no other vertical takes
    values: list[str] = []  # the vertical takes rows whose column has one of these values
    model: dict[str, Any] = {}  # what `vertical_model` says otherwise for this vertical

    @model_validator(mode="after")
    def _filter_is_whole(self) -> "Vertical":
        if (self.column is None) != (not self.values):
            raise ValueError("give both column and values, or neither (a vertical with neither takes the rest)")
        return self


# Names that a feature of the user's own log may not have: the platform's own columns, in any table that a feature
# reaches, and attributes of torch's modules, among which embedding tables are kept by the feature's name.
# fmt: off
PLATFORM_COLUMNS = {
    "impression_id", "event_timestamp", "user_id", "item_id", "vertical", "label", "reason", "refused", "raw_line",
    "raw_place", "created_timestamp", "soft_label", "code", "fm_version", "fm_learnt_until", "probability",
    "candidate", "baseline", "champion", "fm", "row", "index",
}
MODULE_ATTRIBUTES = {
    "add_module", "apply", "bfloat16", "buffers", "call_super_init", "children", "clear", "compile", "cpu", "cuda",
    "double", "dump_patches", "eval", "extra_repr", "float", "forward", "get_buffer", "get_extra_state",
    "get_parameter", "get_submodule", "half", "ipu", "items", "keys", "load_state_dict", "modules", "mtia",
    "named_buffers", "named_children", "named_modules", "named_parameters", "parameters", "pop",
    "register_backward_hook", "register_buffer", "register_forward_hook", "register_forward_pre_hook",
    "register_full_backward_hook", "register_full_backward_pre_hook", "register_load_state_dict_post_hook",
    "register_load_state_dict_pre_hook", "register_module", "register_parameter", "register_state_dict_post_hook",
    "register_state_dict_pre_hook", "requires_grad_", "set_extra_state", "set_submodule", "share_memory",
    "state_dict", "to", "to_empty", "train", "training", "type", "update", "values", "xpu", "zero_grad",
}
# fmt: on
MARKS = frozenset(':"*`\\')  # Feast cuts names at a colon; to SQL and Spark the others mean something
COMPUTED_COLUMN = re.compile(
    r"(user|item)_(impressions|clicks|ctr)_\d+d|user_.+_(impressions|clicks)|(fm_)?history_.+|fm_.+"
)


def name_refused(feature: str) -> str | None:
    """Says why a feature of the user's own log may not have this name; None where it may."""
    if not feature.strip():
        return "an empty name"
    if "." in feature or feature.startswith("_"):
        return "a dot or a leading underscore"
    if MARKS.intersection(feature):
        return "a colon, double quote, star, backtick or backslash"
    taken = feature.lower() in PLATFORM_COLUMNS or COMPUTED_COLUMN.fullmatch(feature.lower())
    return "the platform uses it" if taken or feature in MODULE_ATTRIBUTES else None


class ColumnMapping(Section):
    """Where the `files` source finds each column of the common schema in the user's own Parquet or CSV."""

    impression_id: str | Annotated[list[str], Field(min_length=1)]  # several columns are put together to one id
    event_timestamp: str  # without an offset it is the local time of the source's time_zone
    user_id: str
    item_id: str
    label: str  # 0 or 1
    user_categorical: list[str] = []
    user_dense: list[str] = []
    item_categorical: list[str] = []
    item_dense: list[str] = []
    context_categorical: list[str] = []
    context_dense: list[str] = []
    crosses: list[str] = []  # categorical columns whose (user, value) click counts the FM sees

    @property
    def features(self) -> list[str]:
        """Every feature column, by what it describes."""
        of_users = [*self.user_categorical, *self.user_dense]
        return [*of_users, *self.item_categorical, *self.item_dense, *self.context_categorical, *self.context_dense]

    @model_validator(mode="after")
    def _names_can_be_used(self) -> "ColumnMapping":
        lowered = [name.lower() for name in self.features]  # Spark does not tell upper from lower case
        for name in self.features:
            if self.features.count(name) > 1:
                raise ValueError(f"{name} is listed twice; a feature has one kind")
            if lowered.count(name.lower()) > 1:
                raise ValueError(f"{name} and another feature differ in upper and lower case only; rename one")
            if why := name_refused(name):
                called = name if name.strip() else repr(name)
                raise ValueError(f"a feature may not be called {called} ({why}): rename the column in your files")
        allowed = ["item_id", *self.item_categorical]
        for name in self.crosses:
            if name not in allowed:
                raise ValueError(f"crosses: {name} is none of {', '.join(allowed)}")
        return self


class Format(Section):
    """How a source's own CSV files are written."""

    delimiter: str | None = Field(default=None, min_length=1, max_length=1)  # None: a comma; in .tsv files a tab
    quote: str | None = Field(default='"', min_length=1, max_length=1)  # around values; None: quotes mean nothing
    escape: str | None = Field(default=None, min_length=1, max_length=1)  # before a quote in a value; None: doubled
    decimal: Literal[".", ","] = "."  # the point in numbers
    encoding: str = "utf-8"  # as Python calls it

    def dialect(self, name: str) -> dict[str, Any]:
        """Returns the arguments of Python's csv module for a file of this name."""
        tabs = name.lower().removesuffix(".gz").removesuffix(".zst").endswith(".tsv")
        return {
            "delimiter": self.delimiter or ("\t" if tabs else ","),
            "quotechar": self.quote,
            "quoting": csv.QUOTE_NONE if self.quote is None else csv.QUOTE_MINIMAL,
            "escapechar": self.escape,
            "doublequote": self.escape is None,
        }


class Source(Section):
    """One data source: where its files are, how its log is replayed, and its verticals."""

    moved: ClassVar[Mapping[str, str]] = {"utc_offset_hours": "time_zone: write the zone's name, as in Europe/Berlin"}

    path: str | None = None  # folder of the source's files; None: fetched into storage.cache
    first_day: date  # first day of the log, after replay
    last_day: date  # last day of the log, after replay
    bootstrap_days: int = Field(ge=1)  # the first platform day covers this many days of the log
    days_per_day: int = Field(default=1, ge=1)  # calendar days of the log replayed as one platform day
    time_zone: str = "UTC"  # IANA name; its midnights part the days, and times without an offset are local there
    history_events: Literal["all", "clicked"] = "all"  # which past impressions a VM's FM history holds
    verticals: dict[Name, Vertical] = Field(min_length=1)
    foundation_model: dict[str, Any] = {}  # what the section of that name says otherwise for this source
    columns: ColumnMapping | None = None  # for the `files` source only
    format: Format = Format()  # of its CSV files
    events_per_day: int = Field(default=20_000, ge=1)  # for the `synthetic` source only
    empty_day: Literal["stop", "skip"] = (
        "stop"  # a day without rows, without clicks or of one instant: see docs/operations.md
    )
    anonymous: Literal["quarantine", "keep"] = "quarantine"  # rows without a user id; kept, each is of a user unknown
    live: bool = False  # the log grows day by day: Airflow runs each day by itself when it has ended

    @field_validator("time_zone")
    @classmethod
    def _zone_is_known(cls, name: str) -> str:
        if name not in _time_zones():
            near = get_close_matches(name, _time_zones(), n=1) or ["Europe/Berlin"]
            raise ValueError(f"unknown time zone {name!r}; write an IANA name, such as {near[0]}")
        return name

    @model_validator(mode="after")
    def _checks(self) -> "Source":
        if self.first_day + timedelta(days=self.bootstrap_days - 1) > self.last_day:
            raise ValueError("bootstrap_days reaches beyond last_day; lower it or move last_day")
        rest = [name for name, vertical in self.verticals.items() if vertical.column is None]
        if len(rest) > 1:
            raise ValueError(f"verticals {rest} both take the rest; only one vertical may have no filter")
        return self

    @property
    def bootstrap_day(self) -> date:
        """Returns the first platform day: its partition covers first_day up to and including this day."""
        return self.first_day + timedelta(days=self.bootstrap_days - 1)


SECRET = re.compile(r"\$\{(\w+)\}")  # an environment variable in a URL


def _url(*schemes: str) -> AfterValidator:
    """Returns the check of a server's URL, in which a password is only named: `postgresql://me:${PASSWORD}@host/db`."""

    def check(url: str) -> str:
        parts = urlsplit(url)
        if parts.scheme not in schemes or not parts.hostname or (parts.port or 1) < 1:
            raise ValueError(f"expected a URL such as {' or '.join(f'{scheme}://host' for scheme in schemes)}")
        if parts.scheme == "postgresql" and not (parts.path.strip("/") and parts.username):
            raise ValueError("name user and database, as in postgresql://headwater:${PASSWORD}@host:5432/headwater")
        if parts.password and not SECRET.fullmatch(parts.password):
            raise ValueError("a password is not written here: write ${NAME}, and set the environment variable NAME")
        for name in SECRET.findall(url):
            if name not in os.environ:
                raise ValueError(f"the environment variable {name} is not set; it holds what the URL leaves out")
            if quote(os.environ[name], safe="") != os.environ[name]:
                raise ValueError(f"what the environment variable {name} holds may have letters, digits and -._~ only")
        return url

    return AfterValidator(check)


class Storage(Section):
    """Where everything is kept; each source has its own folder below `root`, and its own part of every server."""

    root: str = ".headwater"  # local or shared folder; lake, reports, and the stores that no URL names
    lake: Annotated[str, Field(pattern=r"^(s3://.+)?$")] = ""  # s3://bucket/folder to keep the lake in; "": below root
    cache: str = ".headwater/cache"  # downloaded source files
    feature_repo: str = "feature_repo"  # folder that gets feature_store.yaml, which the Feast SDK opens
    mlflow: Annotated[str, _url("postgresql", "http", "https")] | None = None  # database, or tracking server
    feast_registry: Annotated[str, _url("postgresql")] | None = None
    feast_online: Annotated[str, _url("redis", "rediss", "postgresql")] | None = None
    airflow: Annotated[str, _url("postgresql")] | None = None


class Features(Section):
    """Point-in-time features computed by Spark."""

    windows_days: list[Annotated[int, Field(ge=1)]] = [1, 7, 30]  # count and click-rate windows, days
    history_length: int = Field(default=50, ge=1)  # newest events kept in a user's history
    history_days: int = Field(default=30, ge=1)  # oldest event a window or history may use, days
    user_delay_s: int = Field(default=0, ge=0)  # an impression at t sees user events before t - delay, seconds
    item_delay_s: int = Field(default=0, ge=0)  # the same for item events, seconds

    @model_validator(mode="after")
    def _windows_fit(self) -> "Features":
        if max(self.windows_days, default=0) > self.history_days:
            raise ValueError(f"windows_days {self.windows_days} reach beyond history_days {self.history_days}")
        return self


class NumEmbeddings(Section):
    """Rows of the embedding tables; ids are hashed into them."""

    user_id: int = Field(default=65_536, ge=2)
    item_id: int = Field(default=65_536, ge=2)
    other: int = Field(default=4_096, ge=2)  # every other categorical feature

    def rows(self, feature: str) -> int:
        """Returns the number of rows of a feature's table."""
        return {"user_id": self.user_id, "item_id": self.item_id}.get(feature, self.other)


class Optimizer(Section):
    """Batch and step sizes."""

    batch_size: int = Field(gt=0)  # examples
    learning_rate: float = Field(gt=0)  # Adam, dense parameters
    embedding_learning_rate: float = Field(gt=0)  # row-wise Adagrad, embedding tables
    weight_decay: float = Field(default=0.0, ge=0)
    gradient_clip_norm: float = Field(default=10.0, gt=0)
    warmup_steps: int = Field(default=0, ge=0)  # of a fresh model, in which both rates rise from 0 to what they are
    # A moving average of the weights scores; it keeps this much of itself at a step. 0: the weights that learn score.
    # Of a foundation model, the dense network's are averaged; of a vertical model, the tables', too.
    ema_decay: float = Field(default=0.0, ge=0, lt=1)


class ManagedCollision(Section):
    """Zero-collision hashing: a table's rows are assigned to ids, and reclaimed from ids that no longer come."""

    tables: list[Name] = ["user_id", "item_id"]  # the others hash
    eviction_interval: int = Field(default=100, ge=1)  # steps between two assignments; until then new ids share a row


class FoundationTraining(Section):
    """How the FM is trained on the machines at hand; what it learns depends on `precision` alone."""

    processes: int = Field(default=1, ge=1)  # that train together on a machine, one a GPU; tables are shared out
    nodes: int = Field(default=1, ge=1)  # machines that train together; the job is started on each of them
    # host:port of one of them, where all meet
    rendezvous: Annotated[str, Field(pattern=r"^[^\s:/]+:[1-9]\d*$")] | None = None
    rendezvous_minutes: float = Field(default=10, gt=0)  # a machine waits so long for the others
    restarts: int = Field(default=3, ge=0)  # of all processes after one of several dies, from the last checkpoint
    precision: Literal["fp32", "bf16"] = "fp32"  # of the dense part's arithmetic; weights and tables stay fp32
    compile: bool = False  # torch.compile the network: a minute at the start for faster steps, worth it on GPUs
    checkpoint_minutes: float = Field(default=10, gt=0)  # a killed run loses at most this

    @model_validator(mode="after")
    def _machines_can_meet(self) -> "FoundationTraining":
        if self.nodes > 1 and self.rendezvous is None:
            raise ValueError(f"nodes: {self.nodes} needs rendezvous: host:port of one of the machines, where all meet")
        if self.nodes == 1 and self.rendezvous is not None:
            raise ValueError("rendezvous is where several machines meet: give nodes, or leave rendezvous out")
        return self


class Codes(Section):
    """The compressed embeddings that the FM logs."""

    dim: int = Field(default=32, gt=0)  # width of a code
    prefixes: list[Annotated[int, Field(ge=1)]] = []  # shorter widths whose first values are a code, too
    alignment: Literal["none", "rotation"] = "rotation"  # each day's codes are rotated to match yesterday's


class FoundationSettings(Section):
    """The foundation model (FM): network, tables, training, codes."""

    moved: ClassVar[Mapping[str, str]] = {
        **{name: f"training.{name}" for name in ("processes", "precision", "compile", "checkpoint_minutes")},
        **{f"code_{name}": f"codes.{name}" for name in ("dim", "prefixes", "alignment")},
    }

    architecture: Name
    hyperparameters: dict[str, Any] = {}  # the network's own Config
    embedding_dim: int = Field(gt=0)
    num_embeddings: NumEmbeddings = NumEmbeddings()
    first_embeddings: float | None = Field(default=None, gt=0)  # uniform in ± this; None: in ±1/√rows of the table
    managed_collision: ManagedCollision | None = None  # None: every id is hashed to a row
    optimizer: Optimizer
    # newest share of a day, held out until the next day; at most half, as the first half of the first day is learnt
    eval_fraction: float = Field(default=0.2, gt=0, le=0.5)
    training: FoundationTraining = FoundationTraining()
    codes: Codes = Codes()

    @property
    def without_placement(self) -> "FoundationSettings":
        """Returns all that decides on what is learnt; what says where and how it is trained has its defaults."""
        return self.model_copy(update={"training": FoundationTraining(precision=self.training.precision)})


class VerticalSettings(Section):
    """The vertical models (VM): network, tables, training."""

    architecture: Name
    hyperparameters: dict[str, Any] = {}
    embedding_dim: int = Field(gt=0)
    num_embeddings: NumEmbeddings = NumEmbeddings()
    optimizer: Optimizer
    cold_start_epochs: int = Field(default=1, ge=1)  # passes over the rows where there is no champion to start from
    max_training_days: int = Field(default=7, ge=1)  # oldest platform day a candidate learns, days back


class Transfer(Section):
    """What passes from the FM to a VM."""

    soft_label: bool = True  # ExFM: the VM learns the FM's probability, too
    distillation_head: Literal["auxiliary", "serving"] = "auxiliary"  # which head learns it; ExFM's is the auxiliary
    student_adapter: bool = False  # ExFM: a second auxiliary head learns the FM's probability corrected by new clicks
    loss_weight: float = Field(default=1.0, ge=0)  # ExFM eq. 5, w
    label_scale: float = Field(default=1.0, gt=0)  # ExFM eq. 4, alpha
    gradient_scale: float = Field(default=1.0, ge=0)  # ExFM, beta
    history: bool = True  # LoopFM: target attention over the FM's codes of past impressions
    code_dim: int | None = Field(default=None, gt=0)  # first values of a code that are served; None: all
    code_bits: Literal[4, 8] = 8  # of a served value
    history_length: int = Field(default=20, ge=1)  # newest impressions kept a user
    history_days: int = Field(default=30, ge=1)  # oldest impression kept, days
    delay_s: int = Field(default=0, ge=0)  # a code is in the history this long after its impression, seconds


class Calibration(Section):
    """The layer that corrects the probabilities of FM and VMs, by vertical, from held-out rows of earlier days."""

    soft_labels: bool = True  # of the FM, as VMs learn them and as it is judged beside them
    vertical_models: bool = False  # of candidate and baseline, as they are judged and served
    min_clicks: int = Field(default=1000, ge=1)  # with fewer, or fewer rows without one, the layer changes nothing
    prior_clicks: float = Field(default=100, ge=0)  # weight of staying as it is, in clicks that came as predicted


class Gates(Section):
    """When a day goes on, when a candidate becomes champion, and when a vertical that takes little is warned of."""

    max_quarantined_fraction: Fraction = 0.05  # more bad rows than this stop the day
    min_rows: int = Field(default=100, ge=1)  # fewer impressions than this stop the day
    ne_tolerance: float = Field(default=0.002, ge=0)  # candidate NE may exceed the champion's by this, absolute
    calibration: tuple[float, float] = (0.8, 1.25)  # allowed predicted clicks / actual clicks
    min_eval_rows: int = Field(default=50, ge=1)  # fewer held-out rows than this, on all days judged, promote nobody
    min_eval_clicks: int = Field(default=100, ge=1)  # rows of past days are added until there are so many clicks
    min_headroom_ratio: float = Field(default=0.2, ge=0, le=1)  # a lower headroom ratio warns; it refuses nothing

    @field_validator("calibration")
    @classmethod
    def _range(cls, value: tuple[float, float]) -> tuple[float, float]:
        if not 0 <= value[0] < value[1]:
            raise ValueError("calibration must be [low, high] with 0 <= low < high")
        return value


# Settings of Spark that results depend on, or that other keys hold, and why they are not given in `spark_conf`.
SPARK_SETTINGS_OF_THE_PLATFORM = {
    "spark.sql.session.timeZone": "all times are UTC",
    "spark.sql.timestampType": "timestamps are instants",
    "spark.sql.ansi.enabled": "features are computed by one arithmetic",
    "spark.master": "set runtime.spark_master",
    "spark.driver.memory": "set runtime.spark_memory",
}


class Runtime(Section):
    """Machines and ports."""

    seed: int = 0
    device: Literal["auto", "cpu", "cuda"] = "auto"
    torch_threads: int = Field(default=2, ge=1)
    spark_master: str = "local[2]"
    spark_memory: str = Field(default="3g", pattern=r"^\d+[mg]$")  # of the driver, which on `local` does all
    spark_conf: dict[str, str | int | float | bool] = {}  # more of Spark's own settings, by Spark's names
    airflow_port: int = Field(default=8080, ge=1024, le=65535)
    mlflow_port: int = Field(default=5000, ge=1024, le=65535)
    docs_port: int = Field(default=8088, ge=1024, le=65535)  # Data Docs and run reports
    parallel_tasks: int = Field(default=2, ge=1)

    @field_validator("spark_conf")
    @classmethod
    def _left_to_users(cls, settings: dict[str, Any]) -> dict[str, Any]:
        for name in settings:
            if not name.startswith("spark."):
                raise ValueError(f"{name}: Spark's settings begin with spark., as in spark.executor.memory")
            if name in SPARK_SETTINGS_OF_THE_PLATFORM:
                raise ValueError(f"{name} is the platform's own: {SPARK_SETTINGS_OF_THE_PLATFORM[name]}")
        return settings


class PlatformConfig(Section):
    """All of platform.yaml."""

    data_source: Name
    sources: dict[Name, Source]
    storage: Storage = Storage()
    features: Features = Features()
    foundation_model: FoundationSettings
    vertical_model: VerticalSettings
    transfer: Transfer = Transfer()
    calibration: Calibration = Calibration()
    gates: Gates = Gates()
    runtime: Runtime = Runtime()

    @property
    def served_code_dim(self) -> int:
        """Returns the width of the codes that Feast serves and VMs read."""
        return self.transfer.code_dim or self.foundation_model.codes.dim

    @model_validator(mode="after")
    def _codes_fit(self) -> "PlatformConfig":
        logged, served = self.foundation_model.codes, self.served_code_dim
        if served != logged.dim and served not in logged.prefixes:
            raise ValueError(
                f"transfer.code_dim {served} is neither foundation_model.codes.dim {logged.dim} nor among "
                f"foundation_model.codes.prefixes {logged.prefixes}"
            )
        if self.transfer.code_bits == 4 and served % 2:
            raise ValueError(f"transfer.code_bits 4 packs two values a byte: code_dim {served} must be even")
        return self

    @model_validator(mode="after")
    def _source_is_known(self) -> "PlatformConfig":
        if self.data_source not in self.sources:
            raise ValueError(
                f"data_source {self.data_source!r} has no entry under sources; known: {sorted(self.sources)}"
            )
        return self

    @property
    def source(self) -> Source:
        """Returns the chosen data source."""
        return self.sources[self.data_source]

    @property
    def verticals(self) -> list[str]:
        """Returns the names of the verticals of the chosen source."""
        return list(self.source.verticals)

    def of_vertical(self, vertical: str) -> "PlatformConfig":
        """Returns the platform whose section `vertical_model` is that of one vertical.

        Raises:
            ValueError: the vertical is not configured.
        """
        if vertical not in self.verticals:
            raise ValueError(f"Unknown vertical {vertical!r}; platform.yaml has {', '.join(self.verticals)}")
        own = self.source.verticals[vertical].model
        if not own:
            return self
        none: dict[str, Any] = {}
        return self.changed(vertical_model=own, sources={self.data_source: {"verticals": {vertical: {"model": none}}}})


def load_config(path: str | Path | None = None) -> PlatformConfig:
    """Reads and checks a platform file.

    Args:
        path: the file; None takes $HEADWATER_CONFIG, else platform.yaml beside this module. The files that
            $HEADWATER_OVERLAY names, parted by colons, say what is otherwise where it runs, such as addresses.
            $HEADWATER_SOURCE and $HEADWATER_DATA_PATH, where set, replace `data_source` and the
            chosen source's `path` (this is what `make run SOURCE=… DATA_PATH=…` sets).

    Raises:
        ConfigError: the file is missing, no YAML, or holds an unknown key, a wrong value or an
            impossible combination.
    """
    path = Path(path or platform_file())
    text, tree = _read(path)
    files = {path: text}
    for overlay in filter(None, os.environ.get("HEADWATER_OVERLAY", "").split(os.pathsep)):
        files[Path(overlay)], otherwise = _read(Path(overlay))
        tree = _laid_over(tree, otherwise)
    if source := os.environ.get("HEADWATER_SOURCE"):
        tree["data_source"] = source
    data_path = os.environ.get("HEADWATER_DATA_PATH")
    if data_path and isinstance(tree.get("sources", {}).get(tree["data_source"]), dict):
        tree["sources"][tree["data_source"]]["path"] = data_path
    try:
        config = PlatformConfig.model_validate(tree)
    except ValidationError as error:
        raise _at_lines(files, (_explain(PlatformConfig, e) for e in error.errors())) from None
    if mistakes := list(_of_sources(config)):
        raise _at_lines(files, mistakes)
    if not config.source.foundation_model:
        return config
    # What the source says is in force from here on, so a caller that changes the section changes it for good.
    none: dict[str, Any] = {}
    try:
        return config.changed(
            foundation_model=config.source.foundation_model, sources={config.data_source: {"foundation_model": none}}
        )
    except ConfigError as error:
        raise ConfigError(f"{path}: with sources.{config.data_source}.foundation_model: {error}") from None


def platform_file() -> Path:
    """Returns the platform file in use: $HEADWATER_CONFIG, else platform.yaml beside this module."""
    return Path(os.environ.get("HEADWATER_CONFIG") or ROOT / "platform.yaml")


def jobs_python() -> str:
    """Returns the Python of the jobs environment: $HEADWATER_JOBS_PYTHON, else the one that `make run` installs."""
    return os.environ.get("HEADWATER_JOBS_PYTHON") or str(ROOT / ".venv" / "jobs" / "bin" / "python")


@cache
def _time_zones() -> set[str]:
    """Returns the IANA names of time zones, without what files beside them are called."""
    return available_timezones() - {"Factory", "localtime"}


def _key_lines(node: yaml.Node | None, prefix: tuple[str, ...] = ()) -> dict[tuple[str, ...], int]:
    """Returns the line number of every key of a YAML document, by its path."""
    lines: dict[tuple[str, ...], int] = {}
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            lines[(*prefix, key.value)] = key.start_mark.line + 1
            lines |= _key_lines(value, (*prefix, key.value))
    return lines


def _of_sources(config: PlatformConfig) -> Iterator[tuple[tuple[str, ...], str]]:
    """Yields the mistakes in what sources and verticals say otherwise than the sections of the models."""
    for name, source in config.sources.items():
        yield from _otherwise(config.foundation_model, source.foundation_model, ("sources", name, "foundation_model"))
        for vertical, of in source.verticals.items():
            below = ("sources", name, "verticals", vertical, "model")
            if "num_embeddings" in of.model:
                told = "is one for all verticals, as ids are hashed once: change it in the section vertical_model"
                yield (*below, "num_embeddings"), told
            else:
                yield from _otherwise(config.vertical_model, of.model, below)


def _otherwise(
    section: Section, changes: Mapping[str, Any], below: tuple[str, ...]
) -> Iterator[tuple[tuple[str, ...], str]]:
    try:
        type(section).model_validate(_merged(section, changes))
    except ValidationError as error:
        for key, message in (_explain(type(section), e) for e in error.errors()):
            yield (*below, *key), message


def _read(path: Path) -> tuple[str, dict[str, Any]]:
    """Returns a platform file's text and sections."""
    try:
        text = path.read_text()
        tree = yaml.safe_load(text)
    except FileNotFoundError:
        raise ConfigError(f"{path}: no such file; give --config, or run from the repository root") from None
    except yaml.YAMLError as error:
        raise ConfigError(f"{path}: not valid YAML: {error}") from None
    if not isinstance(tree, dict):
        raise ConfigError(f"{path}: expected a mapping of sections, found {type(tree).__name__}")
    return text, tree


def _laid_over(tree: Any, otherwise: Any) -> Any:
    """Returns a tree in which the keys of another are as there; what it does not name stays."""
    if not (isinstance(tree, dict) and isinstance(otherwise, dict)):
        return otherwise
    return tree | {key: _laid_over(tree.get(key), value) for key, value in otherwise.items()}


def _at_lines(files: Mapping[Path, str], mistakes: Iterable[tuple[tuple[str, ...], str]]) -> ConfigError:
    """Builds the error that names every mistake with its line, in the last of the files that has the key."""
    lines = {path: _key_lines(yaml.compose(text)) for path, text in files.items()}
    told = (f"{_place(lines, key)}: {'.'.join(key) or 'platform file'}: {message}" for key, message in mistakes)
    return ConfigError("\n".join(told))


def _place(lines: dict[Path, dict[tuple[str, ...], int]], key: tuple[str, ...]) -> str:
    """Returns file and line of a key, or of the innermost section around it that a file has."""
    while key:
        for path in reversed(lines):
            if key in lines[path]:
                return f"{path}:{lines[path][key]}"
        key = key[:-1]
    return f"{next(iter(lines))}:1"


def _merged(old: Any, new: Any) -> Any:
    """Returns what replaces `old`: a mapping is merged into a section or a dict of sections; all else replaces it."""
    if not isinstance(new, Mapping):
        return new
    if isinstance(old, Section):
        current = dict(old)
        kept = {name: current[name] for name in old.model_fields_set}
    elif isinstance(old, dict) and all(isinstance(value, Section) for value in old.values()):
        current = kept = old
    else:
        return new
    return kept | {name: _merged(current.get(name), value) for name, value in new.items()}


def _explain(root: type[Section], error: Any) -> tuple[tuple[str, ...], str]:
    """Returns the key below `root` that pydantic refused, and why."""
    key = tuple(str(part) for part in error["loc"])
    message = error["msg"].removeprefix("Value error, ")
    if error["type"] == "extra_forbidden":
        section = _section_at(root, key[:-1])
        if key[-1] in section.moved:
            return key, f"has moved to {'.'.join((*key[:-1], section.moved[key[-1]]))}"
        message = f"unknown key; allowed here: {', '.join(section.model_fields)}"
    elif error["type"] == "missing":
        message = "missing; this key must be given"
    elif error["type"] not in {"value_error"}:
        message = f"{message}, found {error['input']!r}"
    return key, message


def _section_at(root: type[Section], location: tuple[str, ...]) -> type[Section]:
    """Returns the section at `location`, walked through the pydantic fields."""
    annotation: Any = root
    for key in location:
        if isinstance(annotation, type) and issubclass(annotation, Section):
            annotation = annotation.model_fields[key].annotation
        else:  # dict[Name, Section]: any key leads to the value type
            annotation = annotation.__args__[1]
        options = [a for a in getattr(annotation, "__args__", ()) if isinstance(a, type) and issubclass(a, Section)]
        if options and getattr(annotation, "__origin__", None) is not dict:
            annotation = options[0]
    section: type[Section] = annotation
    return section
