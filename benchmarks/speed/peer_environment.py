"""The environment of the libraries we are measured against, .venv/benchmarks; installed on first use."""

import hashlib
import os
import subprocess
import sys

from local.install import ROOT, TORCH, VENVS

HOME = VENVS / "benchmarks"
LOCK = ROOT / "requirements" / "benchmarks.txt"


class NotInstalled(Exception):
    """The environment cannot be installed here; says why."""


def peer_python() -> str:
    """Returns the environment's Python; installs the lock's packages first where they are not up to date.

    Raises:
        NotInstalled: pip failed, perhaps because there is no network.
    """
    python, stamp = HOME / "bin" / "python", HOME / ".installed"
    wanted = hashlib.sha256(LOCK.read_bytes() + TORCH.encode() + sys.version.encode()).hexdigest()
    if stamp.is_file() and stamp.read_text() == wanted:
        return str(python)
    print("Installing the benchmarks environment (once; some minutes) ...", file=sys.stderr, flush=True)
    pip = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    env = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    for command in (
        [sys.executable, "-m", "venv", "--clear", str(HOME)],
        [*pip, TORCH],  # the same build as the platform's
        [*pip, "--no-deps", "-r", str(LOCK)],
    ):
        done = subprocess.run(command, env=env, stderr=subprocess.PIPE, text=True, check=False)
        if done.returncode:
            reason = (done.stderr.strip().splitlines() or ["no message"])[-1]
            raise NotInstalled(f"`{' '.join(command[:4])} ...` failed: {reason}")
    stamp.write_text(wanted)
    return str(python)
