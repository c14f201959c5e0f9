"""Renders a day's page, its model cards and the index of days. Same facts, same bytes."""

import json
import shlex
from collections.abc import Callable, Mapping
from datetime import date
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape
from markupsafe import Markup

import storage
from config import PlatformConfig
from data.late_files import in_words, late_files
from quality.promotion_verdict import PromotionVerdict
from reports import plots
from reports.calibrations import calibrations
from reports.comparisons import bounds, comparisons, plain, signed
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
    """Renders the page of a day: HTML that needs nothing from outside."""
    return (
        environment()
        .get_template("day.html")
        .render(
            facts=facts,
            gates=config.gates,
            eval_fraction=config.foundation_model.eval_fraction,
            models=MODEL_NAMES,
            metrics=METRICS,
            markers=MARKERS,
            line_markers=LINE_MARKERS,
            plots=_plots(facts, config.gates.min_headroom_ratio),
            compared={v.name: comparisons(v.verdict, config.gates) for v in facts.verticals},
            calibrated={v.name: calibrations(v.verdict, config.calibration.min_clicks) for v in facts.verticals},
            data_docs=(storage.docs_dir(config) / "data_docs" / "index.html").is_file(),
        )
    )


def skipped_page(config: PlatformConfig, about: str, day: date, reason: str) -> str:
    """Renders the page of a day that was skipped."""
    extra = storage.read_manifest(config, "events", day)["extra"]
    start, end = storage.day_window(config, day)
    return (
        environment()
        .get_template("skipped.html")
        .render(
            source=config.data_source,
            about=about,
            day=day,
            window=(f"{start:%Y-%m-%d %H:%M}", f"{end:%Y-%m-%d %H:%M}"),
            reason=reason,
            raw_rows=extra["raw_rows"],
            quarantined=extra["quarantined"],
            late_files=in_words(late_files(config, [day]).get(day, [])),
        )
    )


def model_card(facts: DayFacts, vertical: VerticalDay, config: PlatformConfig) -> str:
    """Renders the model card of a vertical's candidate, in Markdown."""
    assert vertical.model is not None
    example = vertical.model.example or {"user_id": "USER", "item_id": "ITEM"}
    return (
        environment()
        .get_template("card.md")
        .render(
            facts=facts,
            vertical=vertical,
            model=vertical.model,
            transfer=config.transfer,
            models=MODEL_NAMES,
            metrics=METRICS,
            compared=comparisons(vertical.verdict, config.gates),
            calibrated=calibrations(vertical.verdict, config.calibration.min_clicks),
            registered=storage.registered_model(vertical.name),
            mlflow_port=config.runtime.mlflow_port,
            port=SERVING_PORT,
            request=shlex.quote(json.dumps({"dataframe_records": [example]})),
        )
    )


def write_index(config: PlatformConfig, about: str) -> None:
    """Replaces the index by one of what there is now."""
    with storage.replace_file(storage.docs_dir(config) / "index.html") as page:
        page.write_text(_index_page(config, about))


def _index_page(config: PlatformConfig, about: str) -> str:
    """Renders the index of all reported days, newest first."""
    reports = storage.docs_dir(config) / "reports"
    summaries = [json.loads(path.read_text()) for path in sorted(reports.glob("ds=*/summary.json"), reverse=True)]
    late = late_files(config, [date.fromisoformat(summary["day"]) for summary in summaries])
    return (
        environment()
        .get_template("index.html")
        .render(
            source=config.data_source,
            about=about,
            days=summaries,
            late_files={str(day): in_words(changes) for day, changes in late.items()},
            data_docs=(storage.docs_dir(config) / "data_docs" / "index.html").is_file(),
            audiences=sorted(
                page.parent.relative_to(storage.docs_dir(config) / "audiences").as_posix()
                for page in storage.docs_dir(config).glob("audiences/*/*/index.html")
            ),
            searches=sorted(page.parent.name for page in storage.docs_dir(config).glob("searches/*/index.html")),
        )
    )


