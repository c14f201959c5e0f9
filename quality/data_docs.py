"""Great Expectations' Data Docs, one folder a data source: pages that need no network, and an index by day.

Results are kept as JSON in docs/great_expectations/validations, pages in docs/data_docs. Everything else of the context
(suites, definitions) is made anew from code in each run and lives in memory: no project file that a killed run could
leave half written.
"""

import json
from datetime import date
from pathlib import Path
from typing import Any

import great_expectations as gx
from great_expectations.data_context import EphemeralDataContext
from great_expectations.data_context.types.base import DataContextConfig, ProgressBarsConfig
from great_expectations.data_context.types.resource_identifiers import (
    ExpectationSuiteIdentifier,
    ValidationResultIdentifier,
)
from great_expectations.render.view import DefaultJinjaPageView
from jinja2 import ChoiceLoader, Environment, FileSystemLoader

import storage
from config import PlatformConfig

THEME = Path(__file__).parent / "data_docs_theme"
SITE = "data_docs"


class OfflinePageView(DefaultJinjaPageView):
    """The stock page with our frame: the stock one loads its styles and scripts from ten outside hosts."""

    def __init__(self, **directories: Any) -> None:
        super().__init__(**directories)
        stock = self.env.loader
        assert stock is not None
        self.env.loader = ChoiceLoader([FileSystemLoader(THEME), stock])


def index_page(config: PlatformConfig) -> Path:
    """Returns the path of the Data Docs' index page."""
    return storage.docs_dir(config) / SITE / "index.html"


def open_context(config: PlatformConfig) -> EphemeralDataContext:
    """Builds a context that keeps validation results and Data Docs in storage.docs_dir, and sends nothing to anyone."""
    view = {"module_name": "quality.data_docs", "class_name": "OfflinePageView"}
    project = DataContextConfig(
        expectations_store_name="expectations",
        validation_results_store_name="validations",
        checkpoint_store_name="checkpoints",
        stores={
            "expectations": _in_memory("ExpectationsStore"),
            "checkpoints": _in_memory("CheckpointStore"),
            "validation_definition_store": _in_memory("ValidationDefinitionStore"),
            "validations": {
                "class_name": "ValidationResultsStore",
                "store_backend": _in_folder(_results_dir(config)),
            },
        },
        data_docs_sites={
            SITE: {
                "class_name": "SiteBuilder",
                "show_how_to_buttons": False,
                "store_backend": _in_folder(index_page(config).parent),
                "site_section_builders": {
                    "expectations": {"view": view},
                    "validations": {"view": view},
                    "profiling": "None",
                },
            }
        },
        analytics_enabled=False,
        progress_bars=ProgressBarsConfig(globally=False),
    )
    return gx.get_context(mode="ephemeral", project_config=project)


def build_site(config: PlatformConfig, context: EphemeralDataContext, day: date) -> None:
    """Renders the context's suites, the day's results of those suites, and the index.

    Raises:
        RuntimeError: a page was not written; Great Expectations itself only logs that.
    """
    names = [suite.name for suite in context.suites.all()]
    keys = [
        key
        for key in context.validation_results_store.list_keys()
        if isinstance(key, ValidationResultIdentifier)
        and key.run_id.run_name == str(day)
        and key.expectation_suite_identifier.name in names
    ]
    context.build_data_docs(resource_identifiers=keys, build_index=False)
    context.build_data_docs(
        resource_identifiers=[ExpectationSuiteIdentifier(name=name) for name in names], build_index=False
    )
    days = _days(config)
    pages = [results["page"] for kinds in days.get(str(day), {}).values() for results in kinds.values()]
    for page in pages:
        if not (index_page(config).parent / page).is_file():
            raise RuntimeError(f"Great Expectations did not render {page}; its log above says why")
    _write_index(config, days)


def _days(config: PlatformConfig) -> dict[str, dict[str, dict[str, Any]]]:
    """Reads stored results, newest day first: day -> table -> `rows` or `profile` -> page, counts and failures."""
    days: dict[str, dict[str, dict[str, Any]]] = {}
    root = _results_dir(config)
    for file in sorted(root.glob("*/*/*/*.json")):
        suite, day = file.relative_to(root).parts[:2]
        table, kind = suite.rsplit("_", 1)
        try:
            results = json.loads(file.read_text())["results"]
        except json.JSONDecodeError:  # a killed run's; the run that follows it writes the file anew
            continue
        failed = [r["expectation_config"] for r in results if not r["success"]]
        days.setdefault(day, {}).setdefault(table, {})[kind] = {
            "page": Path("validations") / file.relative_to(root).with_suffix(".html"),
            "checks": len(results),
            "critical": [f["description"] for f in failed if f["severity"] == "critical"],
            "warning": [f["description"] for f in failed if f["severity"] == "warning"],
        }
    return dict(sorted(days.items(), reverse=True))


def _write_index(config: PlatformConfig, days: dict[str, dict[str, dict[str, Any]]]) -> None:
    template = Environment(loader=FileSystemLoader(THEME), autoescape=True).get_template("index.html.j2")
    with storage.replace_file(index_page(config)) as page:
        page.write_text(template.render(source=config.data_source, days=days))


def _results_dir(config: PlatformConfig) -> Path:
    return storage.docs_dir(config) / "great_expectations" / "validations"


def _in_memory(store: str) -> dict[str, Any]:
    return {"class_name": store, "store_backend": {"class_name": "InMemoryStoreBackend"}}


def _in_folder(folder: Path) -> dict[str, Any]:
    return {"class_name": "TupleFilesystemStoreBackend", "base_directory": str(folder)}
