"""Creates .venv/airflow and .venv/jobs from the lock files; needs only Python 3.11 with pip and venv.

Runs before anything is installed, so it imports the standard library only.
"""

import fcntl
import hashlib
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VENVS = ROOT / ".venv"
UV = "uv==0.13.9"
TORCH = "torch==2.13.0"
# uv does not read pip's settings, so the ones that say where packages come from are passed on.
PIP_TO_UV = {"index-url": "UV_DEFAULT_INDEX", "find-links": "UV_FIND_LINKS", "cert": "SSL_CERT_FILE"}


def main() -> int:
    """Brings both environments up to the lock files; does nothing when they are.

    Returns:
        0; 1 with a message if Python is the wrong one or a step failed.
    """
    if sys.version_info[:2] != (3, 11):
        found = ".".join(map(str, sys.version_info[:3]))
        print(f"error: Headwater needs Python 3.11, this is {found}; run `make PYTHON=/path/to/python3.11 run`")
        return 1
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)  # without bytecode every import of every job is slow
    VENVS.mkdir(exist_ok=True)
    try:
        with _one_at_a_time(VENVS / ".lock"):
            _environment("airflow", [ROOT / "requirements/airflow.txt"], _install_airflow)
            _environment("jobs", [ROOT / "requirements/dev.txt"], _install_jobs)
    except subprocess.CalledProcessError as error:
        print(f"error: `{' '.join(map(str, error.cmd))}` failed; its output is above. Run make again to go on.")
        return 1
    return 0


def _environment(name: str, locks: list[Path], install: Callable[[Path], None]) -> None:
    """Installs one environment unless its stamp, written last, shows that it holds these locks already."""
    folder, stamp, begun = VENVS / name, VENVS / name / ".installed", VENVS / f".{name}.begun"
    recipe = b"".join(path.read_bytes() for path in [*locks, Path(__file__)])
    wanted = hashlib.sha256(recipe + sys.version.encode()).hexdigest()
    if stamp.is_file() and stamp.read_text() == wanted:
        return
    started = time.monotonic()
    print(f"Installing the {name} environment (once; it may take some minutes) ...", flush=True)
    stamp.unlink(missing_ok=True)
    # What an interrupted installation left cannot be trusted: begin from nothing.
    clear = ["--clear"] if begun.exists() else []
    begun.touch()
    try:
        _run(sys.executable, "-m", "venv", *clear, folder)
    except subprocess.CalledProcessError:
        print("error: Python cannot make virtual environments; on Debian or Ubuntu: apt install python3.11-venv")
        raise
    install(folder / "bin" / "python")
    stamp.write_text(wanted)
    begun.unlink()
    print(f"  {name}: done in {time.monotonic() - started:.0f} s", flush=True)


def _install_airflow(python: Path) -> None:
    _uv_install(python, ROOT / "requirements/airflow.txt")


def _install_jobs(python: Path) -> None:
    """Installs torch first, by pip, with its own dependencies; then the lock, which holds everything else."""
    print(f"  {TORCH}", flush=True)
    _run(python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", TORCH)
    lock = (ROOT / "requirements/dev.txt").read_text()
    cuda = subprocess.run(
        [python, "-c", "import torch; print(torch.version.cuda or '')"], capture_output=True, text=True, check=True
    ).stdout.strip()
    if cuda:  # fbgemm's CUDA build belongs to torch's
        lock = lock.replace("fbgemm-gpu-cpu==", "fbgemm-gpu==")
    with tempfile.NamedTemporaryFile("w", suffix=".txt") as file:
        file.write(lock)
        file.flush()
        _uv_install(python, Path(file.name))


def _uv_install(python: Path, lock: Path) -> None:
    uv = VENVS / "uv"
    if not (uv / "bin" / "uv").exists():
        _run(sys.executable, "-m", "venv", uv)
        _run(uv / "bin" / "python", "-m", "pip", "install", "--quiet", "--disable-pip-version-check", UV)
    command = [uv / "bin" / "uv", "pip", "install", "--python", python, "--no-deps", "--compile-bytecode", "-r", lock]
    quiet = [] if sys.stdout.isatty() else ["--quiet"]
    _run(*command, *quiet, env=os.environ | _uv_settings())


def _uv_settings() -> dict[str, str]:
    """Says in uv's words what pip would answer to where packages come from."""
    settings: dict[str, str] = {}
    listed = subprocess.run(
        [sys.executable, "-m", "pip", "config", "list"], capture_output=True, text=True, check=False
    ).stdout
    for line in listed.splitlines():
        key, _, value = line.partition("=")
        variable = PIP_TO_UV.get(key.rsplit(".", 1)[-1])
        if variable and variable not in os.environ:
            settings[variable] = value.strip("'\"")
    return settings


def _run(*command: object, env: dict[str, str] | None = None) -> None:
    subprocess.run([str(part) for part in command], check=True, env=env)


@contextmanager
def _one_at_a_time(path: Path):  # type: ignore[no-untyped-def]
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


if __name__ == "__main__":
    sys.exit(main())
