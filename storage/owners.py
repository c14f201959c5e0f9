"""Names of what is being written, which say by whom: what killed processes left is told from what is being written."""

import os
import platform
import re
import uuid
from datetime import UTC, datetime, timedelta
from pathlib import Path

ABANDONED_AFTER = timedelta(days=1)  # of another machine, whose processes cannot be asked; a task ends within 6 hours
_TIME = "%Y%m%dT%H%M%S%fZ"
_NAME = re.compile(r"(?P<time>\d{8}T\d{12}Z)_(?P<machine>[A-Za-z0-9-]+)_(?P<pid>\d+)_[0-9a-f]{8}")


def new_name() -> str:
    """Returns a name that no one else has: when, on which machine and by which process it was taken.

    Names sort by time.
    """
    return f"{datetime.now(UTC):{_TIME}}_{_machine()}_{os.getpid()}_{uuid.uuid4().hex[:8]}"


def abandoned(name: str) -> bool:
    """Says whether the process that took a name is dead: on this machine at once, on another after a day.

    A name that is not one of `new_name` is nobody's, and never abandoned.
    """
    taken = _NAME.fullmatch(name)
    if taken is None:
        return False
    if taken["machine"] == _machine():
        return not _alive(int(taken["pid"]))
    return datetime.now(UTC) - datetime.strptime(taken["time"], _TIME).replace(tzinfo=UTC) > ABANDONED_AFTER


def _machine() -> str:
    """Returns the host's name and the namespace of its processes: elsewhere, the same pid is another process."""
    namespace = Path("/proc/self/ns/pid")  # Linux: containers that share their host's name still have their own
    number = namespace.stat().st_ino if namespace.exists() else 0
    return f"{re.sub('[^A-Za-z0-9]+', '-', platform.node())}-{number}"


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
