"""Renders a day's page, its model cards and the index of days. Same facts, same bytes."""

import json
import shlex
from collections.abc import Callable, Mapping
from math import isfinite
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape
from markupsafe import Markup

import storage
from config import PlatformConfig
from reports import plots
from reports.day_facts import DayFacts, VerticalDay
from reports.verdicts import MODELS

MODEL_NAMES = {"baseline": "baseline", "candidate": "candidate", "champion": "champion", "fm": "FM"}
METRICS = {  # key: heading, digits, what it is
    "ne": ("NE", 4, "LogLoss over the entropy of the rows' click rate: 1 is as good as the base rate, lower is better"),
    "auc": ("AUC", 4, "chance that a click is ranked above a non-click"),
    "gauc": ("gAUC", 4, "AUC within each user, weighted by the user's rows"),
    "log_loss": ("LogLoss", 4, "nats"),
    "calibration": ("Calibration", 3, "predicted over actual clicks; 1 is right"),
    "ece": ("ECE", 4, "mean distance between prediction and click rate over 20 equally filled bins"),
}
MARKERS = {"baseline": "■", "candidate": "●", "champion": "▲", "fm": "◆"}  # as in reports/plots.py
LINE_MARKERS = "●■◆▲▼✚★✖"
SERVING_PORT = 5001


def day_page(facts: DayFacts, config: PlatformConfig) -> str:
    """The page of a day: HTML that needs nothing from outside."""
    return (
        _environment()
        .get_template("day.html")
        .render(
            facts=facts,
            gates=config.gates,
            eval_fraction=config.foundation_model.eval_fraction,
            models=MODEL_NAMES,
            metrics=METRICS,
            markers=MARKERS,
            line_markers=LINE_MARKERS,
            plots=_plots(facts),
            data_docs=(storage.docs_dir(config) / "data_docs" / "index.html").is_file(),
        )
    )


def model_card(facts: DayFacts, vertical: VerticalDay, config: PlatformConfig) -> str:
    """The model card of a vertical's candidate, in Markdown."""
    assert vertical.model is not None
    example = vertical.model.example or {"user_id": "USER", "item_id": "ITEM"}
    return (
        _environment()
        .get_template("card.md")
        .render(
            facts=facts,
            vertical=vertical,
            model=vertical.model,
            transfer=config.transfer,
            models=MODEL_NAMES,
            metrics=METRICS,
            registered=storage.registered_model(vertical.name),
            mlflow_port=config.runtime.mlflow_port,
            port=SERVING_PORT,
            request=shlex.quote(json.dumps({"dataframe_records": [example]})),
        )
    )


def index_page(config: PlatformConfig, about: str) -> str:
    """The index of all reported days, newest first."""
    reports = storage.docs_dir(config) / "reports"
    summaries = [json.loads(path.read_text()) for path in sorted(reports.glob("ds=*/summary.json"), reverse=True)]
    return (
        _environment()
        .get_template("index.html")
        .render(
            source=config.data_source,
            about=about,
            days=summaries,
            data_docs=(storage.docs_dir(config) / "data_docs" / "index.html").is_file(),
        )
    )


def _plots(facts: DayFacts) -> dict[str, Any]:
    foundation = facts.foundation_days
    ratios = {v.name: {d: past["headroom_ratio"] for d, past in v.past.items()} for v in facts.verticals if v.past}
    return {
        "foundation": foundation
        and plots.foundation_by_day(
            {f.day: f.held_out.get("ne") for f in foundation},
            {f.day: (f.scored_unseen or {}).get("ne") for f in foundation},
            label="Normalized entropy of the foundation model by platform day",
        ),
        "headroom": ratios and plots.headroom_by_day(ratios, label="Headroom ratio of each vertical by platform day"),
        "headroom_names": list(ratios),
        "headroom_range": plots.HEADROOM_RANGE,
        "ne": {v.name: _ne_plot(v) for v in facts.verticals if v.past},
        "calibration": {
            v.name: plots.calibration(v.calibration, label=f"Click rate of {v.name} by mean prediction, ten bins")
            for v in facts.verticals
            if v.calibration
        },
    }


def _ne_plot(vertical: VerticalDay) -> Markup:
    def ne(past: Mapping[str, Any], model: str) -> float | None:
        return (past["metrics"].get(model) or {}).get("ne")

    series = {model: {day: ne(past, model) for day, past in vertical.past.items()} for model in MODELS}
    return plots.ne_by_day(series, label=f"Normalized entropy of the models of {vertical.name} by platform day")


def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent / "templates"),
        autoescape=select_autoescape(["html"]),  # cards are Markdown
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    filters: dict[str, Callable[..., str]] = {
        "number": number,
        "count": lambda n: "–" if n is None else f"{n:,}",
        "percent": lambda share: "–" if share is None else f"{share:.1%}",
        "megabytes": lambda size: "–" if size is None else f"{size / 1e6:,.1f} MB",
        "short": lambda digest: digest[:12],
    }
    environment.filters |= filters
    return environment


def number(value: float | None, digits: int) -> str:
    """A figure with so many digits; a dash where there is none."""
    return "–" if value is None or not isfinite(value) else f"{value:.{digits}f}"
