"""`python -m jobs NAME --day 2026-01-01`: runs one job; without a name, lists them."""

import argparse
import ast
import importlib
import inspect
import json
import logging
import os
import pkgutil
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from types import ModuleType
from typing import Any

import jobs
import storage
from config import ConfigError, load_config

LOG = logging.getLogger("headwater")

# Idle threads that spin slow a shared machine down many times over; must be set before torch is imported.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")


class JsonFormatter(logging.Formatter):
    """One JSON object a line: time, level, logger, message, and the fields given in `extra`."""

    _standard = set(vars(logging.makeLogRecord({}))) | {"message", "taskName"}

    def format(self, record: logging.LogRecord) -> str:
        """Returns one record as a line."""
        entry = {
            "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(record.created)),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        entry |= {k: v for k, v in vars(record).items() if k not in self._standard}
        if record.exc_info:
            entry["traceback"] = self.formatException(record.exc_info)
        return json.dumps(entry, default=str)


def job_names() -> list[str]:
    """Returns the names of all jobs."""
    return sorted(m.name for m in pkgutil.iter_modules(jobs.__path__) if not m.name.startswith("_"))


def main(argv: list[str] | None = None) -> int:
    """Runs the job the command line names; its result is the last line of output, as JSON.

    Returns:
        0; 1 if the job failed, with one line on standard error that says why, or if its result says that something is
        undecided; 2 if the command line is wrong.
    """
    argv = sys.argv[1:] if argv is None else argv
    names = job_names()
    if not argv or argv[0] in {"-h", "--help"}:
        print("usage: python -m jobs NAME [--day YYYY-MM-DD] [--config platform.yaml] [options]\n")
        for name in names:
            print(f"  {name:22}{_first_sentence(name)}")
        return 0
    if argv[0] not in names:
        print(f"error: no job named {argv[0]!r}; jobs: {', '.join(names)}", file=sys.stderr)
        return 2
    handler = logging.StreamHandler()
    if not sys.stderr.isatty():
        handler.setFormatter(JsonFormatter())
    handler.addFilter(lambda record: record.name != "root" or record.levelno > logging.INFO)  # fbgemm's small talk
    logging.basicConfig(level=logging.INFO, handlers=[handler], force=True)
    logging.captureWarnings(True)
    # Their notes are for their own developers.
    for library in ("py.warnings", "feast", "alembic", "py4j", "torchrec", "faiss"):
        logging.getLogger(library).setLevel(logging.ERROR)
    started = time.monotonic()
    module = importlib.import_module(f"jobs.{argv[0]}")
    options = vars(_parser(argv[0], module).parse_args(argv[1:]))
    os.nice(getattr(module, "NICENESS", 0))  # here, as it cannot be taken back
    try:
        with _platform_file(options.pop("config")):
            result = module.main(load_config(), **options)
    except ConfigError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except Exception as error:
        LOG.info("traceback", exc_info=True)
        print(f"error: {argv[0]}: {type(error).__name__}: {error}", file=sys.stderr)
        return 1
    LOG.info("job done", extra={"job": argv[0], "seconds": round(time.monotonic() - started, 1)})
    sys.stderr.flush()
    # Strict JSON, as Airflow's API takes no NaN.
    if os.environ.get("RANK", "0") == "0":  # one of several processes that torchrun started
        print(json.dumps(storage.finite(result or {}), default=str, allow_nan=False), flush=True)
    return 1 if (result or {}).get(jobs.UNDECIDED) else 0


@contextmanager
def _platform_file(path: str | None) -> Iterator[None]:
    """Makes a platform file the one in use, here and in what this process starts."""
    before = os.environ.get("HEADWATER_CONFIG")
    if path is not None:
        os.environ["HEADWATER_CONFIG"] = path
    try:
        yield
    finally:
        if path is not None:
            os.environ.pop("HEADWATER_CONFIG")
            os.environ |= {"HEADWATER_CONFIG": before} if before is not None else {}


def _first_sentence(name: str) -> str:
    """Returns the first line of a job's docstring, without importing what the job needs."""
    source = Path(__file__).with_name(f"{name}.py").read_text()
    return (ast.get_docstring(ast.parse(source)) or "").partition("\n")[0]


def _parser(name: str, module: ModuleType) -> argparse.ArgumentParser:
    """Builds the parser of a job's options: the keyword-only parameters of its `main`."""
    parser = argparse.ArgumentParser(prog=f"python -m jobs {name}", description=inspect.getdoc(module))
    parser.add_argument("--config", default=None, help="platform file (default: platform.yaml)")
    for parameter in inspect.signature(module.main).parameters.values():
        if parameter.kind is not inspect.Parameter.KEYWORD_ONLY:
            continue
        option = "--" + parameter.name.replace("_", "-")
        if parameter.annotation is bool:
            parser.add_argument(option, action="store_true")
            continue
        if parameter.annotation == Sequence[str]:
            parser.add_argument(option, action="append", default=[], metavar="ROLE=COLUMN", help="may be repeated")
            continue
        kind: Any = date.fromisoformat if parameter.annotation is date else parameter.annotation
        required = parameter.default is inspect.Parameter.empty
        parser.add_argument(option, type=kind, required=required, default=None if required else parameter.default)
    return parser


if __name__ == "__main__":
    code = main()
    sys.stdout.flush()
    sys.stderr.flush()
    # Leave without interpreter shutdown: DuckDB's bindings print pages of leak notes there, and the result must stay
    # the last line of output. Every job has closed what it opened by now.
    os._exit(code)
