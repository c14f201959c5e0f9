"""`python -m local run|up|down|status|clean`: the commands behind the Makefile."""

import argparse
import shutil
import sys

from rich.console import Console

import storage
from config import ConfigError, load_config
from local import servers
from local.airflow_api import AirflowError
from local.run import run, show_addresses

WIDTH = 110  # columns, where the output is no terminal


def main(argv: list[str] | None = None) -> int:
    """Runs one command.

    Returns:
        0; 1 with a message if it failed; 2 if platform.yaml is wrong.
    """
    parser = argparse.ArgumentParser(prog="python -m local", description=__doc__)
    parser.add_argument("command", choices=["run", "up", "down", "status", "clean"])
    parser.add_argument("--days", type=int, default=3, help="days to run after the bootstrap day (default 3)")
    arguments = parser.parse_args(argv)
    console = Console(width=None if sys.stdout.isatty() else WIDTH)
    try:
        config = load_config()
        if arguments.command in ("run", "up"):
            with console.status(f"Starting the servers of {config.data_source}"):
                servers.start(config, say=lambda text: console.print(f"  {text}", highlight=False, markup=False))
        if arguments.command == "run":
            return run(config, days=arguments.days, console=console)
        if arguments.command == "up":
            show_addresses(config, console)
        if arguments.command in ("down", "clean"):
            stopped = servers.stop(config)
            console.print(f"stopped: {', '.join(stopped)}" if stopped else "nothing was running", highlight=False)
        if arguments.command == "clean":
            root = storage.source_root(config)
            shutil.rmtree(root, ignore_errors=True)
            console.print(f"removed {root}", highlight=False)
            if kept := storage.kept_on_servers(config):
                console.print(f"kept, as it is on servers: {', '.join(kept)}", highlight=False)
            if config.storage.lake:  # others may share it
                console.print(f"kept the lake in {config.storage.lake}: empty it by hand", highlight=False)
        if arguments.command == "status":
            for name, state in servers.status(config).items():
                console.print(f"{name:24}{state}", highlight=False)
    except ConfigError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except (servers.ServerError, storage.StoreError, AirflowError, ValueError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nstopped watching; the day continues in Airflow, `make down` stops it", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
