"""A command, watched from outside: its log lines as they come, processor time and memory of it and all it starts."""

import subprocess
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import psutil

from config import ROOT

SAMPLE_S = 0.3


@dataclass
class Watched:
    """What a command did; times are seconds since it was started."""

    seconds: float = 0.0
    lines: list[tuple[float, str]] = field(default_factory=list)  # of standard error, and when each came
    output: str = ""  # standard output
    peak_bytes: int = 0  # proportional memory of all processes together
    sampled_s: list[float] = field(default_factory=lambda: [0.0])
    cpu_s: list[float] = field(default_factory=lambda: [0.0])  # all processes together, at each sample

    def cpu_seconds(self, start: float = 0.0, end: float | None = None) -> float:
        """Computes the processor seconds of a stretch."""
        end = self.seconds if end is None else end
        before, after = np.interp([start, end], self.sampled_s, self.cpu_s)
        return float(after - before)


def watch(command: Sequence[str], *, env: dict[str, str]) -> Watched:
    """Runs a command of this repository to its end.

    Raises:
        RuntimeError: it failed; with the end of what it said.
    """
    seen = Watched()
    started = time.monotonic()
    process = subprocess.Popen(
        command, cwd=ROOT, env=env, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE, bufsize=1
    )
    assert process.stdout is not None and process.stderr is not None
    errors, output = process.stderr, process.stdout
    readers = [
        threading.Thread(target=lambda: seen.lines.extend((time.monotonic() - started, line) for line in errors)),
        threading.Thread(target=lambda: setattr(seen, "output", output.read())),
    ]
    for reader in readers:
        reader.start()
    used: dict[int, float] = {}  # by process: one that has ended keeps what it had used when last seen
    while process.poll() is None:
        _sample(process.pid, used, seen, time.monotonic() - started)
        time.sleep(SAMPLE_S)
    seen.seconds = time.monotonic() - started
    for reader in readers:
        reader.join()
    if process.returncode:
        said = "".join(line for _, line in seen.lines)[-3000:]
        raise RuntimeError(f"{' '.join(command)} ended with {process.returncode}: {said}")
    return seen


def _sample(pid: int, used: dict[int, float], seen: Watched, at: float) -> None:
    memory = 0
    for process in _family(pid):
        try:
            times = process.cpu_times()
            used[process.pid] = times.user + times.system
            memory += int(process.memory_full_info().pss)
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            continue  # it ended between two looks
    seen.peak_bytes = max(seen.peak_bytes, memory)
    seen.sampled_s.append(at)
    seen.cpu_s.append(max(sum(used.values()), seen.cpu_s[-1]))


def _family(pid: int) -> Iterator[psutil.Process]:
    try:
        first = psutil.Process(pid)
        yield first
        yield from first.children(recursive=True)
    except psutil.NoSuchProcess:
        return


def folder_bytes(folder: Path) -> int:
    """Computes the bytes of the files below a folder."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