def _plots(facts: DayFacts, gate: float) -> dict[str, Any]:
    foundation = facts.foundation_days
    ratios = {v.name: {d: past.headroom_ratio for d, past in v.past.items()} for v in facts.verticals if v.past}
    return {
        "foundation": foundation
        and plots.foundation_by_day(
            {f.day: f.held_out.get("ne") for f in foundation},
            {f.day: (f.scored_unseen or {}).get("ne") for f in foundation},
            label="Normalized entropy of the foundation model by platform day",
        ),
        "headroom": ratios
        and plots.headroom_by_day(ratios, gate=gate, label="Headroom ratio of each vertical by platform day"),
        "headroom_of": {v.name: _headroom_plot(v, gate) for v in facts.verticals if v.past},
        "parts": {v.name: _parts_plot(v) for v in facts.verticals if v.gain_parts},
        "part_names": {v.name: list(v.gain_parts[max(v.gain_parts)]) for v in facts.verticals if v.gain_parts},
        "gains": _gains_plot(facts),
        "headroom_names": list(ratios),
        "headroom_range": plots.HEADROOM_RANGE,
        "ne": {v.name: _ne_plot(v) for v in facts.verticals if v.past},
        "calibration": {
            v.name: plots.calibration(v.calibration, label=f"Click rate of {v.name} by mean prediction, ten bins")
            for v in facts.verticals
            if v.calibration
        },
    }


def _headroom_plot(vertical: VerticalDay, gate: float) -> Markup:
    intervals = {day: past.intervals.get("headroom_ratio") for day, past in vertical.past.items()}
    return plots.headroom_with_interval(
        {day: past.headroom_ratio for day, past in vertical.past.items()},
        {day: ends for day, interval in intervals.items() if (ends := _ends(interval)) is not None},
        gate=gate,
        label=f"Headroom ratio of {vertical.name} by platform day, with its 95 % interval and the gate",
    )


def _parts_plot(vertical: VerticalDay) -> Markup:
    names = dict.fromkeys(name for parts in vertical.gain_parts.values() for name in parts)
    series = {
        name: {day: (parts.get(name) or {}).get("value") for day, parts in vertical.gain_parts.items()}
        for name in names
    }
    return plots.parts_by_day(series, label=f"Parts of what {vertical.name} gains from the FM by platform day")


def _gains_plot(facts: DayFacts) -> Markup | None:
    differences: dict[str, dict[str, tuple[float, plots.Bounds | None]]] = {}
    for vertical in facts.verticals:
        for model in ("candidate", "fm"):
            interval = vertical.verdict.intervals.get(f"ne_{model}_minus_baseline")
            if interval and interval["value"] is not None:
                differences.setdefault(vertical.name, {})[model] = (interval["value"], _ends(interval))
    if not differences:
        return None
    return plots.gains(differences, label="NE of candidate and FM less the baseline's, of each vertical")


def _ends(interval: Mapping[str, float | None] | None) -> plots.Bounds | None:
    if interval is None or interval["low"] is None or interval["high"] is None:
        return None
    return interval["low"], interval["high"]


def _ne_plot(vertical: VerticalDay) -> Markup:
    def ne(past: PromotionVerdict, model: str) -> float | None:
        return (past.metrics.get(model) or {}).get("ne")

    series = {model: {day: ne(past, model) for day, past in vertical.past.items()} for model in MODELS}
    return plots.ne_by_day(series, label=f"Normalized entropy of the models of {vertical.name} by platform day")


def environment() -> Environment:
    """Returns what renders the templates."""
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent / "templates"),
        autoescape=select_autoescape(["html"]),  # cards are Markdown
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    filters: dict[str, Callable[..., str]] = {
        "number": plain,
        "signed": signed,
        "bounds": bounds,
        "count": lambda n: "–" if n is None else f"{n:,}",
        "percent": lambda share: "–" if share is None else f"{share:.1%}",
        "megabytes": lambda size: "–" if size is None else f"{size / 1e6:,.1f} MB",
        "short": lambda digest: digest[:12],
    }
    environment.filters |= filters
    return environment
